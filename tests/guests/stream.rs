//! Streams an answer and gives its pieces and its whole.
//! Justification: the pieces and the whole are the same text.

use agentry::Failure;
use agentry::llm::{Delta, Request};

#[agentry::agent]
async fn run() -> Result<(Vec<String>, String), Failure> {
    let mut answer = Request::new().user("say something").max_tokens(32).stream();
    let mut pieces = Vec::new();
    while let Some(delta) = answer.next().await {
        match delta {
            Delta::Text(text) => pieces.push(text),
            Delta::Restarted => pieces.clear(),
            _ => {}
        }
    }
    Ok((pieces, answer.finish().await?.text()))
}
