//! Returns a text that is as large as its memory allows.
//! Justification: the size of an output is the host's to bound; a gigabyte does not fit and traps, half of the memory is refused.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<String, Failure> {
    Ok("x".repeat(24 * 1024 * 1024))
}
