//! Runs that wait in memory on a host of the dense shape: how many bytes each takes, and how soon one more answers among them.
//! `cargo bench … --bench dense -- 100000` takes another number than ten thousand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_benches::{ROUNDS, home, measure, median, open, resident, server, shown};
use agentry_runtime::host::Host;

const RUNS: usize = 10_000;
/// All of them begin while this passes.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let runs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(RUNS);
    let home = home(server::serve(Duration::ZERO).await.expect("loopback has a port"));
    let config = home.path().join("agentry.toml");
    let text = std::fs::read_to_string(&config).expect("the home is ours");
    let engine = format!("{text}\n[engine]\nshape = \"dense\"\nruns_max = {}\n", runs + 10);
    std::fs::write(&config, engine).expect("the home is ours");
    let host = Arc::new(open(home.path()).await);
    one(&host).await;
    let alone = median(rounds(&host).await);
    let (before, start) = (resident(), Instant::now());
    for _ in 0..runs {
        let host = Arc::clone(&host);
        tokio::spawn(
            async move { measure(&host, r#"{"calls": 1, "asks": 0, "sleep_ms": 36000000}"#.to_owned()).await },
        );
    }
    while sleeping(&host) < runs {
        assert!(start.elapsed() < PATIENCE, "only {} of {runs} runs began", sleeping(&host));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = start.elapsed();
    host.services().drivers.gate.journal().flush().await.expect("the disk has room");
    let each = (resident() - before) / runs as f64 / 1024.0;
    println!(
        "{runs} runs wait in memory, begun in {}: {each:.1} KiB each, {:.1} GiB in all",
        shown(took),
        resident() / (1024.0 * 1024.0 * 1024.0)
    );
    println!(
        "one more run from its beginning to its end, on disk: {} among them, {} alone",
        shown(median(rounds(&host).await)),
        shown(alone)
    );
    // Nobody waits for their end.
    std::process::exit(0);
}

fn sleeping(host: &Host) -> usize {
    host.services().drivers.gate.live().iter().filter(|live| live.waits.is_some()).count()
}

async fn rounds(host: &Host) -> Vec<Duration> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        one(host).await;
        rounds.push(start.elapsed());
    }
    rounds
}

async fn one(host: &Host) {
    measure(host, r#"{"calls": 1, "asks": 0}"#.to_owned()).await;
}
