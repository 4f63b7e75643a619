//! Works in rounds: asks a model, calls a tool that may be called twice, writes a letter, waits for one, lets another agent help and
//! waits, all at once; writes down how far it is, and calls at last a tool that may not, itself and by another agent.
//! Justification: a run that is killed at any instant of all this must come to the same end.

use std::time::Duration;

use agentry::agents::{self, Letter, Share};
use agentry::futures::future::{Either, select};
use agentry::llm::Request;
use agentry::memory::namespace;
use agentry::types::ResourceKind;
use agentry::{Error, Failure, futures, timers, tools};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What whoever helps may burn.
const HELP_FUEL: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Input {
    name: String,
    rounds: u32,
}

#[derive(Serialize)]
struct Output {
    rounds: Vec<String>,
    sold: Vec<String>,
    /// Id, subject and body of each.
    letters: Vec<(String, String, String)>,
}

#[agentry::agent]
async fn run(Input { name, rounds }: Input) -> Result<Output, Failure> {
    let (mut told, mut letters) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let question = format!("{name} {round}");
        let arguments = json!({"order": question}).to_string();
        let asked = Request::new().user(question.as_str()).max_tokens(16).complete();
        let noted = tools::call_json("test.note", &arguments);
        agents::send("clerk", &name, &round.to_string())?;
        let slept = timers::sleep(Duration::from_millis(3));
        let (asked, noted, slept, letter, helped) =
            futures::join!(asked, noted, slept, letter(), help(&name, &question, round));
        slept?;
        let (answer, note, letter) = (asked?.text(), noted?.text(), letter?);
        letters.push((letter.id, letter.subject, letter.body_json));
        let version = namespace("team/board").put_text(&name, format!("{round}"))?;
        told.push(format!("{answer}, {note}, version {version}, {}", helped?));
    }
    let own = match tools::call_json("test.sell", &json!({"order": name}).to_string()).await {
        Ok(answer) => answer.text(),
        Err(Error::Interrupted(_)) => "nobody knows".to_owned(),
        Err(error) => return Err(error.into()),
    };
    let steps = json!([["ask", "test.sell", json!({"order": format!("{name} helped")}).to_string()]]);
    let sold = vec![own, worker(&steps).await?];
    Ok(Output { rounds: told, sold, letters })
}

/// The next letter. It lets go of its call again and again, also when a letter has just come: none of them may get lost by it.
async fn letter() -> Result<Letter, Error> {
    let mut patience = Duration::from_millis(10);
    loop {
        let slept = match select(agents::receive(None), timers::sleep(patience)).await {
            Either::Left((letter, _)) => match letter? {
                Some(letter) => return Ok(letter),
                None => continue,
            },
            Either::Right((slept, _)) => slept,
        };
        slept?;
        patience = (patience * 2).min(Duration::from_millis(320));
    }
}

/// Every second round another agent does something outside and keeps something.
async fn help(name: &str, question: &str, round: u32) -> Result<String, Error> {
    if round % 2 == 1 {
        return Ok("alone".to_owned());
    }
    let arguments = json!({"order": question}).to_string();
    let steps = json!([["ask", "test.help", arguments], ["put", "team/board", format!("{name} helped"), "x"]]);
    worker(&steps).await
}

async fn worker(steps: &serde_json::Value) -> Result<String, Error> {
    agents::call("worker", &steps.to_string(), &[Share::of(ResourceKind::Fuel, HELP_FUEL)]).await
}
