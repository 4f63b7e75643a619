//! `agentry triggers`: what triggers have noticed and whose run has not ended, and those that could not be begun and wait for a person; which
//! triggers there are, and what a person does with them.

mod list;

use std::process::ExitCode;

use agentry_runtime::triggers::TriggerAct;
use agentry_serve::api::{DropCause, Requeue, TendTrigger};
use agentry_serve::offline;
use agentry_store::rows::cause::{self, PendingCause};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Cell, Table, left, right};
use crate::screen::{self, BAD, DIM, GOOD, styled, text, units};

/// Lists what triggers have noticed and is not done; holds triggers, and has one start a run
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A cause stands here from when it is noticed until its run has ended. One whose run cannot be begun is tried again, later \
each time; in the end it waits for a person.

Examples:
  agentry triggers
  agentry triggers requeue 4f1d22ab-7
  agentry triggers drop 4f1d22ab-7                 # no run is begun for it any more
  agentry triggers list                            # every trigger, and when it comes next
  agentry triggers pause digest                    # all that start an agent, or one by its id
  agentry triggers run-now 4f1d22ab"
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
    Drop(Forget),
    List(List),
    Pause(Pause),
    Resume(Resume),
    RunNow(RunNow),
}

/// Lists every trigger, what it waits for and whether a person holds it
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Holds triggers until they are let go: they notice nothing and begin nothing
#[derive(clap::Args)]
struct Pause {
    /// A trigger's id, the beginning of it, or an agent for all that start it
    #[arg(value_name = "ID|AGENT")]
    name: String,
    /// Why, for whoever looks
    #[arg(long, value_name = "WORDS")]
    because: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lets triggers go that are held
#[derive(clap::Args)]
struct Resume {
    /// A trigger's id, the beginning of it, or an agent for all that start it
    #[arg(value_name = "ID|AGENT")]
    name: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Has a trigger start a run now, as if its cause had come
#[derive(clap::Args)]
struct RunNow {
    /// A trigger's id, the beginning of it, or an agent that has one
    #[arg(value_name = "ID|AGENT")]
    name: String,
    /// The input JSON [default: what the trigger says]
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
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

/// Throws a cause away: no run is begun for it any more
#[derive(clap::Args)]
struct Forget {
    /// Its id, as `agentry triggers` prints it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lists them, or does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        None => causes(args),
        Some(Verb::Requeue(again)) => {
            let home = again.home.existing()?;
            let threads = tokio::runtime::Runtime::new().context("cannot start")?;
            threads.block_on(offline::act(home.path(), Requeue { cause: again.id.clone() }))?;
            screen::tell(&format!("{}  {}\n", styled(GOOD, "tries again"), text::line(&again.id)));
            Ok(Exit::Done.into())
        }
        Some(Verb::Drop(Forget { id, home })) => {
            let home = home.existing()?;
            let threads = tokio::runtime::Runtime::new().context("cannot start")?;
            threads.block_on(offline::act(home.path(), DropCause { cause: id.clone() }))?;
            screen::tell(&format!("{}  {}\n", styled(GOOD, "thrown away"), text::line(id)));
            Ok(Exit::Done.into())
        }
        Some(Verb::List(List { home, json })) => list::run(home, *json),
        Some(Verb::Pause(Pause { name, because, home })) => {
            tend(home, name, TriggerAct::Pause { because: because.clone() }, "held")
        }
        Some(Verb::Resume(Resume { name, home })) => tend(home, name, TriggerAct::Resume, "let go"),
        Some(Verb::RunNow(RunNow { name, input, home })) => {
            tend(home, name, TriggerAct::RunNow { input: input.clone() }, "starts a run")
        }
    }
}

/// Does it, by the host that runs or in its place, and says with which triggers.
fn tend(home: &HomeArgs, name: &str, act: TriggerAct, done: &str) -> Result<ExitCode> {
    let home = home.existing()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let triggers = threads.block_on(offline::tend(home.path(), TendTrigger { name: name.to_owned(), act }))?;
    for trigger in triggers {
        screen::tell(&format!("{}  {}\n", styled(GOOD, done), text::line(&trigger)));
    }
    Ok(Exit::Done.into())
}

/// Lists what was noticed and is not done.
fn causes(args: &Args) -> Result<ExitCode> {
    let history = args.home.existing()?.history()?;
    let causes = history.map_or(Ok(Vec::new()), |history| cause::all(&**history.store(), None))?;
    let named: Vec<_> = causes.into_iter().map(|(key, pending)| (cause::name(&key), pending)).collect();
    if args.json {
        screen::print_json(&named.iter().map(as_json).collect::<Vec<_>>())?;
    } else if named.is_empty() {
        screen::tell("no trigger has anything to do\n");
    } else {
        screen::page(&table(&named, screen::fold::columns()))?;
    }
    Ok(Exit::Done.into())
}

/// A line a cause, and below it what is in its way.
fn table(causes: &[(String, PendingCause)], columns: Option<usize>) -> String {
    let mut table = Table::new([left("cause"), left("noticed (UTC)").goes(2), right("tries").goes(1), left("trigger")]);
    for (name, PendingCause { trigger, at, tries, dead, why, .. }) in causes {
        let cells = [
            text::cut(name, 28).into(),
            Cell::of(DIM, units::moment(at.0)),
            tries.to_string().into(),
            text::cut(trigger, 80).into(),
        ];
        // What is to be done about it stands in the JSON, and was told when it happened.
        let first = |why: &String| text::cut(why.split("\nhint: ").next().unwrap_or_default(), 100);
        let waits = |why: &String| format!("  {}  {}\n", styled(BAD, "waits for a person"), first(why));
        let tried = |why: &String| format!("  {}  {}\n", styled(DIM, "is tried again"), first(why));
        table.row(cells, dead.as_ref().map(waits).or_else(|| why.as_ref().map(tried)).unwrap_or_default());
    }
    table.show(columns)
}

fn as_json((name, cause): &(String, PendingCause)) -> Value {
    let PendingCause { trigger, at, input, labels, run, tries, dead, why } = cause;
    json!({
        "cause": name,
        "trigger": trigger,
        "noticed_ms": at.0,
        "input": serde_json::from_str::<Value>(input).unwrap_or_default(),
        "labels": labels,
        "run": run.to_string(),
        "tries": tries,
        "dead": dead,
        "why": dead.as_ref().or(why.as_ref()),
    })
}
