//! Panics.
//! Justification: the text of a panic belongs in the log, and the run has failed.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    panic!("the guest gave up on purpose")
}
