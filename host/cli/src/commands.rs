//! The verbs: one file each, with its arguments and what it does.

use std::process::ExitCode;

use anyhow::Result;

/// A verb and its arguments.
#[derive(clap::Subcommand)]
pub enum Command {}

impl Command {
    /// Does what the verb says.
    pub fn run(self) -> Result<ExitCode> {
        match self {}
    }
}
