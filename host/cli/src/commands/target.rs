//! Whom a command means that acts on what runs: a run that goes on, or all runs of an agent.

use agentry_config::policies;
use agentry_journal::history::NoRun;
use agentry_journal::listing::RunFilter;
use agentry_kernel::call::RunId;
use agentry_serve::api::LiveRuns;
use agentry_serve::socket;
use anyhow::{Result, bail};

use super::followed::is_over;
use crate::home::Home;
use crate::screen::{status, text};

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
