//! Asks the default model one question and gives what it said.
//! Justification: the shortest way to a model, for every test about models.

use agentry::Failure;
use agentry::llm::Request;

#[derive(serde::Deserialize)]
struct Input {
    prompt: String,
    max_tokens: Option<u32>,
    model: Option<String>,
}

#[agentry::agent]
async fn run(input: Input) -> Result<String, Failure> {
    let request = Request::new().user(input.prompt).max_tokens(input.max_tokens.unwrap_or(16));
    let request = match input.model {
        Some(model) => request.model(model),
        None => request,
    };
    Ok(request.complete().await?.text())
}
