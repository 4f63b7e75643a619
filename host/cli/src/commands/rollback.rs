//! `agentry rollback`: a person's own way back to the version before. It fetches nothing.

use std::process::ExitCode;

use agentry_packages::set::Set;
use anyhow::Result;

use super::packages::done;
use crate::home::HomeArgs;

/// An agent goes back to the version before
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry rollback bookkeeper

What it goes back to was agreed to when it was installed, and its grant of then comes back. A second rollback takes the version before that.")]
pub struct Args {
    /// The agent
    #[arg(value_name = "AGENT")]
    agent: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Takes the version before.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut set = Set::open(args.home.existing()?.path())?;
    let release = set.roll_back(&args.agent)?;
    done(args.json, &set, &args.agent, &release, "is back")
}
