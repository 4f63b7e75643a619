//! Has two model calls and a wait in flight at once.
//! Justification: calls of one run make progress together.

use std::time::Duration;

use agentry::llm::Request;
use agentry::{Failure, futures, timers};

#[agentry::agent]
async fn run() -> Result<(String, String, u64), Failure> {
    let begun = timers::now();
    let ask = |text: &str| Request::new().user(text).max_tokens(16).complete();
    let (one, two, slept) = futures::join!(ask("one"), ask("two"), timers::sleep(Duration::from_millis(100)));
    slept?;
    Ok((one?.text(), two?.text(), timers::now() - begun))
}
