//! `agentry uninstall`: an agent goes, with the grant that came with it. What it did and wrote stays.

use std::process::ExitCode;

use agentry_packages::set::Set;
use anyhow::Result;

use super::packages::InstalledArgs;

/// Takes an agent away, with the grant that came with it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry uninstall bookkeeper

Its runs stay in the journal, and what it wrote stays where it is. Runs that go on, go on.")]
pub struct Args {
    #[command(flatten)]
    installed: InstalledArgs,
}

/// Takes it away.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.installed.change(Set::uninstall, "is uninstalled")
}
