//! Asks the default model many things at once and tells what each came to.
//! Justification: a flood of questions to people is coalesced, and pauses its agent.

use agentry::llm::Request;
use agentry::{Failure, futures};

#[agentry::agent]
async fn run(prompts: Vec<String>) -> Result<Vec<String>, Failure> {
    let asks = prompts.into_iter().map(|prompt| Request::new().user(prompt).max_tokens(8).complete());
    let answers = futures::future::join_all(asks).await;
    let told = answers.into_iter().map(|answer| match answer {
        Ok(answer) => answer.text(),
        Err(failure) => failure.why.to_string(),
    });
    Ok(told.collect())
}
