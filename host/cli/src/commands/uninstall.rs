//! `agentry uninstall`: agents go, with the grants that came with them. What they did and wrote stays.

use std::process::ExitCode;

use agentry_packages::lock::Lock;
use anyhow::Result;
use serde_json::json;

use super::packages::InstalledArgs;
use super::packages::entry::Entry;
use crate::exit::Exit;
use crate::screen::{self, text};

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
    let done = args.installed.change(|set, agents| set.uninstall(agents), "is uninstalled");
    // Of those that are gone, now or since a time when this did not come to its end.
    let lock = Lock::load(home.path())?;
    let gone = args.installed.agents().iter().filter(|agent| !lock.agents.contains_key(*agent));
    let (mut left, mut failed) = (Vec::new(), None);
    for (agent, entry) in gone.filter_map(|agent| Some((agent, Entry::at(&home, agent).ok()?))) {
        match entry.remove() {
            Ok(true) if done.is_err() => left.push(agent),
            Ok(_) => {}
            Err(why) => failed = Some(why.context("what it was started by is still there")),
        }
    }
    match (done, failed) {
        (_, Some(why)) => Err(why),
        (Err(_), None) if !left.is_empty() => tell(&args.installed, &left),
        (done, None) => done,
    }
}

/// Of these only a command was there.
fn tell(installed: &InstalledArgs, left: &[&String]) -> Result<ExitCode> {
    if installed.is_json() {
        let told =
            |agent: &&String| json!({"agent": agent, "outcome": "the command that was left of it is taken away"});
        InstalledArgs::print_json(left.iter().map(told).collect())?;
    } else {
        let told = |agent: &&String| format!("the command that was left of {} is taken away\n", text::line(agent));
        left.iter().map(told).for_each(|line| screen::tell(&line));
    }
    Ok(Exit::Done.into())
}
