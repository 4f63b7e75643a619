//! Asks people and tells them what its input says, one after the other or all at once, and tells what each gave.
//! Justification: what people are asked, answer, decline and are flooded with needs an agent that says anything to them.

use std::time::Duration;

use agentry::human::{self, Question};
use agentry::{Failure, timers};

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Ask {
        text: String,
        #[serde(default)]
        choices: Vec<String>,
        expires_s: Option<u64>,
    },
    AskMany {
        times: u32,
    },
    AskAndDrop {
        text: String,
    },
    Notify {
        text: String,
        #[serde(default = "once")]
        times: u32,
    },
    Sleep {
        ms: u64,
    },
}

fn once() -> u32 {
    1
}

#[agentry::agent]
async fn run(steps: Vec<Step>) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for step in steps {
        told.push(match step {
            Step::Ask { text, choices, expires_s } => {
                let question = Question { expires_s, ..Question::new(text).choices(choices) };
                tell(human::ask(&question).await)
            }
            Step::AskMany { times } => {
                let asked: Vec<_> =
                    (0..times).map(|count| human::ask(&Question::new(format!("number {count}")))).collect();
                let mut given = Vec::new();
                // The last first: those that cannot be asked are answered at once.
                for answer in asked.into_iter().rev() {
                    given.push(tell(answer.await));
                }
                given.join(", ")
            }
            Step::AskAndDrop { text } => {
                drop(human::ask(&Question::new(text)));
                "dropped".into()
            }
            Step::Notify { text, times } => {
                let mut last = Ok(());
                for _ in 0..times {
                    last = human::notify(&text);
                }
                tell(last.map(|()| "told".into()))
            }
            Step::Sleep { ms } => tell(timers::sleep(Duration::from_millis(ms)).await.map(|()| "slept".into())),
        });
    }
    Ok(told)
}

fn tell(result: Result<String, agentry::Error>) -> String {
    result.unwrap_or_else(|error| format!("no: {error}"))
}
