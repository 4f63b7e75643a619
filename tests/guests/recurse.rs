//! Calls itself until the stack is gone.
//! Justification: the host's own stack must not be what ends it.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<u64, Failure> {
    Ok(down(1))
}

#[allow(unconditional_recursion, reason = "it is what this guest is for")]
fn down(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 32]);
    down(depth + 1) + here[usize::try_from(depth % 32).unwrap_or(0)]
}
