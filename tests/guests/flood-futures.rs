//! Begins calls without end and keeps every future.
//! Justification: handles and calls in flight have a maximum.

use std::time::Duration;

use agentry::{Failure, timers};

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    let mut kept = Vec::new();
    loop {
        kept.push(timers::sleep(Duration::from_secs(3600)));
        std::hint::black_box(&kept);
    }
}
