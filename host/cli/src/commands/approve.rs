//! `agentry approve`: a yes to one exact call of a run that waits for it. The host of that run checks the code and decides.

use std::process::ExitCode;

use agentry_runtime::approvals::{Effect, Said, Saying};
use agentry_serve::api::{Reply, Request};
use agentry_serve::socket::{self, ControlError};
use agentry_store::rows::approval;
use anyhow::{Result, bail};

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
    let said = say(&home.resolve()?, Saying { question, name, code, no: None })?;
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
    match socket::ask(home.path(), &Request::Say(saying)) {
        Ok(Reply::Said(said)) => Ok(said),
        Ok(_) => bail!("the host answered another question\nhint: use the same program for both"),
        Err(error @ ControlError::Refused(_)) => Err(With(Exit::Denied, error.into()).into()),
        Err(error) => {
            let error = anyhow::Error::new(error);
            let error = match became(home, &question) {
                Some(how) => error.context(format!("`{}` is not open: {how}", text::line(&question))),
                None => error,
            };
            Err(With(Exit::Unavailable, error).into())
        }
    }
}

/// What became of a question, where no host is there to say it.
fn became(home: &Home, question: &str) -> Option<String> {
    let history = home.history().ok()??;
    approval::became(&history.questions().ok()?, question)
}
