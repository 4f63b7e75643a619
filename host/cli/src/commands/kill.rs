//! `agentry kill`: stops a run in good order. The host of the run does it, or one that is opened for it: its calls are settled and its journal is
//! closed.

use std::process::ExitCode;

use agentry_serve::api::Stop;
use agentry_serve::error::{Kind, OpError};
use agentry_serve::socket;
use anyhow::{Context, Result};

use super::hosting::{self, HostingArgs};
use super::target;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen;

/// Stops a run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry kill 0gx3
  agentry kill 0gx3 --because 'it asks the same thing again and again'")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Why; it stands in the run's record
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Tells the host of the run; where none runs, the run is suspended, and ends so.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { home, run, because } = args;
    let place = home.existing()?;
    let run = target::going(&place, &run)?;
    match socket::ask(place.path(), Stop { run, because: because.clone() }) {
        Err(error) if error.kind == Kind::NoHost => {
            let options = HostingArgs::of(home).options()?;
            let threads = tokio::runtime::Runtime::new().context("cannot start")?;
            threads.block_on(async {
                let host = hosting::open_unchecked(options).await?;
                anyhow::Ok(host.stop_suspended(run, because.as_deref()).await.map_err(OpError::from)?)
            })?;
            screen::tell(&format!("run {run} is stopped\n"));
        }
        told => {
            told?;
            screen::tell(&format!("run {run} stops\n"));
        }
    }
    Ok(Exit::Done.into())
}
