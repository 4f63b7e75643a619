//! Waits a year in a syscall.
//! Justification: a wait never outlives the run's wall time.

use std::time::Duration;

use agentry::{Failure, timers};

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    timers::sleep(Duration::from_secs(364 * 24 * 60 * 60)).await?;
    Ok(())
}
