//! Asks a model ten thousand times, one after the other, and counts the refusals.
//! Justification: a budget that is gone stays gone, however often it is asked.

use agentry::Failure;
use agentry::llm::Request;

#[agentry::agent]
async fn run() -> Result<(u32, u32), Failure> {
    let (mut answered, mut refused) = (0_u32, 0_u32);
    for count in 0..10_000 {
        match Request::new().user(format!("question {count}")).max_tokens(8).complete().await {
            Ok(_) => answered += 1,
            Err(_) => refused += 1,
        }
    }
    Ok((answered, refused))
}
