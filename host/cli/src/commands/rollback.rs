//! `agentry rollback`: a person's own way back to the version before. It fetches nothing.

use std::process::ExitCode;

use agentry_packages::set::Set;
use anyhow::Result;

use super::packages::InstalledArgs;

/// An agent goes back to the version before
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry rollback bookkeeper

What it goes back to was agreed to when it was installed, and its grant of then comes back. A second rollback takes the version before that.")]
pub struct Args {
    #[command(flatten)]
    installed: InstalledArgs,
}

/// Takes the version before.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.installed.change(Set::roll_back, "is back")
}
