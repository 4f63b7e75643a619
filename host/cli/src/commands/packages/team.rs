//! A package and all that it requires: each found, fetched and looked at by itself, and held against what is installed. Nothing of them is
//! written and nothing of them runs.

use std::collections::BTreeMap;

use agentry_kernel::manifest::Requirement;
use agentry_kernel::time::Millis;
use agentry_packages::Fault;
use agentry_packages::config::PackagesConfig;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::keyring::Keyring;
use agentry_packages::limits::TEAM_MAX;
use agentry_packages::lock::{Lock, Release};
use agentry_packages::name::Version;
use agentry_packages::set::{Set, verified};
use agentry_packages::team::{self, too_many, word};
use anyhow::Result;

use super::candidate::listed;
use super::{Candidate, Compared, Indexes, Wanted};
use crate::home::Home;
use crate::package;
use crate::screen::{text, units};

/// A package that would be installed.
pub struct Member {
    /// What it is.
    pub candidate: Candidate,
    /// It beside what is installed, if an earlier version is.
    pub compared: Option<Compared>,
}

/// Packages that would be installed together.
pub struct Team {
    /// The one that a person wants, then those that it requires, in the order in which they were required.
    pub members: Vec<Member>,
    /// All that would be here then.
    whole: team::Team,
}

/// Something that a package requires, as it stands on its page.
pub struct Need {
    /// `calendar@^1`
    pub what: String,
    /// As its author wrote it: to be made harmless where it is shown.
    pub why: String,
    /// `publisher:name version` of what meets it; none if nothing does.
    pub met_by: Option<String>,
    /// Whether that is installed already.
    pub is_here: bool,
}

/// How a newer version is held against the present one.
#[derive(Clone, Copy)]
pub enum Beside {
    /// Nothing of it is executed.
    Looked,
    /// Recorded runs are executed again with it, and it cools off for so long; `dry_run` writes nothing down.
    Updated {
        /// How long.
        cool_off_ms: u64,
        /// Whether nothing is written.
        dry_run: bool,
    },
}

impl Team {
    /// Finds all that this package requires and that is not here: first among those that a person named `with` it, then in the indexes.
    pub async fn of(
        home: &Home,
        first: Candidate,
        with: &[String],
        (lock, keyring): (&Lock, &Keyring),
        beside: Beside,
    ) -> Result<Self> {
        let is = as_it_is(home, lock);
        let indexes = Indexes::of(home, None)?;
        // Read once, where something is required that is not here.
        let mut read: Option<Vec<Index<'_>>> = None;
        let mut named = Vec::new();
        for one in with {
            let wanted = Wanted::package(one.clone());
            named.push(Candidate::of(home, &wanted, lock, keyring).await?);
        }
        let mut whole = is.clone();
        whole.put(team::Member::of(&first.package.manifest));
        let (mut chosen, mut next) = (vec![first], 0);
        while let Some(manifest) = chosen.get(next).map(|one: &Candidate| one.package.manifest.clone()) {
            for requirement in manifest.requirements() {
                if whole.who_meets(manifest.agent(), &requirement).next().is_some() {
                    continue;
                }
                let meets = |one: &Candidate| team::Member::of(&one.package.manifest).meets(&requirement);
                let found = match named.iter().position(meets) {
                    Some(at) => named.remove(at),
                    None => {
                        let about = |error| about(error, manifest.agent(), &requirement);
                        if read.is_none() {
                            read = Some(indexes.read(home).await.map_err(|fault| about(fault.into()))?);
                        }
                        let all = read.as_deref().unwrap_or_default();
                        find(all, (&manifest.name, &requirement), &indexes.config, (lock, keyring))
                            .await
                            .map_err(about)?
                    }
                };
                if !meets(&found) {
                    let message = format!("{} does not meet {requirement}, though its index says so", found.story());
                    return Err(Fault::denied(message, "tell its publisher").into());
                }
                if let Some(other) = chosen.iter().find(|one| one.agent() == found.agent()) {
                    let message = format!("one of these requires {}, and another {}", other.story(), found.story());
                    return Err(
                        Fault::denied(message, "no version is both: install one of the two packages alone").into()
                    );
                }
                if chosen.len() == TEAM_MAX {
                    return Err(too_many().into());
                }
                whole.put(team::Member::of(&found.package.manifest));
                chosen.push(found);
            }
            next += 1;
        }
        if let Some(other) = named.first() {
            let message = format!("nothing here requires {}", other.story());
            return Err(Fault::usage(message, "what nobody requires is installed by itself: agentry install").into());
        }
        whole.stands(&is)?;
        let mut members = Vec::new();
        for candidate in chosen {
            let compared = match before(lock, &candidate) {
                Some(now) => {
                    let cools = beside.cools(home, lock, &candidate)?;
                    Some(Compared::of(home, (lock, now), &candidate, cools).await?)
                }
                None => None,
            };
            members.push(Member { candidate, compared });
        }
        Ok(Self { members, whole })
    }

    /// A package alone, for whoever only looks at it: what it requires and is not here, nothing meets.
    pub async fn alone(home: &Home, first: Candidate, lock: &Lock) -> Result<Self> {
        let mut whole = as_it_is(home, lock);
        whole.put(team::Member::of(&first.package.manifest));
        let compared = match before(lock, &first) {
            Some(now) => Some(Compared::of(home, (lock, now), &first, None).await?),
            None => None,
        };
        Ok(Self { members: vec![Member { candidate: first, compared }], whole })
    }

    /// The one that a person wants.
    pub fn first(&self) -> &Candidate {
        &self.members[0].candidate
    }

    /// What one of them requires.
    pub fn needs(&self, member: &Member) -> Vec<Need> {
        let manifest = &member.candidate.package.manifest;
        let need = |requires: &agentry_kernel::manifest::Requires| {
            let requirement = requires.requirement().ok()?;
            let met = self.whole.who_meets(manifest.agent(), &requirement).next();
            let is_new = met.is_some_and(|met| self.members.iter().any(|one| one.candidate.agent() == met.agent));
            let met_by = met.map(|met| format!("{} {}", met.name, met.version));
            Some(Need { what: requirement.to_string(), why: requires.why.clone(), met_by, is_here: !is_new })
        };
        manifest.requires.iter().filter_map(need).collect()
    }

    /// Which of them require this one.
    pub fn needed_by(&self, member: &Member) -> Vec<&str> {
        let met = team::Member::of(&member.candidate.package.manifest);
        let needs =
            |one: &&Member| one.candidate.package.manifest.requirements().any(|requirement| met.meets(&requirement));
        let others = self.members.iter().filter(|one| one.candidate.agent() != met.agent);
        others.filter(needs).map(|one| one.candidate.package.manifest.name.as_str()).collect()
    }
}

impl Beside {
    /// How long a version still cools off; none if nobody updates.
    fn cools(self, home: &Home, lock: &Lock, candidate: &Candidate) -> Result<Option<u64>> {
        let Self::Updated { cool_off_ms, dry_run } = self else { return Ok(None) };
        let digest = candidate.package.digest;
        let seen: Millis = match dry_run {
            true => lock.seen.get(&digest.to_string()).copied().unwrap_or(units::now()),
            false => Set::open(home.path())?.seen(digest, units::now())?,
        };
        Ok(Some(seen.plus(cool_off_ms).since(units::now())))
    }
}

/// The release that this one would follow.
fn before<'l>(lock: &'l Lock, candidate: &Candidate) -> Option<&'l Release> {
    let now = lock.agents.get(candidate.agent()).map(|installed| &installed.now)?;
    (now.name == candidate.package.manifest.name && now.digest.0 != candidate.package.digest).then_some(now)
}

/// What is installed; what a version of Agentry did not write down of a package, its file says.
fn as_it_is(home: &Home, lock: &Lock) -> team::Team {
    let mut is = lock.team();
    for installed in lock.agents.values().filter(|installed| installed.now.provides.is_none()) {
        let file = verified(home.path(), &installed.now).ok();
        if let Some(package) = file.and_then(|file| package::of_file(&file).ok()) {
            is.put(team::Member::of(&package.manifest));
        }
    }
    is
}

/// The package of one of these indexes that meets this, which the package `by` requires.
async fn find(
    read: &[Index<'_>],
    (by, requirement): (&str, &Requirement),
    config: &PackagesConfig,
    (lock, keyring): (&Lock, &Keyring),
) -> Result<Candidate> {
    let named = match requirement {
        Requirement::Package { .. } => requirement.to_string(),
        Requirement::Provides { .. } => only(&listed(read).await?, by, requirement)?,
    };
    Candidate::among(read, &named, config, (lock, keyring)).await
}

/// The one package that is listed to provide this, in its newest version; nobody meets their own requirement.
fn only(all: &[Listed], by: &str, requirement: &Requirement) -> Result<String, Fault> {
    let mut newest: BTreeMap<&str, &Listed> = BTreeMap::new();
    for one in all.iter().filter(|one| one.listing.yanked.is_none() && one.listing.name != by) {
        let listing = &one.listing;
        if requirement.is_met_by(&listing.name, &listing.version, &listing.provides)
            && newest.get(listing.name.as_str()).is_none_or(|before| before.listing.seq < listing.seq)
        {
            newest.insert(&listing.name, one);
        }
    }
    let names: Vec<&str> = newest.keys().copied().collect();
    match (newest.first_key_value(), names.as_slice()) {
        (Some((name, one)), [_]) => {
            let version: Version = one.listing.version.parse().map_err(|_| nothing(requirement))?;
            Ok(format!("{name}@{version}"))
        }
        (None, _)
            if all.iter().any(|one| {
                one.listing.name == by && one.listing.provides.iter().any(|own| own == word(requirement))
            }) =>
        {
            let message = "no other package is listed that provides it, and nobody meets their own requirement";
            Err(Fault::usage(message, "name a file that provides it: --with FILE.wasm; or tell its publisher"))
        }
        (None, _) => Err(nothing(requirement)),
        (Some((name, _)), several) => {
            let message = format!(
                "{} packages are listed that provide it: {}",
                several.len(),
                text::cut(&several.join(", "), 400)
            );
            Err(Fault::denied(message, format!("say which one: --with {name}")))
        }
    }
}

fn nothing(requirement: &Requirement) -> Fault {
    let hint = format!(
        "`agentry search {}` lists what there is; a file is named with it: --with FILE.wasm",
        text::line(word(requirement))
    );
    Fault::usage("no index here lists that", hint)
}

/// What keeps a package from being there, behind what needs it.
fn about(error: anyhow::Error, agent: &str, requirement: &Requirement) -> anyhow::Error {
    let what = format!("`{}` requires {}", text::line(agent), text::line(&requirement.to_string()));
    match error.downcast::<Fault>() {
        Ok(fault) => fault.about(&what).into(),
        Err(error) => error.context(what),
    }
}
