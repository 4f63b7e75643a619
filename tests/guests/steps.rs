//! Does what its input says, one step after the other, and tells what each gave.
//! Justification: what an order of steps leads to, by labels, locks, policies and other agents, needs an agent that takes any.

use agentry::Failure;

#[agentry::agent]
async fn run(steps: Vec<Vec<String>>) -> Result<Vec<String>, Failure> {
    test_guests::follow(&steps).await
}
