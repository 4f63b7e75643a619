//! Works out an expression. It wants nothing, so whoever may call it gives nothing away by it: a tool that a stranger may write.
#![warn(missing_docs)]

mod expression;

use agentry::Failure;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Input {
    expression: String,
}

#[derive(Serialize)]
struct Output {
    /// A text, because numbers of JSON are read as binary fractions by most.
    value: String,
}

#[agentry::agent]
async fn run(Input { expression }: Input) -> Result<Output, Failure> {
    let value = expression::value(&expression).map_err(|flaw| Failure::new(flaw.to_string()))?;
    Ok(Output { value: value.normalize().to_string() })
}
