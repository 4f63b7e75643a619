//! What a package would change in a home: its grant, held against the policy that is there, and ways that become open together with what
//! is installed. Nothing is written here.

use std::collections::BTreeSet;

use agentry_config::policies::{PoliciesError, PolicyFiles};
use agentry_kernel::inquiry::{Location, Route, Scenario, capabilities, routes, show_call};
use agentry_kernel::policy::{Grant, Policy};
use agentry_packages::Fault;
use agentry_packages::lock::Release;
use anyhow::{Context, Result};
use toml::Table;

use super::Candidate;
use crate::commands::policy;
use crate::home::Home;
use crate::screen::text;

/// Ways that are shown; whoever opens more at once has seen that there are many.
const WAYS_MAX: usize = 5;

/// What would be in force.
pub struct Effect {
    /// The text of the grant that would be written; none if an admin's own holds.
    pub grant: Option<String>,
    /// The amounts that it may spend, in the words of `[budget]`.
    pub budget: Table,
    /// All that it can do, each with what binds it.
    pub can: Vec<(String, Vec<String>)>,
    /// Ways to the outside that are open then and were not before.
    pub opens: Vec<String>,
}

impl Effect {
    /// Of this package in this home, where `before` is the release that it follows, and `wider` whether it asks for more than that.
    pub fn of(home: &Home, candidate: &Candidate, before: Option<&Release>, wider: bool) -> Result<Self> {
        let (manifest, signer) = (&candidate.package.manifest, candidate.signer());
        let directory = home.policies();
        let files = if directory.exists() { PolicyFiles::read(&directory)? } else { PolicyFiles::default() };
        let policy = files.parse().map_err(PoliciesError::Mistakes)?;
        let agent = manifest.agent();
        let draft = Grant::draft(manifest, signer);
        let ours = before.and_then(|before| before.grant.as_ref()).map(|grant| format!("/{}", grant.file));
        let Some(there) = policy.grants.iter().find(|grant| grant.agent == agent) else {
            let file = directory.join(format!("50-{agent}.toml")).display().to_string();
            let files = files.with(&file, Some(&draft));
            return Self::under(home, &files, (Some(draft.clone()), &draft), agent, &policy);
        };
        let file = &there.rule.file;
        let is_ours = ours.is_some_and(|ours| file.ends_with(&ours));
        let fits = policy.grant(agent, manifest, signer).is_some();
        if fits && !(is_ours && wider) {
            // It holds for this package as well, and nothing is granted beyond it.
            let text = std::fs::read_to_string(file).context("cannot read the grant of this agent")?;
            return Self::under(home, &files, (None, &text), agent, &policy);
        }
        if !is_ours {
            let message = format!("{file} grants something to `{agent}` already, and not to this package");
            let hint = "look at it: change its `package` and `publisher`, or remove the file";
            return Err(Fault::denied(text::line(&message), hint).into());
        }
        Self::under(home, &files.with(file, Some(&draft)), (Some(draft.clone()), &draft), agent, &policy)
    }

    fn under(
        home: &Home,
        files: &PolicyFiles,
        (grant, text): (Option<String>, &str),
        agent: &str,
        before: &Policy,
    ) -> Result<Self> {
        let scenario = policy::scenario(home, files)?;
        let can = capabilities(&scenario, agent).unwrap_or_default();
        let can = can.into_iter().map(|can| (can.what, can.with)).collect();
        let old = scenario.under(std::sync::Arc::new(before.clone()));
        let was: BTreeSet<String> = open_ways(&old).iter().map(told).collect();
        let now = open_ways(&scenario).iter().map(told).filter(|way| !was.contains(way)).collect::<BTreeSet<_>>();
        let budget = text.parse::<Table>().ok().and_then(|table| table.get("budget")?.as_table().cloned());
        Ok(Self { grant, budget: budget.unwrap_or_default(), can, opens: now.into_iter().take(WAYS_MAX).collect() })
    }
}

/// Ways from what a home keeps to the outside.
fn open_ways(scenario: &Scenario) -> Vec<Route> {
    let roots = scenario.policy.grants.iter().flat_map(|grant| &grant.rights.files);
    let roots: BTreeSet<String> = roots.map(|right| format!("files:{}/", right.root)).collect();
    let places = roots.into_iter().chain(["memory:**".to_owned()]);
    let Ok(outside) = "egress:*".parse::<Location>() else { return Vec::new() };
    let from = places.filter_map(|place| place.parse::<Location>().ok());
    from.flat_map(|from| routes(scenario, &from, &outside)).filter(|route| route.cut.is_none()).collect()
}

/// A way in a line: who reads what, and where it goes.
fn told(route: &Route) -> String {
    let stop = |stop: &agentry_kernel::inquiry::Stop| {
        let asks = if stop.asks { ", once people said yes" } else { "" };
        let (reads, writes) = (show_call(&stop.reads).to_string(), show_call(&stop.writes).to_string());
        format!("{}: {} → {}{asks}", stop.agent, text::cut(&reads, 80), text::cut(&writes, 80))
    };
    route.stops.iter().map(stop).collect::<Vec<_>>().join("; then ")
}
