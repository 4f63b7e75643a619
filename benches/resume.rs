//! How long a run with ten thousand entries takes to come back: its journal read, its guest executed again, its end on disk.

use std::time::{Duration, Instant};

use agentry_benches::{home, line, measure, median, open, server};
use agentry_runtime::host::Host;
use agentry_runtime::run::events::Observer;
use tokio_util::sync::CancellationToken;

/// Calls of the run before it leaves memory.
const CALLS: u32 = 10_000;

#[tokio::main]
async fn main() {
    let home = home(server::serve(Duration::ZERO).await.expect("loopback has a port"));
    let host = open(home.path()).await;
    let mut times = Vec::new();
    let mut entries = 0;
    for _ in 0..5 {
        let input = format!(r#"{{"calls": {CALLS}, "asks": 0, "sleep_ms": 300}}"#);
        let (report, ()) = tokio::join!(left(&host, input), leave(&host));
        entries = host.history().entries(report).expect("the store can be read").len();
        // What it waits for is over when it comes back.
        tokio::time::sleep(Duration::from_millis(350)).await;
        let start = Instant::now();
        let resumed = host.resume(&report.to_string(), None, Observer::nobody(), CancellationToken::new()).await;
        times.push(start.elapsed());
        assert!(resumed.is_ok_and(|report| report.output.is_some()), "it goes on to its end");
    }
    line(
        &format!("a run of {entries} entries, resumed to its end"),
        median(times),
        "its target",
        Duration::from_secs(1),
    );
}

/// Runs it until it has left memory.
async fn left(host: &Host, input: String) -> agentry_kernel::RunId {
    measure(host, input).await.run
}

/// Lets the one run leave memory when it waits.
async fn leave(host: &Host) {
    let gate = &host.services().drivers.gate;
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if gate.live().iter().any(|live| gate.rest(live.run)) {
            return;
        }
    }
}
