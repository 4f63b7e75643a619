//! `agentry notices`: what agents told people, the newest first. It reads and changes nothing.

use std::process::ExitCode;

use anyhow::Result;

use super::filter;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, DIM, inquiry, styled, units};

/// Lists what agents told people, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry notices
  agentry notices --limit 5 --json | jq -r '.[].text'")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// The most to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = filter::limit)]
    limit: u64,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads the notices and prints them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let history = args.home.existing()?.history()?;
    let found =
        history.map_or(Ok(Vec::new()), |history| history.notices(usize::try_from(args.limit).unwrap_or(usize::MAX)))?;
    if args.json {
        screen::print_json(&found.iter().map(inquiry::notice_as_json).collect::<Vec<_>>())?;
        return Ok(Exit::Done.into());
    }
    if found.is_empty() {
        screen::tell("no agent told anybody anything\n");
    }
    for notice in &found {
        let at = styled(DIM, format_args!("{} {}", units::moment(notice.at.0), notice.run));
        screen::page(&format!("{at} {}\n", inquiry::notice(notice)))?;
    }
    Ok(Exit::Done.into())
}
