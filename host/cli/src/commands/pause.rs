//! `agentry pause`: holds a run, or all of an agent. Its deadlines go on, and so do its calls; it makes no new ones. The host of the run
//! does it, and forgets it when it ends.

use std::process::ExitCode;

use agentry_serve::api::{Hold, HoldAgent};
use agentry_serve::socket;
use anyhow::Result;

use super::target::{self, Target};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, text, units};

/// Holds a run or all runs of an agent until `agentry unpause`
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry pause 0gx3
  agentry pause researcher      # also those of its runs that begin later")]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// What is held or let go.
#[derive(clap::Args)]
pub struct Which {
    /// The run, the beginning of its id, `last`, or an agent's name
    #[arg(value_name = "RUN|AGENT")]
    target: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Tells the host.
pub fn run(args: &Args) -> Result<ExitCode> {
    hold(&args.which, true)
}

/// Holds it, or lets it go.
pub fn hold(which: &Which, hold: bool) -> Result<ExitCode> {
    let home = which.home.existing()?;
    let story = match target::find(&home, &which.target)? {
        Target::Run(run) => {
            let news = socket::ask(home.path(), Hold { run, hold })?;
            format!("run {run} {}", word(hold, news))
        }
        Target::Agent(agent) => {
            let runs = socket::ask(home.path(), HoldAgent { agent: agent.clone(), hold })?;
            format!("agent {} {}: {}", text::line(&agent), word(hold, true), units::plural(runs, "run"))
        }
    };
    screen::tell(&format!("{story}\n"));
    Ok(Exit::Done.into())
}

fn word(hold: bool, news: bool) -> &'static str {
    match (hold, news) {
        (true, true) => "is paused",
        (true, false) => "was paused already",
        (false, true) => "goes on",
        (false, false) => "was not paused",
    }
}
