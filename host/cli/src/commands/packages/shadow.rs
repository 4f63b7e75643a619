//! Recorded runs of an agent, executed again with a new version of it: every answer comes out of the past, nothing is done, and the calls
//! that it would make are held against those that were made.

use std::collections::BTreeMap;

use agentry_abi::clock::Clock;
use agentry_drivers::tools::schema::Schema;
use agentry_journal::export;
use agentry_journal::history::History;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status};
use agentry_runtime::host::Options;
use agentry_store::rows::run::RunRecord;
use anyhow::{Context, Result};
use serde_json::Value;

use super::Candidate;
use crate::commands::hosting;
use crate::home::Home;

/// Runs that are looked through for those of one agent.
const LOOKED_THROUGH_MAX: usize = 10_000;

/// Runs that are executed again: the newest ones show what an agent does now.
const RUNS_MAX: usize = 5;

/// What came of one run.
pub struct Shadowed {
    /// Which.
    pub run: String,
    /// How many calls were the same.
    pub calls: u32,
    /// The first thing that was not.
    pub differs: Option<String>,
}

/// Executes the newest whole runs of the component that ran again with this one, in a home of their own. What it would not take as its input,
/// it is not executed with.
pub async fn of(home: &Home, ran: Digest, candidate: &Candidate) -> Result<Vec<Shadowed>> {
    let agent = candidate.agent();
    let takes = candidate.package.manifest.input_schema.as_deref();
    let takes = takes.map(Schema::new).transpose().map_err(anyhow::Error::msg).context("its input has no schema")?;
    let Some(history) = home.history()? else { return Ok(Vec::new()) };
    let whole = |record: &RunRecord| {
        record.agent == agent && record.component == ran && record.status == Status::Done && record.imported.is_none()
    };
    let records = history.runs(LOOKED_THROUGH_MAX)?.into_iter().filter(whole).take(RUNS_MAX);
    let copy = tempfile::tempdir().context("cannot make a directory for copies of runs")?;
    let mut runs = Vec::new();
    for record in records {
        // One whose journal was pruned, or that worked for another run, says nothing any more by itself.
        let Ok(exported) = export::export(&history, &record, None) else { continue };
        export::open(&exported, Clock::System.now())?.keep(&copy.path().join("home")).await?;
        runs.push((record.id.to_string(), refused(&history, &record, takes.as_ref())?));
    }
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let file = copy.path().join("new.wasm");
    std::fs::write(&file, &candidate.bytes).context("cannot write a copy of the package")?;
    let policies = copy.path().join("policies");
    std::fs::create_dir(&policies).context("cannot make a directory for copies of runs")?;
    let options = Options {
        policies,
        home: copy.path().join("home"),
        roots: BTreeMap::new(),
        model: None,
        models: Vec::new(),
        preparer: crate::package::preparer()?,
        accept_older: false,
        one_run: true,
    };
    let host = hosting::open(options).await?;
    let mut shadowed = Vec::new();
    for (run, refused) in runs {
        let (calls, differs) = match refused {
            Some(why) => (0, Some(why)),
            None => match host.shadow(&run, &file).await {
                Ok(replayed) => (replayed.calls, replayed.difference.map(|first| first.to_string())),
                Err(error) => (0, Some(error.to_string().lines().next().unwrap_or_default().to_owned())),
            },
        };
        shadowed.push(Shadowed { run, calls, differs });
    }
    Ok(shadowed)
}

/// Why the new version would not take what a run began with; none if it would.
fn refused(history: &History, record: &RunRecord, takes: Option<&Schema>) -> Result<Option<String>> {
    let Some(takes) = takes else { return Ok(None) };
    let started = history.entries(record.id)?.into_iter().find_map(|entry| match entry {
        Entry::Started(started) => Some(started.input),
        _ => None,
    });
    let Some(input) = started.map(|input| history.blob(&input)).transpose()?.flatten() else { return Ok(None) };
    let input: Value = serde_json::from_slice(&input).context("the input of a run is no JSON")?;
    Ok(takes.fits(&input, "the input").err().map(|why| format!("it would not take what that began with: {why}")))
}
