//! `agentry wait`: waits until a run is over, and says what `agentry run` would have said. It changes nothing.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use agentry_journal::history::History;
use agentry_kernel::RunId;
use agentry_kernel::journal::Entry;
use agentry_store::StoreError;
use anyhow::{Result, anyhow};

use super::followed::{Followed, HOST_LOOK, PAUSE};
use super::ps;
use super::run::finish;
use crate::exit::{Exit, With};
use crate::home::HomeArgs;
use crate::screen::{self, HINT, receipt, say, span, styled, text, units};

/// Waits until a run is over, prints its output and ends as `agentry run` does
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry wait 0gx3
  agentry wait last --timeout 10m --json")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// How long to wait at most [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    timeout: Option<Duration>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
}

/// Waits for its end.
pub fn run(args: &Args) -> Result<ExitCode> {
    let begun = Instant::now();
    let (mut told, mut looked) = (None, begun);
    let mut followed = Followed::find(args.home.existing()?, &args.run)?.within(args.timeout);
    let record = loop {
        if let Some(record) = followed.over()? {
            break record;
        }
        if let Some(timeout) = args.timeout.filter(|timeout| begun.elapsed() >= *timeout) {
            return Err(late(&followed, timeout));
        }
        // It may never go on: whoever waits is told what for.
        if looked.elapsed() >= HOST_LOOK {
            looked = Instant::now();
            let why = stranded(&args.home, followed.run());
            if let Some(why) = why.filter(|why| told.as_ref() != Some(why)) {
                screen::tell(&format!("run {} {}\n", followed.run(), ps::stranded(&why)));
                told = Some(why);
            }
        }
        std::thread::sleep(PAUSE);
    };
    let report = followed.read(|history, _| history.report(&record))?;
    for note in followed.read(notes)? {
        say(&format!("{} {}\n", styled(HINT, "·"), text::with_hint(&note)));
    }
    if let Some(pruned) = followed.read(|history, run| history.receipt(run))?.filter(|_| !args.json) {
        say(&format!("{} {}, and its output with it\n", styled(HINT, "·"), receipt::line(&pruned)));
    }
    finish(&report.into(), args.json)
}

/// Why the host that serves cannot go on with this run, if it tried.
fn stranded(home: &HomeArgs, run: RunId) -> Option<String> {
    let going = ps::going(home.existing().ok()?.path()).ok()?;
    going.stranded.into_iter().find_map(|(stranded, why)| (stranded == run).then_some(why))
}

/// What the admin is to know of its calls; who watches a run sees it at once.
fn notes(history: &History, run: RunId) -> Result<Vec<String>, StoreError> {
    let mut notes = Vec::new();
    for part in history.parts(run) {
        notes.extend(part?.into_iter().filter_map(|entry| match entry {
            Entry::Noted { call, note, .. } => Some(format!("call {call}: {note}")),
            _ => None,
        }));
    }
    Ok(notes)
}

fn late(followed: &Followed, timeout: Duration) -> anyhow::Error {
    let run = followed.run();
    let waited = units::duration(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let why =
        format!("run {run} is not over after {waited}\nhint: it goes on; `agentry logs {run}` shows what it does");
    With(Exit::Unavailable, anyhow!(why)).into()
}
