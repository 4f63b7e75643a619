//! Gives back what it got.
//! Justification: the well-behaved guest that shows the others are ended for what they do, not for what they are.

#[agentry::agent]
async fn run(input: serde_json::Value) -> Result<serde_json::Value, agentry::Failure> {
    Ok(input)
}
