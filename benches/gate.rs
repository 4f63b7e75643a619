//! A syscall through the gate, beside the same call to a host function that does nothing.

use std::time::Duration;

use agentry_benches::bare::Linked;
use agentry_benches::{ROUNDS, agent, home, line, median, open, run, server, timed};

const CALLS: u32 = 400_000;

#[tokio::main]
async fn main() {
    let component = std::fs::read(agent()).expect("the component can be read");
    let linked = Linked::new(&component);
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let home = home(address);
    let host = open(home.path()).await;
    run(&host, 1, 0).await;

    let (mut bare, mut gate) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let input = |calls: u32| format!(r#"{{"calls": {calls}, "asks": 0}}"#);
        let nothing = timed(linked.run(&input(0))).await;
        bare.push(timed(linked.run(&input(CALLS))).await.saturating_sub(nothing) / CALLS);
        let nothing = timed(run(&host, 0, 0)).await;
        gate.push(timed(run(&host, CALLS, 0)).await.saturating_sub(nothing) / CALLS);
    }
    let (bare, gate) = (median(bare), median(gate));
    line("bare host call: timers.now", bare, "published figure, concurrency on", Duration::from_nanos(138));
    line("through the gate: decided, journaled, answered", gate, "bare host call", bare);
    line("what the gate adds", gate.saturating_sub(bare), "its target", Duration::from_micros(1));
}
