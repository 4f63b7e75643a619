//! Whom a command means that acts on what runs: a run that goes on, or all runs of an agent.

use std::collections::BTreeSet;

use agentry_config::policies;
use agentry_journal::history::NoRun;
use agentry_journal::listing::RunFilter;
use agentry_kernel::call::RunId;
use agentry_packages::lock::Lock;
use agentry_runtime::config::AgentsConfig;
use agentry_serve::api::LiveRuns;
use agentry_serve::socket;
use anyhow::{Result, bail};

use super::followed::is_over;
use crate::home::Home;
use crate::screen::{status, text};

/// Runs that are looked through for the agents that there are.
const RAN_MAX: usize = 1_000;

/// What is meant.
pub enum Target {
    /// One run.
    Run(RunId),
    /// Every run of this agent.
    Agent(String),
}

/// The run that is called so, which goes on.
pub fn going(home: &Home, name: &str) -> Result<RunId> {
    let record = home.history()?.ok_or(NoRun::Never)?.run(name)?;
    if is_over(record.status) {
        let (word, _) = status::shown(record.status);
        bail!("run {} is over: {word}\nhint: `agentry ps` lists those that go on", record.id);
    }
    Ok(record.id)
}

/// Whether a grant names this agent, or it ran here from a file: then it may begin again.
///
/// # Errors
/// When the store cannot be read.
pub fn is_known(home: &Home, agent: &str) -> Result<bool> {
    if policies::load(&home.policies()).is_ok_and(|policy| policy.grants.iter().any(|grant| grant.agent == agent)) {
        return Ok(true);
    }
    let Some(history) = home.history()? else { return Ok(false) };
    let filter = RunFilter { agent: Some(agent.to_owned()), ..RunFilter::default() };
    Ok(history.newest(filter, None).next().transpose()?.is_some())
}

/// What is said of an agent that this home does not know, with whom was meant; none if it knows it.
///
/// # Errors
/// When the store or a file of the home cannot be read.
pub fn unknown(home: &Home, agent: &str) -> Result<Option<String>> {
    let known = names(home)?;
    if known.contains(agent) || is_known(home, agent)? {
        return Ok(None);
    }
    let hint = text::meant(agent, known.iter().map(String::as_str), "`agentry agents` lists those that there are");
    Ok(Some(format!("there is no agent `{}` here, and none of this name ran\nhint: {hint}", text::line(agent))))
}

/// The agents that lie here, that a file of an admin names, and that ran last.
fn names(home: &Home) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::from_iter(home.agents());
    names.extend(Lock::load(home.path())?.agents.into_keys());
    names.extend(AgentsConfig::load(home.path())?.agents.into_iter().map(|line| line.name));
    let granted = policies::load(&home.policies()).map(|policy| policy.grants).unwrap_or_default();
    names.extend(granted.into_iter().map(|grant| grant.agent));
    let ran = home.history()?.map_or(Ok(Vec::new()), |history| history.runs(RAN_MAX))?;
    names.extend(ran.into_iter().map(|run| run.agent));
    Ok(names)
}

/// The agent that is called so, if the host or the home knows one; else the run.
pub fn find(home: &Home, name: &str) -> Result<Target> {
    let going = socket::ask(home.path(), LiveRuns)?;
    let lives = going.runs.iter().any(|live| live.agent == name) || going.held.iter().any(|agent| agent == name);
    if lives || (!name.contains(['/', '.']) && (home.component(name).is_ok() || is_known(home, name)?)) {
        return Ok(Target::Agent(name.to_owned()));
    }
    match self::going(home, name) {
        Ok(run) => Ok(Target::Run(run)),
        Err(error) if matches!(error.downcast_ref(), Some(NoRun::Unknown { .. } | NoRun::Never)) => {
            let (here, live) = (home.agents(), going.runs.iter().map(|live| &*live.agent));
            let hint = text::meant(name, here.iter().map(String::as_str).chain(live), "`agentry ps` lists runs");
            bail!("there is no run and no agent `{}`\nhint: {hint}", text::cut(name, 64))
        }
        Err(error) => Err(error),
    }
}
