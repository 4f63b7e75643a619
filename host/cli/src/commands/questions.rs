//! `agentry questions`: what agents ask people of their own. It reads, and answers nothing; what policy asks about calls is in
//! `agentry approvals`.

use std::process::ExitCode;

use agentry_store::rows::question::State;
use anyhow::Result;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, inquiry, units};

/// Lists what agents ask people, and what came of it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry questions
  agentry questions --all
  agentry questions --json | jq -r '.[].id'")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Also those that are closed
    #[arg(long)]
    all: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads the questions, and prints them oldest first.
pub fn run(args: &Args) -> Result<ExitCode> {
    let history = args.home.existing()?.history()?;
    let mut found = history.map_or(Ok(Vec::new()), |history| history.inquiries(units::now()))?;
    found.retain(|inquiry| args.all || inquiry.state == State::Open);
    if args.json {
        screen::print_json(&found.iter().map(inquiry::as_json).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        screen::tell("nothing is asked\n");
    }
    if !args.json {
        for inquiry in &found {
            screen::page(&format!("{}\n", inquiry::page(inquiry)))?;
        }
    }
    Ok(Exit::Done.into())
}
