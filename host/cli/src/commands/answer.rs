//! `agentry answer`: a person's answer to a question of an agent. The run takes it at once, or when it is carried on.

use std::process::ExitCode;

use agentry_serve::offline;
use agentry_store::rows::question::{Answering, Reply};
use anyhow::{Context, Result};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, GOOD, inquiry, styled};

/// Answers a question of an agent
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry answer 0gx3k8/4 'Tuesday at ten'
  agentry answer 0gx3k8/4 2                        # the second of those to choose from
  agentry answer 0gx3k8/4 --decline")]
pub struct Args {
    /// The question, or the beginning of its id
    #[arg(value_name = "ID")]
    id: String,
    /// The answer; one of the choices or its number, if there are some
    #[arg(value_name = "TEXT", required_unless_present = "decline")]
    text: Option<String>,
    /// Say that you do not answer
    #[arg(long, conflicts_with = "text")]
    decline: bool,
    /// Why not; the agent reads it
    #[arg(long, value_name = "TEXT", requires = "decline", conflicts_with = "text")]
    because: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Hands the answer in.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { id: question, text, decline: _, because, home } = args;
    let reply = text.map_or_else(|| Reply::Decline(because.unwrap_or_default()), Reply::Text);
    let home = home.existing()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let answered = threads.block_on(offline::act(home.path(), Answering { question, reply }))?;
    screen::tell(&format!("{}\n", styled(GOOD, inquiry::story(&answered))));
    Ok(Exit::Done.into())
}
