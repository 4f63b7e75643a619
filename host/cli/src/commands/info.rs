//! `agentry info`: what a package is, who vouches for it, and what it may do and cost. It installs nothing, and nothing of a package runs.

use std::process::ExitCode;

use anyhow::Result;

use super::packages::{Effects, Looked, Wanted, agreed, as_json, command, lacking, look, page};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, given};

/// Shows what a package is, who vouches for it, and what it may do and cost; installs nothing
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry info acme:bookkeeper
  agentry info ./bookkeeper.wasm --json")]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// A package that it requires, by its name or its file; as often as there are such
    #[arg(long, value_name = "PACKAGE|FILE.wasm")]
    with: Vec<String>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let Looked { team, lock, lacks } = look(&home, &Wanted { is_looked_at: true, ..args.wanted.clone() }, &args.with)?;
    let effects = Effects::of(&home, &team, &lock)?;
    if args.json {
        screen::print_json(&as_json(&team, &effects))?;
    } else {
        let install = match lacks {
            None => {
                let command = format!(
                    "{}{}",
                    command(&args.wanted, &args.with, &[], &[]),
                    lacking(&team, &effects, &lock, (&[], &[]))
                );
                format!("\nto install exactly this: {}\n", given::completed(&agreed(&team, &command)))
            }
            Some(_) => String::new(),
        };
        screen::page(&format!("{}{install}", page(&team, &effects)))?;
    }
    lacks.map_or(Ok(Exit::Done.into()), Err)
}
