//! What a package would change in a home: its grant, held against the policy that is there, and ways that become open together with what
//! is installed. Nothing is written here.

use std::collections::BTreeSet;
use std::path::Path;

use agentry_config::policies::{PoliciesError, PolicyFiles};
use agentry_kernel::inquiry::{Location, Route, Scenario, capabilities, routes, show_call};
use agentry_kernel::manifest::WantsSecret;
use agentry_kernel::policy::{Grant, Policy};
use agentry_kernel::rights::SecretRight;
use agentry_packages::Fault;
use agentry_packages::lock::{By, Lock, Release};
use anyhow::{Context, Result};
use toml::Table;

use super::models::Unable;
use super::team::Member;
use super::{Candidate, Compared, Team};
use crate::commands::policy;
use crate::home::Home;
use crate::screen::text;

/// Ways that are shown; whoever opens more at once has seen that there are many.
const WAYS_MAX: usize = 5;

/// What would be in force with one package more.
pub struct Effect {
    /// The text of the grant that would be written; none if an admin's own holds.
    pub grant: Option<String>,
    /// The file of the grant that is in force, or that would be written.
    pub file: String,
    /// The secrets that its grant in force gives already.
    pub granted: Vec<SecretRight>,
    /// What it needs of a model, if no model of this home that its grant allows can do that.
    pub unable: Option<Unable>,
    /// The amounts that it may spend, in the words of `[budget]`.
    pub budget: Table,
    /// All that it can do, each with what binds it.
    pub can: Vec<(String, Vec<String>)>,
    /// Ways to the outside that are open then and were not before.
    pub opens: Vec<String>,
}

/// What several packages would change that are installed together.
pub struct Effects {
    /// Each by itself, in their order.
    pub each: Vec<Effect>,
    /// Ways to the outside that are open by all of them together, and by none of them alone.
    pub together: Vec<String>,
}

/// Where the grant of a package stands, or would stand.
struct Placed {
    file: String,
    text: String,
    /// Whether it would be written.
    is_new: bool,
}

/// What goes without a person's yes, or why it does not.
pub fn allowed(Member { candidate, compared }: &Member, effect: &Effect) -> Result<By, String> {
    if let Some(other) = &candidate.imitates {
        return Err(format!("its name looks like {other}"));
    }
    if candidate.older.is_some() {
        return Err("it is older than what was here".to_owned());
    }
    match compared {
        Some(compared) => match compared.waits() {
            Some(why) => Err(why),
            // A grant that would be written anew is read by somebody first.
            None if effect.grant.is_some() => {
                Err("its grant does not fit this version and would be written anew".to_owned())
            }
            None => Ok(By::Update),
        },
        None if candidate.signed.is_none() => Err("nobody signed it".to_owned()),
        None if effect.grant.is_some() => Err("no grant in the policy directory allows it yet".to_owned()),
        None => Ok(By::Policy),
    }
}

impl Effect {
    /// Whether its grant in force gives this secret already.
    pub fn gives(&self, want: &WantsSecret) -> bool {
        self.granted.iter().any(|right| want.is_given_by(right))
    }
}

impl Effects {
    /// Of these packages in this home.
    pub fn of(home: &Home, team: &Team, lock: &Lock) -> Result<Self> {
        let directory = home.policies();
        let files = if directory.exists() { PolicyFiles::read(&directory)? } else { PolicyFiles::default() };
        let policy = files.parse().map_err(PoliciesError::Mistakes)?;
        let was = ways(&policy::scenario(home, &files)?);
        let (mut each, mut known, mut all) = (Vec::new(), was.clone(), files.clone());
        for Member { candidate, compared } in &team.members {
            let before = lock.agents.get(candidate.agent()).map(|installed| &installed.now);
            // What runs already is no wider than itself.
            let same = before.is_some_and(|before| before.digest.0 == candidate.package.digest);
            let wider = !same && compared.as_ref().is_none_or(Compared::is_wider);
            let placed = placed(&directory, &policy, candidate, before, wider)?;
            let with = |files: &PolicyFiles| match placed.is_new {
                true => files.with(&placed.file, Some(&placed.text)),
                false => files.clone(),
            };
            all = with(&all);
            let scenario = policy::scenario(home, &with(&files))?;
            let can = capabilities(&scenario, candidate.agent()).unwrap_or_default();
            let now = ways(&scenario);
            let budget = placed.text.parse::<Table>().ok().and_then(|table| table.get("budget")?.as_table().cloned());
            let granted = policy.grants.iter().find(|grant| grant.agent == candidate.agent());
            let manifest = &candidate.package.manifest;
            let asks = match granted.filter(|_| !placed.is_new) {
                Some(granted) => granted.rights.llm.clone(),
                None => manifest.rights().llm,
            };
            each.push(Effect {
                unable: Unable::of(home, manifest.wants.llm.as_ref(), asks.as_ref(), &placed.file)?,
                file: placed.file,
                granted: granted.map(|grant| grant.rights.secrets.clone()).unwrap_or_default(),
                budget: budget.unwrap_or_default(),
                can: can.into_iter().map(|can| (can.what, can.with)).collect(),
                opens: now.difference(&was).take(WAYS_MAX).cloned().collect(),
                grant: placed.is_new.then_some(placed.text),
            });
            known.extend(now);
        }
        let together = match team.members.as_slice() {
            [_] => Vec::new(),
            _ => ways(&policy::scenario(home, &all)?).difference(&known).take(WAYS_MAX).cloned().collect(),
        };
        Ok(Self { each, together })
    }
}

/// The grant of a package, where `before` is the release that it follows, and `wider` whether it asks for more than that.
fn placed(
    directory: &Path,
    policy: &Policy,
    candidate: &Candidate,
    before: Option<&Release>,
    wider: bool,
) -> Result<Placed> {
    let (manifest, signer) = (&candidate.package.manifest, candidate.signer());
    let agent = manifest.agent();
    let text = Grant::draft(manifest, signer);
    let ours = before.and_then(|before| before.grant.as_ref()).map(|grant| format!("/{}", grant.file));
    let Some(there) = policy.grants.iter().find(|grant| grant.agent == agent) else {
        let file = directory.join(format!("50-{agent}.toml")).display().to_string();
        return Ok(Placed { file, text, is_new: true });
    };
    let file = there.rule.file.clone();
    let is_ours = ours.is_some_and(|ours| file.ends_with(&ours));
    let fits = policy.grant(agent, manifest, signer).is_some();
    if fits && !(is_ours && wider) {
        // It holds for this package as well, and nothing is granted beyond it.
        let text = std::fs::read_to_string(&file).context("cannot read the grant of this agent")?;
        return Ok(Placed { file, text, is_new: false });
    }
    if !is_ours {
        let message = format!("{file} grants something to `{agent}` already, and not to this package");
        let hint = "look at it: change its `package` and `publisher`, or remove the file";
        return Err(Fault::denied(text::line(&message), hint).into());
    }
    Ok(Placed { file, text, is_new: true })
}

/// Ways from what a home keeps to the outside, each in a line.
fn ways(scenario: &Scenario) -> BTreeSet<String> {
    open_ways(scenario).iter().map(told).collect()
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
