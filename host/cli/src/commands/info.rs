//! `agentry info`: what a package is, who vouches for it, and what it may do and cost. It installs nothing, and nothing of a package runs.

use std::process::ExitCode;

use anyhow::Result;

use super::packages::{self, Compared, Effect, Looked, Wanted, as_json, code, command, look};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen;

/// Shows what a package is, who vouches for it, and what it may do and cost; installs nothing
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry info acme:bookkeeper
  agentry info ./bookkeeper.wasm --json")]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let Looked { candidate, compared, lock } = look(&home, &args.wanted)?;
    let before = lock.agents.get(candidate.agent()).map(|installed| &installed.now);
    let wider = compared.as_ref().is_none_or(Compared::is_wider);
    let effect = Effect::of(&home, &candidate, before, wider)?;
    if args.json {
        screen::print_json(&as_json(&candidate, &effect, compared.as_ref()))?;
    } else {
        let install = format!("{} --consent {}", command(&args.wanted), code(&candidate));
        screen::page(&format!(
            "{}\nto install exactly this: {install}\n",
            packages::page(&candidate, &effect, compared.as_ref())
        ))?;
    }
    Ok(Exit::Done.into())
}
