//! `agentry uninstall`: an agent goes, with the grant that came with it. What it did and wrote stays.

use std::process::ExitCode;

use agentry_packages::set::Set;
use anyhow::Result;

use super::packages::done;
use crate::home::HomeArgs;

/// Takes an agent away, with the grant that came with it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry uninstall bookkeeper

Its runs stay in the journal, and what it wrote stays where it is. Runs that go on, go on.")]
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

/// Takes it away.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut set = Set::open(args.home.existing()?.path())?;
    let release = set.uninstall(&args.agent)?;
    done(args.json, &set, &args.agent, &release, "is uninstalled")
}
