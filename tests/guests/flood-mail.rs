//! Writes letters to an agent that reads none, and tells how many were taken and what it was told then.
//! Justification: a mailbox is bounded, and whoever fills it hears so.

use agentry::{Failure, agents};

#[agentry::agent]
async fn run(bytes: usize) -> Result<(u32, String), Failure> {
    let body = format!("\"{}\"", "x".repeat(bytes));
    for sent in 0..100_000 {
        if let Err(error) = agents::send("clerk", "flood", &body) {
            return Ok((sent, error.to_string()));
        }
    }
    Ok((100_000, "it takes whatever comes".into()))
}
