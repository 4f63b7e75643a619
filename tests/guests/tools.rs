//! Calls the tools that it is told to, one after another, and tells what each answered.
//! Justification: the shortest way to a tool, for every test about tools.

use std::time::Duration;

use agentry::futures::future::{Either, select};
use agentry::{Failure, timers, tools};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    calls: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    tool: String,
    /// As a model would write them.
    arguments: String,
    /// Drops the call after so long.
    drop_after_ms: Option<u64>,
}

#[derive(Serialize)]
struct Output {
    listed: Vec<String>,
    answers: Vec<Told>,
}

#[derive(Serialize, Default)]
struct Told {
    error: Option<String>,
    failed: bool,
    text: String,
    labels: Vec<String>,
    microusd: u64,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Output, Failure> {
    let listed = tools::list()?.into_iter().map(|tool| tool.name).collect();
    let mut answers = Vec::new();
    for wanted in input.calls {
        answers.push(call(&wanted).await?);
    }
    Ok(Output { listed, answers })
}

async fn call(wanted: &Wanted) -> Result<Told, Failure> {
    let call = tools::call_json(&wanted.tool, &wanted.arguments);
    let answer = match wanted.drop_after_ms {
        None => call.await,
        Some(ms) => match select(call, timers::sleep(Duration::from_millis(ms))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => return Ok(Told { error: Some("dropped".into()), ..Told::default() }),
        },
    };
    Ok(match answer {
        Ok(answer) => Told {
            error: None,
            failed: answer.failed,
            text: answer.text(),
            labels: answer.labels,
            microusd: answer.cost.microusd,
        },
        Err(error) => Told { error: Some(error.to_string()), ..Told::default() },
    })
}
