//! Lists the models that it may ask, and counts the tokens of a question.
//! Justification: a list holds what is granted and nothing more, and counting costs nothing.

use agentry::Failure;
use agentry::llm::{self, Request};

#[agentry::agent]
async fn run() -> Result<(Vec<String>, u64), Failure> {
    let aliases: Vec<String> = llm::models()?.into_iter().map(|model| model.alias).collect();
    agentry::log::info(format!("{} models", aliases.len()));
    Ok((aliases, llm::count_tokens(Request::new().user("one two three").max_tokens(8))?))
}
