//! `agentry ps`: the runs of this home, the newest first. It reads the journal and changes nothing.

use std::process::ExitCode;

use agentry_kernel::Resource;
use agentry_kernel::journal::Status;
use agentry_runtime::journal::RunRecord;
use anstyle::Style;
use anyhow::Result;
use serde_json::Value;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, DIM, GOOD, amounts, styled, text, units};

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
    let runs = args.home.resolve()?.history()?.map_or(Ok(Vec::new()), |history| history.runs(args.limit))?;
    if args.json {
        screen::print_json(&runs.iter().map(as_json).collect::<Vec<_>>())?;
    } else if runs.is_empty() {
        screen::say("no runs yet\n");
    } else {
        screen::print(&table(&runs))?;
    }
    Ok(Exit::Done.into())
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
        "labels": run.labels,
    })
}

fn table(runs: &[RunRecord]) -> String {
    let head = format!(
        "{:<13}  {:<16}  {:<11}  {:<19}  {:>10}  {:>9}  {:>11}",
        "run", "agent", "status", "began (UTC)", "took", "tokens", "cost"
    );
    let mut table = format!("{}\n", styled(BOLD, head));
    for run in runs {
        let (word, style) = status(run.status);
        let took = run.ended.map_or_else(|| "…".to_owned(), |ended| units::duration(ended.since(run.started)));
        table.push_str(&format!(
            "{}  {:<16}  {}  {}  {took:>10}  {:>9}  {:>11}\n",
            run.id,
            text::cut(&run.agent, 16),
            styled(style, format_args!("{word:<11}")),
            styled(DIM, units::moment(run.started.0)),
            units::count(run.spent[Resource::Tokens]),
            units::dollars(run.spent[Resource::Usd]),
        ));
        if let Some(failure) = &run.failure {
            table.push_str(&format!("               {}\n", styled(DIM, text::cut(failure, 100))));
        }
    }
    table
}

/// How a run stands, in a word and its colour.
pub fn status(status: Status) -> (&'static str, Style) {
    match status {
        Status::Running => ("running", BOLD),
        Status::Done => ("done", GOOD),
        Status::Failed => ("failed", BAD),
        Status::Denied => ("denied", BAD),
        Status::Exhausted => ("exhausted", BAD),
        Status::Unavailable => ("unavailable", BAD),
        Status::Stopped => ("stopped", BAD),
        Status::Suspended => ("suspended", BOLD),
    }
}
