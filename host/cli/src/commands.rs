//! The verbs: one file each, with its arguments and what it does.

mod build;
mod inspect;
mod models;
mod new;
mod policy;
mod ps;
mod run;
mod trace;

use std::process::ExitCode;

use anyhow::Result;

pub use ps::status;

/// A verb and its arguments.
#[derive(clap::Subcommand)]
pub enum Command {
    Run(run::Args),
    Ps(ps::Args),
    Trace(trace::Args),
    Inspect(inspect::Args),
    Models(models::Args),
    Policy(policy::Args),
    New(new::Args),
    Build(build::Args),
}

impl Command {
    /// Does what the verb says.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Ps(args) => ps::run(&args),
            Self::Trace(args) => trace::run(&args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Models(args) => models::run(&args),
            Self::Policy(args) => policy::run(&args),
            Self::New(args) => new::run(args),
            Self::Build(args) => build::run(args),
        }
    }
}
