//! Asks the default model one question and gives what it said; of a schema, once more if it said something else.
//! Justification: the shortest way to a model, for every test about models.

use agentry::Failure;
use agentry::llm::Request;

#[derive(serde::Deserialize)]
struct Input {
    prompt: String,
    max_tokens: Option<u32>,
    model: Option<String>,
    schema: Option<String>,
}

#[agentry::agent]
async fn run(input: Input) -> Result<String, Failure> {
    let request = Request::new().user(input.prompt).max_tokens(input.max_tokens.unwrap_or(16));
    let request = match input.model {
        Some(model) => request.model(model),
        None => request,
    };
    Ok(match input.schema {
        Some(schema) => request.schema(schema).complete_or_repair().await?.text(),
        None => request.complete().await?.text(),
    })
}
