//! Asks a model many times at once and counts what came of it.
//! Justification: however many calls go for the last cent, no more pass than fit.

use agentry::llm::Request;
use agentry::{Error, Failure, futures};

#[agentry::agent]
async fn run(calls: u32) -> Result<(u32, u32, u32), Failure> {
    let asked = (0..calls).map(|count| Request::new().user(format!("{count:03}")).max_tokens(8).complete());
    let (mut answered, mut exhausted, mut other) = (0, 0, 0);
    for answer in futures::future::join_all(asked).await {
        match answer {
            Ok(_) => answered += 1,
            Err(failure) if matches!(failure.why, Error::Exhausted(_)) => exhausted += 1,
            Err(_) => other += 1,
        }
    }
    Ok((answered, exhausted, other))
}
