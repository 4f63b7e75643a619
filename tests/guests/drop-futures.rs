//! Begins model calls and drops them at once, then asks once and waits.
//! Justification: dropping a call is not a way to spend for free, and what was held comes back.

use agentry::Failure;
use agentry::llm::Request;

#[agentry::agent]
async fn run() -> Result<String, Failure> {
    for count in 0..8 {
        drop(Request::new().user(format!("dropped {count}")).max_tokens(8).complete());
    }
    Ok(Request::new().user("kept").max_tokens(8).complete().await?.text())
}
