//! Uses what needs no grant: clock, waits, deadline, budget and log; and asks for a wait that is too long.
//! Justification: what is everyone's is there without a line of policy, and has its maximum all the same.

use std::time::Duration;

use agentry::types::ResourceKind;
use agentry::{Failure, budget, log, timers};

#[derive(serde::Serialize)]
struct Seen {
    slept_ms: u64,
    left_ms: Option<u64>,
    tokens: Option<u64>,
    limited: usize,
    too_long: String,
}

#[agentry::agent]
async fn run() -> Result<Seen, Failure> {
    let begun = timers::now();
    timers::sleep(Duration::from_millis(50)).await?;
    let slept_ms = timers::now() - begun;
    log::info("this is in the trace");
    let too_long = timers::sleep(Duration::from_secs(100 * 366 * 24 * 60 * 60)).await;
    Ok(Seen {
        slept_ms,
        left_ms: timers::deadline().map(|deadline| deadline - timers::now()),
        tokens: budget::left(ResourceKind::Tokens)?,
        limited: budget::remaining()?.len(),
        too_long: too_long.err().map(|error| error.to_string()).unwrap_or_default(),
    })
}
