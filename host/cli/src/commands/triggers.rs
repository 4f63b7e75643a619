//! `agentry triggers`: what triggers have noticed and whose run has not ended, and those that could not be begun and wait for a person.

use std::process::ExitCode;

use agentry_serve::api::Requeue;
use agentry_serve::offline;
use agentry_store::rows::cause::{self, PendingCause};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, DIM, GOOD, styled, text, units};

/// Lists what triggers have noticed and is not done; lets one try again
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A cause stands here from when it is noticed until its run has ended. One whose run cannot be begun is tried again, later \
each time; in the end it waits for a person.

Examples:
  agentry triggers
  agentry triggers requeue 4f1d22ab-7"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Verb {
    Requeue(Again),
}

/// Lets a cause try again that waits for a person
#[derive(clap::Args)]
struct Again {
    /// Its id, as `agentry triggers` prints it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lists them, or does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(Verb::Requeue(again)) = &args.verb {
        let home = again.home.existing()?;
        let threads = tokio::runtime::Runtime::new().context("cannot start")?;
        threads.block_on(offline::act(home.path(), Requeue { cause: again.id.clone() }))?;
        screen::tell(&format!("{}  {}\n", styled(GOOD, "tries again"), text::line(&again.id)));
        return Ok(Exit::Done.into());
    }
    let history = args.home.existing()?.history()?;
    let causes = history.map_or(Ok(Vec::new()), |history| cause::all(&**history.store(), None))?;
    let named: Vec<_> = causes.into_iter().map(|(key, pending)| (cause::name(&key), pending)).collect();
    if args.json {
        screen::print_json(&named.iter().map(as_json).collect::<Vec<_>>())?;
    } else if named.is_empty() {
        screen::tell("no trigger has anything to do\n");
    } else {
        screen::page(&table(&named))?;
    }
    Ok(Exit::Done.into())
}

/// A line a cause, and below it what is in its way.
fn table(causes: &[(String, PendingCause)]) -> String {
    let head = format!("{:<20}  {:<19}  {:>5}  {}", "cause", "noticed (UTC)", "tries", "trigger");
    let mut table = format!("{}\n", styled(BOLD, head));
    for (name, PendingCause { trigger, at, tries, dead, .. }) in causes {
        let at = styled(DIM, units::moment(at.0));
        table.push_str(&format!("{:<20}  {at}  {tries:>5}  {}\n", text::cut(name, 28), text::cut(trigger, 80)));
        if let Some(why) = dead {
            table.push_str(&format!("  {}  {}\n", styled(BAD, "waits for a person"), text::cut(why, 100)));
        }
    }
    table
}

fn as_json((name, cause): &(String, PendingCause)) -> Value {
    let PendingCause { trigger, at, input, labels, run, tries, dead } = cause;
    json!({
        "cause": name,
        "trigger": trigger,
        "noticed_ms": at.0,
        "input": serde_json::from_str::<Value>(input).unwrap_or_default(),
        "labels": labels,
        "run": run.to_string(),
        "tries": tries,
        "dead": dead,
    })
}
