//! The change itself, for `install` and for `update` alike: what it is and may do is shown, roots are asked for one by one, somebody says
//! yes, and the set of installed agents becomes another one whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agentry_packages::Fault;
use agentry_packages::keyring::Known;
use agentry_packages::lock::{By, Consent, Hex, Lock, Release, consent, digest_of_path};
use agentry_packages::name;
use agentry_packages::set::{New, Set, taken};
use agentry_packages::statement::capabilities;
use agentry_runtime::config::AgentsConfig;
use anyhow::Result;
use serde_json::{Value, json};

use super::effect::allowed;
use super::folders;
use super::secrets::{self, Held};
use super::team::Member;
use super::{Candidate, ConsentArgs, Effects, Team, words};
use crate::home::Home;
use crate::screen::{self, GOOD, given, styled, text, units};

/// A change that a person wants.
pub struct Change<'a> {
    /// Where.
    pub home: &'a Home,
    /// To what.
    pub team: &'a Team,
    /// Whose yes there is.
    pub consent: &'a ConsentArgs,
    /// What roots stand for, as far as a person said it.
    pub roots: &'a [(String, PathBuf)],
    /// The secrets to which a person said yes with the command.
    pub secrets: &'a [String],
    /// The command without a yes, for whoever is to give one.
    pub command: &'a str,
    /// Whether JSON is wanted instead of pages.
    pub json: bool,
}

/// What came of it.
pub enum Outcome {
    /// It is installed.
    Installed(Value),
    /// It was already, and nothing of it is to be other.
    Same(Value),
}

/// Carries it out.
pub fn carry_out(change: &Change<'_>, lock: &Lock) -> Result<Outcome> {
    let Change { home, team, .. } = change;
    for Member { candidate, .. } in &team.members {
        let agent = candidate.agent();
        match lock.agents.get(agent).map(|installed| &installed.now) {
            Some(before) if before.name != candidate.package.manifest.name => {
                return Err(taken(agent, &before.name).into());
            }
            Some(_) => {}
            None => is_free(home, agent)?,
        }
    }
    let effects = Effects::of(home, team, lock)?;
    if let Some(now) = stays(change, &effects, lock)? {
        let mut told = as_json(change, &effects, &[now.consent.by]);
        told["outcome"] = "installed already".into();
        return Ok(Outcome::Same(told));
    }
    // Whoever is asked sees each beside its question; whoever is not, all of them before the first no.
    let asks = change.consent.asks();
    if !change.json && !asks {
        screen::page(&words::page(team, &effects))?;
    }
    are_asked_for(change, &effects, lock)?;
    let held = Held::of(home.path())?;
    secrets::are_here(change, &effects, &held)?;
    // What a person copies names each folder and each secret that is still to be named.
    let command = format!("{}{}", change.command, lacking(team, &effects, lock, (change.roots, change.secrets)));
    let (mut folders, mut all) = (BTreeMap::new(), Vec::new());
    for (at, (member, effect)) in team.members.iter().zip(&effects.each).enumerate() {
        if !change.json && asks {
            screen::page(&words::member(team, at, effect))?;
        }
        let given = || change.consent.given(&member.candidate, allowed(member, effect), team, &command);
        let mut with = || -> Result<_> {
            let roots = folders::of(change, &command, &member.candidate.package.manifest, lock, &mut folders)?;
            Ok((roots, secrets::granted(change, &command, &member.candidate, effect, &held)?))
        };
        // A person says yes to folders and secrets as well; where none is asked, what waits for one waits whether or not these are named.
        let (by, (roots, grant)) = if asks {
            let with = with()?;
            if !change.json && at + 1 == team.members.len() {
                screen::page(&words::together(team, &effects))?;
            }
            (given()?, with)
        } else {
            (given()?, with()?)
        };
        all.push(Agreed { by, roots, grant });
    }
    let news = team.members.iter().zip(&all).map(|(member, agreed)| new(&member.candidate, agreed, lock)).collect();
    let mut set = Set::open(home.path())?;
    set.install(news)?;
    tell(change, &effects, &set);
    let by: Vec<By> = all.iter().map(|agreed| agreed.by).collect();
    let mut told = as_json(change, &effects, &by);
    told["outcome"] = "installed".into();
    told["notes"] = json!(set.notes());
    Ok(Outcome::Installed(told))
}

/// What was agreed to of one package.
struct Agreed {
    by: By,
    roots: BTreeMap<String, PathBuf>,
    /// The text of the grant that is written; none if the one that is in force stays.
    grant: Option<String>,
}

/// The folders and the secrets that these packages cannot do without and nobody has named yet, as words of the command that names them.
pub fn lacking(
    team: &Team,
    effects: &Effects,
    lock: &Lock,
    (roots, secrets): (&[(String, PathBuf)], &[String]),
) -> String {
    format!("{}{}", folders::lacking(team, lock, roots), secrets::lacking(team, effects, secrets))
}

/// What there is for other programs: each with its agent and whose yes it has.
fn as_json(change: &Change<'_>, effects: &Effects, by: &[By]) -> Value {
    let mut told = words::as_json(change.team, effects);
    for ((member, by), at) in change.team.members.iter().zip(by).zip(0..) {
        let told = if at == 0 { &mut told } else { &mut told["with"][at - 1] };
        told["agent"] = member.candidate.agent().into();
        told["by"] = json!(by);
    }
    told["notes"] = json!([]);
    told
}

/// The release that runs now, if it is this very one, its grant is in force, and its folders are those that a person named.
fn stays<'l>(change: &Change<'_>, effects: &Effects, lock: &'l Lock) -> Result<Option<&'l Release>> {
    let ([Member { candidate, .. }], [effect]) = (change.team.members.as_slice(), effects.each.as_slice()) else {
        return Ok(None);
    };
    let agent = candidate.agent();
    let now = lock.agents.get(agent).map(|installed| &installed.now);
    let Some(now) = now.filter(|now| now.digest.0 == candidate.package.digest && effect.grant.is_none()) else {
        return Ok(None);
    };
    are_asked_for(change, effects, lock)?;
    for (root, directory) in change.roots {
        let is = lock.roots.get(agent).and_then(|roots| roots.get(root));
        if is != Some(&folders::whole(change.home.path(), root, directory, agent, lock)?) {
            return Ok(None);
        }
    }
    Ok(Some(now))
}

/// What the set needs to know of one of them.
fn new<'a>(candidate: &'a Candidate, agreed: &'a Agreed, lock: &Lock) -> New<'a> {
    let trusted = candidate.signed.as_ref().map(|(voucher, how)| {
        let publisher = name::publisher(&candidate.package.manifest.name).to_owned();
        (publisher, Known { party: voucher.party(), how: *how, since: units::now() })
    });
    New {
        agent: candidate.agent(),
        instead_of: lock.agents.get(candidate.agent()).map(|installed| installed.now.digest.0),
        release: release(candidate, agreed.by),
        component: &candidate.bytes,
        envelope: candidate.envelope.as_deref(),
        grant: agreed.grant.as_deref(),
        roots: agreed.roots.clone(),
        goes_back: candidate.older.is_some(),
        trusted,
    }
}

/// Whether each folder that a person named is one that somebody asks for, and can be that; and each secret.
fn are_asked_for(change: &Change<'_>, effects: &Effects, lock: &Lock) -> Result<()> {
    secrets::are_asked_for(change, effects)?;
    for (name, directory) in change.roots {
        let manifests = change.team.members.iter().map(|member| &member.candidate.package.manifest);
        let mut wanting = manifests.filter(|manifest| manifest.wants.files.iter().any(|wants| wants.root == *name));
        let Some(first) = wanting.next() else {
            let hint = "what it asks for stands above; --root NAME=DIR names one of these";
            return Err(Fault::usage(format!("it asks for no folder `{}`", text::line(name)), hint).into());
        };
        folders::whole(change.home.path(), name, directory, first.agent(), lock)?;
    }
    Ok(())
}

/// Whether this name is nobody's yet.
fn is_free(home: &Home, agent: &str) -> Result<()> {
    if home.agents().iter().any(|name| name == agent) {
        return Err(taken_by_hand(agent, &format!("agents/{agent}.wasm of this home")).into());
    }
    let known = AgentsConfig::load(home.path())?;
    let own = known.get(agent).filter(|line| line.component.exists() && digest_of_path(&line.component).is_none());
    own.map_or(Ok(()), |line| Err(taken_by_hand(agent, &line.component.display().to_string()).into()))
}

/// The name is that of an agent which was put there by hand, and goes so.
fn taken_by_hand(agent: &str, by: &str) -> Fault {
    let hint = "one name means one agent: take its file or its lines in agents.toml away, if this one is to have it";
    Fault { hint: hint.to_owned(), ..taken(agent, by) }
}

fn release(candidate: &Candidate, by: By) -> Release {
    let manifest = &candidate.package.manifest;
    let (digest, asks) = (candidate.package.digest, capabilities(manifest));
    Release {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: Hex(digest),
        seq: manifest.seq,
        vouched: candidate.signed.as_ref().map(|(voucher, _)| voucher.clone()),
        capabilities: Hex(asks),
        consent: Consent { by, at: units::now(), to: Hex(consent(digest, asks)) },
        index: candidate.index.clone(),
        provides: Some(manifest.provides.clone()),
        requires: manifest.requirements().map(|requirement| requirement.to_string()).collect(),
        grant: None,
        roots: None,
    }
}

/// What is done, and what a person does next.
fn tell(change: &Change<'_>, effects: &Effects, set: &Set) {
    let mut told = String::new();
    // Those that were required first: what a person wanted stands last.
    for (Member { candidate, .. }, effect) in change.team.members.iter().zip(&effects.each).rev() {
        let agent = candidate.agent();
        let done = format!("{} is installed: {}", candidate.story(), given::completed(&format!("agentry run {agent}")));
        told.push_str(&format!("{}\n", styled(GOOD, done)));
        if effect.grant.is_some() {
            let file = change.home.policies().join(format!("50-{agent}.toml"));
            told.push_str(&format!("  its grant, to be reviewed: {}\n", text::line(&file.display().to_string())));
        }
    }
    set.notes().iter().for_each(|note| told.push_str(&format!("  {}\n", text::line(note))));
    screen::tell(&told);
}
