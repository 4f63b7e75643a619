//! Takes a typed input and gives it back.
//! Justification: input that does not fit its type names the field.

use agentry::Failure;

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    lines: Vec<Line>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    amount: u32,
}

#[agentry::agent]
async fn run(order: Order) -> Result<Order, Failure> {
    Ok(order)
}
