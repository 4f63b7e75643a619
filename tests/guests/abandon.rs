//! Returns while calls are in flight.
//! Justification: what a run leaves behind is cancelled, settled and not waited for.

use std::time::Duration;

use agentry::llm::Request;
use agentry::{Failure, timers};

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    std::mem::forget(Request::new().user("abandoned").max_tokens(32).complete());
    std::mem::forget(timers::sleep(Duration::from_secs(3600)));
    Ok(())
}
