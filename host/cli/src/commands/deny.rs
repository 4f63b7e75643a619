//! `agentry deny`: a no to one call of a run that waits for an answer, and why.

use std::process::ExitCode;

use agentry_runtime::approvals::Saying;
use anyhow::Result;

use super::approve::{say, story};
use super::digits;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, styled, text};

/// Says no to one call that waits for people
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry deny 0gx3k8 --because 'the car is not for sale'")]
pub struct Args {
    /// The question, or the beginning of its id
    #[arg(value_name = "ID")]
    id: String,
    /// Why; it stands in the run's trace
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// The six digits that your authenticator app shows, if your name is to stand beside it
    #[arg(long, value_name = "DIGITS", value_parser = digits::parse)]
    code: Option<String>,
    /// Who you are, with --code
    #[arg(long = "as", value_name = "NAME", requires = "code")]
    name: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Tells the host of the run.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { id: question, because, code, name, home } = args;
    let said = say(&home.existing()?, Saying { question, name, code, no: Some(because) })?;
    screen::tell(&format!("{}\n", styled(BAD, text::line(&story(&said)))));
    Ok(Exit::Done.into())
}
