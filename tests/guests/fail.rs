//! Fails in its own words, without a cause.
//! Justification: an agent's own failure is told apart from a denial.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    Err(Failure::new("the guest does not want to"))
}
