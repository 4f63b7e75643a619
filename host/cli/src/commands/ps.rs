//! `agentry ps`: the runs of this home, the newest first, and what those that go on wait for. It reads, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use agentry_kernel::Resource;
use agentry_kernel::call::{RunId, Wait};
use agentry_kernel::journal::Wake;
use agentry_runtime::run::activity::Live;
use agentry_serve::api::LiveRuns;
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::{Imported, RunRecord};
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Cell, Table, left, right};
use crate::screen::{self, BOLD, DIM, HINT, amounts, receipt, report, status, styled, text, units};

/// Lists runs, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry ps
  agentry ps --limit 5 --json | jq -r '.[].run'")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// The most runs to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads the journal and prints a line a run.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let history = home.history()?;
    let runs = history.as_ref().map_or(Ok(Vec::new()), |history| history.runs(args.limit))?;
    let live = live(home.path())?;
    let (mut triggers, mut wakes, mut pruned) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    if let Some(history) = &history {
        for run in &runs {
            triggers.extend(history.triggered(run.id)?.map(|by| (run.id, by)));
            wakes.extend(history.wake(run.id)?.map(|wake| (run.id, wake)));
            pruned.extend(history.receipt(run.id)?.map(|receipt| (run.id, receipt)));
        }
    }
    let more = More { live, triggers, wakes, pruned };
    if args.json {
        let run = |run: &RunRecord| {
            let mut object = as_json(run);
            object["live"] = more.of(run).map_or(Value::Null, live_as_json);
            object["trigger"] = json!(more.triggers.get(&run.id));
            object["pruned"] = json!(more.pruned.get(&run.id).map(receipt::as_json));
            object["rests"] = more.wakes.get(&run.id).map_or(Value::Null, wake_as_json);
            object
        };
        screen::print_json(&runs.iter().map(run).collect::<Vec<_>>())?;
    } else if runs.is_empty() {
        screen::tell("no runs yet\n");
    } else {
        screen::page(&table(&runs, &more))?;
    }
    Ok(Exit::Done.into())
}

/// The runs that go on, as their host sees them; none where no host runs.
pub fn live(home: &Path) -> Result<Vec<Live>> {
    match socket::ask(home, LiveRuns) {
        Err(error) if error.kind == Kind::NoHost => Ok(Vec::new()),
        going => Ok(going?.runs),
    }
}

/// What is known of runs beside their records.
#[derive(Default)]
pub struct More {
    live: Vec<Live>,
    /// What started them by itself.
    pub triggers: BTreeMap<RunId, String>,
    /// What brings those back that have left memory while they wait.
    wakes: BTreeMap<RunId, Wake>,
    /// What is left of the journals that went.
    pruned: BTreeMap<RunId, Receipt>,
}

impl More {
    fn of(&self, run: &RunRecord) -> Option<&Live> {
        // One that has just ended may still be seen.
        self.live.iter().find(|live| live.run == run.id && run.ended.is_none())
    }
}

fn wake_as_json(wake: &Wake) -> Value {
    json!({ "until_ms": wake.at.0, "letter": wake.letter, "person": wake.person })
}

/// What brings it back, in a line.
fn rests(wake: &Wake) -> String {
    let mut comes = vec![units::moment(wake.at.0)];
    comes.extend(wake.letter.then(|| "a letter".to_owned()));
    comes.extend(wake.person.then(|| "a person's answer".to_owned()));
    format!("out of memory until {}", comes.join(", or "))
}

fn live_as_json(live: &Live) -> Value {
    json!({
        "state": state(live),
        "waits_for": live.waits.map(Wait::word),
        "since_ms": live.since.0,
        "memory_bytes": live.memory_bytes,
        "calls": live.calls,
    })
}

fn state(live: &Live) -> &'static str {
    match (live.paused, live.waits) {
        (true, _) => "paused",
        (false, Some(_)) => "waiting",
        (false, None) => "running",
    }
}

/// What a run does that waits for this, or for nothing.
pub fn waits(wait: Option<Wait>) -> &'static str {
    match wait {
        None => "computes",
        Some(Wait::Host) => "waits for this host",
        Some(Wait::Web) => "waits for the web",
        Some(Wait::Tool) => "waits for a tool",
        Some(Wait::Model) => "waits for a model",
        Some(Wait::Queue) => "waits for its turn at a model",
        Some(Wait::Sleep) => "sleeps",
        Some(Wait::Agent) => "waits for another agent",
        Some(Wait::Letter) => "waits for a letter",
        Some(Wait::Person) => "waits for a person",
        Some(Wait::Approval) => "waits for a person's yes",
    }
}

/// What it does now, in a line.
fn now(live: &Live) -> String {
    let since = units::moment(live.since.0);
    let does = match live.waits {
        None => waits(None).to_owned(),
        wait => format!("{} since {since}", waits(wait)),
    };
    let calls = units::plural(u64::from(live.calls), "call");
    format!("{does} · {} · {calls}", units::bytes(live.memory_bytes))
}

/// That a run came out of a file, for programs.
pub fn imported_as_json(imported: Imported) -> Value {
    let Imported { at, signer, adopted } = imported;
    json!({ "at_ms": at.0, "signer": signer.map(|key| key.to_string()), "resumed_here": adopted })
}

/// The same in a line.
pub fn imported(imported: &Imported) -> String {
    let signed = imported.signer.map_or_else(|| "unsigned".to_owned(), |key| format!("signed by {key}"));
    format!("came out of a file {} UTC, {signed}", units::moment(imported.at.0))
}

/// A run at a glance, for programs.
pub fn as_json(run: &RunRecord) -> Value {
    serde_json::json!({
        "run": run.id.to_string(),
        "agent": run.agent,
        "package": run.package,
        "component": run.component.to_string(),
        "status": run.status,
        "started_ms": run.started.0,
        "ended_ms": run.ended.map(|at| at.0),
        "calls": run.calls,
        "refused": run.refused,
        "spent": amounts::as_json(&run.spent),
        "failure": run.failure,
        "cause": run.cause.as_ref().map(report::cause_as_json),
        "labels": run.labels,
        "parent": run.parent.map(|(run, call)| format!("{run}/{call}")),
        "imported": run.imported.map(imported_as_json),
    })
}

/// A line a run, and what else is known of it below. On a narrow screen the day goes first, and then what a run took.
pub fn table(runs: &[RunRecord], more: &More) -> String {
    let columns = [
        left("run"),
        left("agent"),
        left("status"),
        left("began (UTC)").goes(3),
        right("took"),
        right("tokens").goes(2),
        right("cost").goes(1),
    ];
    let mut table = Table::new(columns);
    for run in runs {
        let now = more.of(run);
        let (word, style) = now.map_or_else(|| status::shown(run.status), |live| (state(live), BOLD));
        let took = run.ended.map_or_else(|| "…".to_owned(), |ended| units::duration(ended.since(run.started)));
        let cells = [
            run.id.to_string().into(),
            text::cut(&run.agent, 24).into(),
            Cell::of(style, word),
            Cell::of(DIM, units::moment(run.started.0)),
            took.into(),
            units::count(run.spent[Resource::Tokens]).into(),
            units::dollars(run.spent[Resource::Usd]).into(),
        ];
        table.row(cells, below(run, now, more));
    }
    table.show(screen::fold::columns())
}

/// What else is known of a run, a line each.
fn below(run: &RunRecord, now: Option<&Live>, more: &More) -> String {
    let set_in = |line: String| format!("               {line}\n");
    let dim = |line: String| set_in(styled(DIM, line));
    let mut below = String::new();
    if let Some(imported) = &run.imported {
        below.push_str(&set_in(styled(HINT, self::imported(imported))));
    }
    if let Some(by) = more.triggers.get(&run.id) {
        below.push_str(&dim(format!("started by {}", text::cut(by, 100))));
    }
    if let Some(live) = now {
        below.push_str(&dim(self::now(live)));
    }
    if let Some(wake) = more.wakes.get(&run.id).filter(|_| now.is_none()) {
        below.push_str(&dim(rests(wake)));
    }
    if let Some(pruned) = more.pruned.get(&run.id) {
        below.push_str(&dim(format!("its journal was pruned {} UTC", units::moment(pruned.at.0))));
    }
    if let Some((parent, call)) = run.parent {
        below.push_str(&dim(format!("for call {call} of {parent}")));
    }
    if let Some(failure) = &run.failure {
        below.push_str(&dim(text::cut(failure, 100)));
    }
    below
}
