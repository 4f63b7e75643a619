//! `agentry uninstall`: agents go, with the grants that came with them. What they did and wrote stays.

use std::process::ExitCode;

use anyhow::Result;

use super::packages::{InstalledArgs, entry};

/// Takes agents away, with the grants that came with them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry uninstall bookkeeper
  agentry uninstall assistant calendar     # what requires it goes with it

A command that `install --bin` made goes as well. Its runs stay in the journal, and what it wrote stays where it is. Runs that go on lack its grant at their next call; those that wait are tried again once there is a grant for them.")]
pub struct Args {
    #[command(flatten)]
    installed: InstalledArgs,
}

/// Takes it away.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.installed.home()?;
    let done = args.installed.change(|set, agents| set.uninstall(agents), "is uninstalled")?;
    args.installed.agents().iter().try_for_each(|agent| entry::remove(&home, agent))?;
    Ok(done)
}
