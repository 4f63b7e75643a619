//! Works in rounds: asks a model, calls a tool that may be called twice and waits, both at once, writes down how far it is, and calls at
//! last a tool that may not.
//! Justification: a run that is killed at any instant of all this must come to the same end.

use std::time::Duration;

use agentry::llm::Request;
use agentry::memory::namespace;
use agentry::{Error, Failure, futures, timers, tools};
use serde::Deserialize;

#[derive(Deserialize)]
struct Input {
    name: String,
    rounds: u32,
}

#[agentry::agent]
async fn run(Input { name, rounds }: Input) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for round in 0..rounds {
        let question = format!("{name} {round}");
        let arguments = format!("{{\"order\": \"{question}\"}}");
        let asked = Request::new().user(question.as_str()).max_tokens(16).complete();
        let noted = tools::call_json("test.note", &arguments);
        let (asked, noted, slept) = futures::join!(asked, noted, timers::sleep(Duration::from_millis(3)));
        slept?;
        let (answer, note) = (asked?.text(), noted?.text());
        let version = namespace("team/board").put_text(&name, format!("{round}"))?;
        told.push(format!("{answer}, {note}, version {version}"));
    }
    told.push(match tools::call_json("test.sell", &format!("{{\"order\": \"{name}\"}}")).await {
        Ok(answer) => answer.text(),
        Err(Error::Interrupted(_)) => "nobody knows".to_owned(),
        Err(error) => return Err(error.into()),
    });
    Ok(told)
}
