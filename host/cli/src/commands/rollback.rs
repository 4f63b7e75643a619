//! `agentry rollback`: a person's own way back to the version before. It fetches nothing.

use std::process::ExitCode;

use anyhow::Result;

use super::packages::InstalledArgs;

/// Agents go back to the version before
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry rollback bookkeeper
  agentry rollback assistant calendar      # both at once, where one requires the other

What it goes back to was agreed to when it was installed, with its folders and its grant of then. A second rollback takes the version before that; none goes \
forward: agentry update NAME does.")]
pub struct Args {
    #[command(flatten)]
    installed: InstalledArgs,
}

/// Takes the version before.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.installed.change(|set, agents| set.roll_back(agents), "is back")
}
