//! `agentry resolve`: what a person found out about a call whose answer was lost with its host.

use std::process::ExitCode;

use agentry_journal::settle_unknown::Resolution;
use agentry_kernel::budget::Resource;
use agentry_kernel::call::CallId;
use agentry_serve::offline;
use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, GOOD, styled};

/// Says whether a call happened whose answer was lost with its host
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["happened", "did_not"]), after_help = "\
A call that cannot be undone is not made again after its host has stopped: its agent is told that nobody knows, and what \
was held for it counts as spent. Whoever looked at the other side says here what came of it. If it did not happen, the \
accounts have it back. The word stands in the run's journal.

Examples:
  agentry resolve 0gx3/7 --happened --because \"the bank shows it\"
  agentry resolve last/7 --did-not --because \"the shop has no such order\"")]
pub struct Args {
    /// The run, or the beginning of its id, or `last`; and the number of the call
    #[arg(value_name = "RUN/CALL")]
    call: String,
    /// It happened: it stays paid
    #[arg(long)]
    happened: bool,
    /// It did not happen: the accounts have back what was held for it
    #[arg(long)]
    did_not: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Takes the person's word.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let named = args.call.split_once('/').and_then(|(run, call)| Some((run, CallId(call.parse().ok()?))));
    let Some((run, call)) = named else {
        bail!("a call is named RUN/CALL, such as last/7\nhint: `agentry trace RUN` numbers the calls of a run");
    };
    let history = home.history()?.context("nothing has run in this home yet")?;
    let run = history.whole_run(run)?.id;
    drop(history);
    let resolution = Resolution { run, call, happened: args.happened, because: args.because };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let resolved = threads.block_on(offline::act(home.path(), resolution))?;
    let back: Vec<_> = Resource::ALL.into_iter().filter(|what| resolved.returned[*what] > 0).collect();
    if args.json {
        let returned: serde_json::Map<_, _> =
            back.iter().map(|what| (what.name().to_owned(), json!(resolved.returned[*what]))).collect();
        screen::print_json(
            &json!({ "run": run.to_string(), "call": call.0, "happened": args.happened, "returned": returned }),
        )?;
    } else if args.happened {
        screen::tell(&format!("{}  call {call} of run {run} happened; it stays paid\n", styled(GOOD, "noted")));
    } else {
        let shown: Vec<_> = back.iter().map(|what| what.show(resolved.returned[*what])).collect();
        let shown = if shown.is_empty() { "nothing was held".to_owned() } else { format!("{} back", shown.join(", ")) };
        screen::tell(&format!("{}  call {call} of run {run} did not happen; {shown}\n", styled(GOOD, "noted")));
    }
    Ok(Exit::Done.into())
}
