//! The same as `steps`, as another agent.
//! Justification: what one agent may do for another, and what they write to each other, needs agents of several names.

use agentry::Failure;

#[agentry::agent]
async fn run(steps: Vec<Vec<String>>) -> Result<Vec<String>, Failure> {
    test_guests::follow(&steps).await
}
