//! `agentry compact`: room that a home does not use goes back to the disk. It needs the home for itself.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::hosting::not_to_be_had;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, GOOD, styled, units};

/// Gives room of the store that is not used back to the disk; no host may run meanwhile
///
/// It moves what is left together and takes about as long as copying the store. Whatever it is cut by, the store is whole.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry prune --older-than 90d && agentry compact
  agentry compact --json")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compacts.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let Some(compacted) = agentry_store::compact(home.path()).map_err(|error| not_to_be_had(home.path(), error))?
    else {
        bail!("there is no store here\nhint: name another home with --home DIR");
    };
    let (before, after) = (compacted.before_bytes, compacted.after_bytes);
    if args.json {
        screen::print_json(&json!({ "before_bytes": before, "after_bytes": after }))?;
    } else {
        let line = format!("{} before, {} now", units::bytes(before), units::bytes(after));
        screen::print(&format!("{}  {line}\n", styled(GOOD, "compacted")))?;
    }
    Ok(Exit::Done.into())
}
