//! `agentry approve`: a yes to one exact call of a run that waits for it. The host of that run checks the code and decides.

use std::process::ExitCode;

use agentry_runtime::approvals::{Effect, Said, Saying};
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_store::rows::approval;
use anyhow::Result;

use crate::exit::{Exit, With};
use crate::home::{Home, HomeArgs};
use crate::screen::{self, GOOD, styled, text};

/// Says yes to one call that waits for people
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry approve 0gx3k8
  agentry approve 0gx3k8 --as alice --code 123456")]
pub struct Args {
    /// The question, or the beginning of its id
    #[arg(value_name = "ID")]
    id: String,
    /// The six digits that your authenticator app shows
    #[arg(long, value_name = "DIGITS")]
    code: Option<String>,
    /// Who you are; needed where more than one approver is enrolled
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Tells the host of the run.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { id: question, code, name, home } = args;
    let said = say(&home.existing()?, Saying { question, name, code, no: None })?;
    screen::tell(&format!("{}\n", styled(GOOD, text::line(&story(&said)))));
    Ok(Exit::Done.into())
}

/// What came of an answer, in a line.
pub fn story(said: &Said) -> String {
    let Said { id, by, answered } = said;
    match answered {
        Effect::Approved => format!("approved {id} as {by}: the call goes ahead"),
        Effect::Denied => format!("denied {id} as {by}: the call is not made"),
        Effect::MoreWanted(more) => format!("{by} said yes to {id}; {more} more must"),
    }
}

/// Hands an answer to the host that runs in this home.
pub fn say(home: &Home, saying: Saying) -> Result<Said> {
    let question = saying.question.clone();
    socket::ask(home.path(), saying).map_err(|error| {
        // A host that was reached has said what became of the question.
        let how = if matches!(error.kind, Kind::Refused(_)) { None } else { became(home, &question) };
        match how.map(|how| format!("`{}` is not open: {how}", text::line(&question))) {
            // No host could hear an answer to it.
            Some(told) if error.kind == Kind::NoHost => {
                let told = anyhow::anyhow!("{told}\nhint: `agentry approvals --all` lists what was asked");
                With(Exit::Denied, told).into()
            }
            Some(told) => anyhow::Error::new(error).context(told),
            None => error.into(),
        }
    })
}

/// What became of a question, where no host is there to say it.
fn became(home: &Home, question: &str) -> Option<String> {
    let history = home.history().ok()??;
    approval::became(&history.questions().ok()?, question)
}
