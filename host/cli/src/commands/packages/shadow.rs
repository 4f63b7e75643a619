//! Recorded runs of an agent, executed again with a new version of it: every answer comes out of the past, nothing is done, and the calls
//! that it would make are held against those that were made.

use std::collections::BTreeMap;

use agentry_abi::clock::Clock;
use agentry_journal::export;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Status;
use agentry_runtime::host::Options;
use agentry_store::rows::run::RunRecord;
use anyhow::{Context, Result};

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

/// Executes the newest whole runs of this component again with these bytes, in a home of their own.
pub async fn of(home: &Home, agent: &str, ran: Digest, component: &[u8]) -> Result<Vec<Shadowed>> {
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
        runs.push(record.id.to_string());
    }
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let file = copy.path().join("new.wasm");
    std::fs::write(&file, component).context("cannot write a copy of the package")?;
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
    for run in runs {
        let (calls, differs) = match host.shadow(&run, &file).await {
            Ok(replayed) => (replayed.calls, replayed.difference.map(|first| first.to_string())),
            Err(error) => (0, Some(error.to_string().lines().next().unwrap_or_default().to_owned())),
        };
        shadowed.push(Shadowed { run, calls, differs });
    }
    Ok(shadowed)
}
