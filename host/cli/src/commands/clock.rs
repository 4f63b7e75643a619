//! `agentry clock`: the time that a home goes by beside what the machine's clock says, and a person's word that the latter is right.

use std::process::ExitCode;

use agentry_kernel::time::ClockReading;
use agentry_serve::api::{AcceptClock, LookAtClock};
use agentry_serve::offline;
use anyhow::{Context, Result};
use serde_json::json;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, GOOD, styled, units};

/// Shows the time that a home goes by, and accepts the machine's clock
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Time never goes back in a home, and it leaps ahead only as far as that can be believed: a clock that is wrong for a \
while refills no budget and ends no wait. If the machine's clock is right and the home is not, say so.

Examples:
  agentry clock
  agentry clock accept"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Verb {
    Accept(Accept),
}

/// Says that the machine's clock is right: the home goes by it from now on. What was used in a time that has not come counts for now
#[derive(clap::Args)]
struct Accept {
    #[command(flatten)]
    home: HomeArgs,
}

/// Shows both clocks, or does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    if let Some(Verb::Accept(accept)) = &args.verb {
        let home = accept.home.existing()?;
        let before = threads.block_on(offline::act(home.path(), AcceptClock))?;
        let (host, machine) = (units::moment(before.host.0), units::moment(before.machine.0));
        let moved =
            if before.host == before.machine { "it was that already".to_owned() } else { format!("was {host}") };
        screen::tell(&format!("{}  {machine} UTC  {moved}\n", styled(GOOD, "accepted")));
        return Ok(Exit::Done.into());
    }
    let home = args.home.existing()?;
    let reading = threads.block_on(offline::act(home.path(), LookAtClock))?;
    if args.json {
        screen::print_json(&as_json(&reading))?;
    } else {
        screen::print(&page(&reading))?;
    }
    Ok(Exit::Done.into())
}

fn as_json(reading: &ClockReading) -> serde_json::Value {
    json!({
        "home_ms": reading.host.0,
        "machine_ms": reading.machine.0,
        "ahead_ms": reading.ahead_ms().unwrap_or(0),
        "behind_ms": reading.behind_ms().unwrap_or(0),
    })
}

/// Both clocks, and what can be done where they differ.
fn page(reading: &ClockReading) -> String {
    let both =
        format!("home     {} UTC\nmachine  {} UTC\n", units::moment(reading.host.0), units::moment(reading.machine.0));
    match off(reading) {
        Some(off) => format!("{both}{}\nhint: {MEND}\n", styled(BAD, off)),
        None => both,
    }
}

/// By how much the machine's clock is off, if it is by more than is tolerated.
pub fn off(reading: &ClockReading) -> Option<String> {
    let ahead = reading.ahead_ms().map(|ms| format!("the machine is ahead by {}", units::duration(ms)));
    ahead.or_else(|| Some(format!("the machine is behind by {}", units::duration(reading.behind_ms()?))))
}

/// What can be done then.
pub const MEND: &str = "set the clock; or, if it is right, run `agentry clock accept`";
