//! `agentry ps`: the runs of this home, the newest first, and what those that go on wait for. It reads, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use agentry_journal::history::{History, NoRun};
use agentry_journal::listing::RunFilter;
use agentry_kernel::Resource;
use agentry_kernel::call::{RunId, Wait};
use agentry_kernel::journal::{Status, Wake};
use agentry_runtime::run::activity::Live;
use agentry_serve::api::{Going, LiveRuns};
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_store::rows::approval::State;
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::{Imported, RunRecord};
use anyhow::Result;
use serde_json::{Value, json};

use super::filter::{self, FilterArgs};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::stream::Stream;
use crate::screen::table::{Cell, Table, left, right};
use crate::screen::{self, BOLD, DIM, HINT, amounts, receipt, report, status, styled, text, units};

/// Runs that are read, and printed, at once.
const PART_RUNS: usize = 256;

/// Lists runs, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry ps
  agentry ps --agent researcher --status denied,failed --since 2d
  agentry ps --after 0gx3                          # the next page, behind this run
  agentry ps --limit 5 --json | jq -r '.[].run'")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// The most runs to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = filter::limit)]
    limit: u64,
    /// Go on behind this run of an earlier page: its id, or the beginning of it
    #[arg(long, value_name = "RUN")]
    after: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads the index and prints a line a run, as it reads.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let history = home.history()?;
    let Going { runs: live, stranded, .. } = going(home.path())?;
    let live = by_run(live);
    let after = match (&history, &args.after) {
        (_, None) => None,
        (None, Some(_)) => return Err(NoRun::Never.into()),
        (Some(history), Some(after)) => Some(history.run(after)?),
    };
    let mut list = List {
        out: Stream::new(),
        more: More { live, stranded: stranded.into_iter().collect(), ..More::default() },
        json: args.json,
        last: None,
    };
    if args.json {
        list.out.raw("[")?;
    }
    let filter = args.filter.filter();
    let any = filter == RunFilter::default() && after.is_none();
    let mut goes_on = false;
    if let Some(history) = &history {
        let mut runs = history.newest(filter, after.as_ref());
        let mut left = usize::try_from(args.limit).unwrap_or(usize::MAX);
        while left > 0 {
            let part = runs.by_ref().take(left.min(PART_RUNS)).collect::<Result<Vec<_>, _>>()?;
            if part.is_empty() {
                break;
            }
            left -= part.len();
            list.part(history, part)?;
        }
        // A page that is full may be the last all the same.
        goes_on = !args.json && left == 0 && runs.next().transpose()?.is_some();
    }
    let List { mut out, last, .. } = list;
    if args.json {
        out.last("]")?;
    }
    out.end()?;
    match last {
        Some(last) if goes_on => {
            screen::tell(&format!(
                "{}\n",
                styled(DIM, format_args!("there are more: {}", screen::given::page_after(&last.to_string(), None)))
            ));
        }
        None if !args.json => {
            screen::tell(if any { "no runs yet\n" } else { "no such runs\n" });
            args.filter.tell_of_agent(&home)?;
        }
        _ => {}
    }
    Ok(Exit::Done.into())
}

/// A list on its way to the screen.
struct List {
    out: Stream,
    more: More,
    json: bool,
    last: Option<RunId>,
}

impl List {
    fn part(&mut self, history: &History, runs: Vec<RunRecord>) -> Result<()> {
        let runs = runs.into_iter().map(|run| self.more.so_far(history, run));
        let runs: &[RunRecord] = &runs.collect::<Result<Vec<_>>>()?;
        let wakes = runs.iter().zip(history.wakes(runs)?);
        self.more.wakes = wakes.filter_map(|(run, wake)| Some((run.id, wake?))).collect();
        let receipts = runs.iter().zip(history.receipts(runs)?);
        let cut = |run: &RunRecord| run.ended.is_none() && !self.more.live.contains_key(&run.id);
        self.more.asked = if runs.iter().any(cut) {
            let open = history.questions()?.into_iter().filter(|question| question.state == State::Open);
            open.map(|question| question.run).collect()
        } else {
            BTreeSet::new()
        };
        self.more.pruned = receipts.filter_map(|(run, receipt)| Some((run.id, receipt?))).collect();
        if self.json {
            runs.iter().try_for_each(|run| self.out.item(&self.more.as_json(run)))?;
        } else {
            self.out.lines(&table(runs, &self.more))?;
        }
        self.last = runs.last().map(|run| run.id);
        Ok(())
    }
}

/// The runs that go on, as their host sees them; none where no host runs.
pub fn live(home: &Path) -> Result<BTreeMap<RunId, Live>> {
    Ok(by_run(going(home)?.runs))
}

/// What goes on in a home; nothing where no host runs.
pub fn going(home: &Path) -> Result<Going> {
    match socket::ask(home, LiveRuns) {
        Err(error) if error.kind == Kind::NoHost => Ok(Going::default()),
        going => Ok(going?),
    }
}

fn by_run(runs: Vec<Live>) -> BTreeMap<RunId, Live> {
    runs.into_iter().map(|live| (live.run, live)).collect()
}

/// What is known of runs beside their records.
#[derive(Default)]
pub struct More {
    live: BTreeMap<RunId, Live>,
    /// Those that the host could not go on with, and why.
    stranded: BTreeMap<RunId, String>,
    /// What brings those back that have left memory while they wait.
    wakes: BTreeMap<RunId, Wake>,
    /// Those that policy asked people about when their host stopped.
    asked: BTreeSet<RunId>,
    /// What is left of the journals that went.
    pruned: BTreeMap<RunId, Receipt>,
}

impl More {
    fn of(&self, run: &RunRecord) -> Option<&Live> {
        // One that has just ended may still be seen.
        self.live.get(&run.id).filter(|_| run.ended.is_none())
    }

    /// A record with what its run has made and taken so far: its host knows, or else its journal.
    fn so_far(&self, history: &History, run: RunRecord) -> Result<RunRecord> {
        match self.of(&run).cloned() {
            Some(Live { spent, calls, refused, .. }) => Ok(RunRecord { spent, calls, refused, ..run }),
            None => Ok(history.so_far(run)?),
        }
    }

    fn as_json(&self, run: &RunRecord) -> Value {
        let mut object = as_json(run);
        object["live"] = self.of(run).map_or(Value::Null, live_as_json);
        object["pruned"] = json!(self.pruned.get(&run.id).map(receipt::as_json));
        object["stranded"] = json!(self.stranded.get(&run.id));
        object["rests"] = self.wakes.get(&run.id).map_or(Value::Null, wake_as_json);
        object
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

/// Whether what a run took is in the books of this home: not if it came out of a file and never went on here.
pub fn took_here(run: &RunRecord) -> bool {
    run.imported.is_none_or(|imported| imported.adopted)
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
        "trigger": run.trigger,
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
            if took_here(run) { units::count(run.spent[Resource::Tokens]) } else { "—".to_owned() }.into(),
            if took_here(run) { units::dollars(run.spent[Resource::Usd]) } else { "—".to_owned() }.into(),
        ];
        table.row(cells, below(run, now, more));
    }
    table.show(screen::fold::columns())
}

/// What a run waits for that no host has in memory.
fn at_rest(run: &RunRecord, more: &More) -> Option<String> {
    if let Some(wake) = more.wakes.get(&run.id) {
        return Some(rests(wake));
    }
    if let Some(why) = more.stranded.get(&run.id) {
        return Some(stranded(why));
    }
    let asked = more.asked.contains(&run.id) && run.ended.is_none();
    match run.status {
        _ if asked => Some("asks for a person's yes again once a host carries it on: agentry serve".to_owned()),
        // No host does so by itself.
        Status::Suspended if !took_here(run) => {
            Some(format!("goes on by a person's word alone: agentry resume {}", run.id))
        }
        Status::Suspended => Some("waits for a host that carries it on: agentry serve".to_owned()),
        _ => None,
    }
}

/// Why a host cannot go on with a run, and when it tries again.
pub fn stranded(why: &str) -> String {
    format!("cannot go on: {}; it is tried again when policy or the agents of this home change", text::cut(why, 200))
}

/// What else is known of a run, a line each.
fn below(run: &RunRecord, now: Option<&Live>, more: &More) -> String {
    let set_in = |line: String| format!("               {line}\n");
    let dim = |line: String| set_in(styled(DIM, line));
    let mut below = String::new();
    if let Some(imported) = &run.imported {
        below.push_str(&set_in(styled(HINT, self::imported(imported))));
    }
    if let Some(by) = &run.trigger {
        below.push_str(&dim(format!("started by {}", text::cut(by, 100))));
    }
    if let Some(live) = now {
        below.push_str(&dim(self::now(live)));
    }
    if let (Some(waits), None) = (at_rest(run, more), now) {
        below.push_str(&dim(waits));
    }
    if let Some(pruned) = more.pruned.get(&run.id) {
        below.push_str(&dim(format!("its journal was pruned {} UTC", units::moment(pruned.at.0))));
    }
    if let Some((parent, call)) = run.parent {
        below.push_str(&dim(format!("for call {call} of {parent}")));
    }
    if let Some(failure) = &run.failure {
        below.push_str(&dim(format!("error: {}", text::cut(failure, 100))));
    }
    below
}
