//! `agentry kill`: stops a run in good order. The host of the run does it; its calls are settled and its journal is closed.

use std::process::ExitCode;

use agentry_serve::api::Stop;
use agentry_serve::socket;
use anyhow::Result;

use super::target;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen;

/// Stops a run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry kill 0gx3
  agentry kill 0gx3 --because 'it asks the same thing again and again'")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Why; it stands in the run's record
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Tells the host of the run.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let run = target::going(&home, &args.run)?;
    socket::ask(home.path(), Stop { run, because: args.because })?;
    screen::tell(&format!("run {run} stops\n"));
    Ok(Exit::Done.into())
}
