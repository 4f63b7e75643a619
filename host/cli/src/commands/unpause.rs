//! `agentry unpause`: lets go what `agentry pause` holds.

use std::process::ExitCode;

use anyhow::Result;

use super::pause::{Which, hold};

/// Lets a run or all runs of an agent go on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry unpause 0gx3
  agentry unpause researcher")]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// Tells the host.
pub fn run(args: &Args) -> Result<ExitCode> {
    hold(&args.which, false)
}
