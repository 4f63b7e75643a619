//! `agentry approve`: a yes to one exact call of a run that waits for it. The host of that run checks the code and decides.

use std::process::ExitCode;

use agentry_runtime::approvals::{Effect, Said, SayError, Saying};
use agentry_serve::error::{Kind, OpError};
use agentry_serve::socket;
use agentry_store::rows::approval;
use agentry_store::rows::question::{self, Inquiry};
use anyhow::{Result, bail};

use super::digits;
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, GOOD, styled, text, units};

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
    #[arg(long, value_name = "DIGITS", value_parser = digits::parse)]
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
    if let Some(inquiry) = of_agent(home, &question) {
        bail!(
            "`{inquiry}` is an agent's question, and nothing to say yes or no to\nhint: agentry answer {inquiry} TEXT"
        );
    }
    socket::ask(home.path(), saying).map_err(|error| {
        let why = (error.kind == Kind::NoHost).then(|| unheard(home, question)).flatten();
        why.map_or(error, OpError::from).into()
    })
}

/// The open question of an agent that is called so, and that is another kind than those of policy.
fn of_agent(home: &Home, id: &str) -> Option<String> {
    if !id.contains('/') {
        return None;
    }
    let questions = home.history().ok()??.inquiries(units::now()).ok()?;
    let mut open = questions.iter().filter(|inquiry| inquiry.state == question::State::Open).map(Inquiry::id);
    open.find(|known| known.starts_with(id))
}

/// Why no host could hear an answer, where the home's past knows: the question is closed, or nobody asked it.
fn unheard(home: &Home, id: String) -> Option<SayError> {
    let questions = home.history().ok()??.questions().ok()?;
    let shown = text::cut(&id, 32);
    match approval::named(&questions, &id) {
        Some(question) => approval::became(question).map(|how| SayError::Closed { id: shown, how }),
        None => Some(SayError::Unknown(shown)),
    }
}
