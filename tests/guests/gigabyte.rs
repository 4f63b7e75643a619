//! Returns a pointer to a gigabyte.
//! Justification: what a guest says of a length is checked before anything is copied.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<String, Failure> {
    Ok("x".repeat(1024 * 1024 * 1024))
}
