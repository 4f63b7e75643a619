//! `agentry new`: makes the crate of a new agent, ready to build.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::author::template;
use crate::screen::{self, text};

/// Makes the crate of a new agent.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry new greeter
  cd greeter && agentry build && agentry inspect greeter.wasm")]
pub struct Args {
    /// The agent's name: lowercase letters, digits and `-`
    name: String,
    /// Where the crate goes [default: a directory of that name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Does it.
pub fn run(args: Args) -> Result<ExitCode> {
    template::check(&args.name)?;
    let directory = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    template::write(&args.name, &directory)?;
    let shown = text::line(&directory.display().to_string());
    screen::print(&format!(
        "made {shown}: the agent is src/lib.rs, what it asks for is agent.toml\nnext: agentry build {}\n",
        text::word(directory.display())
    ))?;
    Ok(ExitCode::SUCCESS)
}
