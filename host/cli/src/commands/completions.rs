//! `agentry completions`: what a shell needs to complete verbs and options. It prints and changes nothing.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::screen;

/// Prints completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry completions bash > ~/.local/share/bash-completion/completions/agentry
  agentry completions zsh > \"${fpath[1]}/_agentry\"
  agentry completions fish > ~/.config/fish/completions/agentry.fish")]
pub struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "agentry", &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done.into())
}
