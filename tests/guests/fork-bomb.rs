//! Calls itself as often as it can, and lets each of those do the same.
//! Justification: what agents may start has to end by limits and by the budget of the first, not by what the machine holds.

use agentry::futures::future::join_all;
use agentry::{Failure, agents};

#[agentry::agent]
async fn run(width: u32) -> Result<u64, Failure> {
    let input = width.to_string();
    let children = join_all((0..width).map(|_| agents::call("fork-bomb", &input, &[]))).await;
    let below = children.iter().flatten().filter_map(|count| count.parse::<u64>().ok());
    Ok(1 + below.sum::<u64>())
}
