//! Policy: what admins wrote, read once into a table that calls are looked up in.
//!
//! A policy that does not parse, or says something that this version cannot enforce, is refused whole.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::digest::Digest;
use crate::limits::MISTAKES_MAX;
use crate::manifest::Manifest;
use crate::publisher::PublisherKey;
use crate::refusal::Rule;
use crate::rights::{HttpRight, Rights, ToolRight};
use crate::time::Millis;

mod beside;
pub(crate) mod budget;
mod condition;
mod document;
mod draft;
mod extra;
mod grant;
mod header;
mod mistake;
mod near;
mod outside;
mod rules;
mod scope;
mod site;
mod subject;
mod table;
#[cfg(test)]
mod tests;
mod trial;
mod warnings;
mod whole;

pub use beside::Beside;
pub use budget::Budget;
pub(crate) use draft::{list, quoted};
pub use mistake::Mistake;
pub use rules::{Ceiling, Duty, SiteRule, Target, When};
pub use scope::moment;
pub use subject::Act;
pub(crate) use subject::Subject;
pub use trial::{Expect, Trial};

/// All grants of a directory.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The digest of all files, in name order.
    pub epoch: Digest,
    /// What is in force, one a file.
    pub grants: Vec<Grant>,
    /// Grants with `mode = "observe"`: they give nothing, and tell what they would have denied.
    pub observed: Vec<Grant>,
    /// The outer bounds of every grant; all of them hold.
    pub ceilings: Vec<Ceiling>,
    /// The rules of the site, in the order of the files.
    pub rules: Vec<SiteRule>,
    /// The tests of all files.
    pub trials: Vec<Trial>,
    /// What all agents together may spend, and the outer bound of each run.
    pub budget: Budget,
    table: table::SiteTable,
    warnings: Vec<Mistake>,
}

/// What one agent may do.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The agent's name.
    pub agent: String,
    /// The package that it must be, if the grant says.
    pub package: Option<PackagePattern>,
    /// Whose signature it must have, if the grant says.
    pub publisher: Option<PublisherKey>,
    /// When it ends.
    pub expires: Option<Millis>,
    /// What it may ask for.
    pub rights: Rights,
    /// What it may spend.
    pub budget: Budget,
    /// Where it stands.
    pub rule: Rule,
    rules: table::GrantTable,
}

/// `publisher:name@^1.2`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagePattern {
    /// `publisher:name`
    pub name: String,
    /// Any if none.
    pub version: Option<semver::VersionReq>,
}

/// A file's name, as it is shown, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// As the admin would open it.
    pub file: &'a str,
    /// TOML.
    pub text: &'a str,
}

impl Policy {
    /// Reads all files of a policy, in name order; `epoch` is their digest.
    ///
    /// # Errors
    /// Every mistake found, up to [`MISTAKES_MAX`]; a policy with one is not used.
    pub fn parse(sources: &[Source<'_>], epoch: Digest) -> Result<Self, Vec<Mistake>> {
        let mut policy = Self { epoch, ..Self::default() };
        let mut mistakes = Vec::new();
        for source in sources {
            let mut document = document::Document::new(*source);
            if let Some(table) = document.parse() {
                policy.read(&mut document, table.get_ref());
            }
            mistakes.append(&mut document.mistakes);
            policy.warnings.append(&mut document.warnings);
            if mistakes.len() >= MISTAKES_MAX {
                mistakes.truncate(MISTAKES_MAX);
                break;
            }
        }
        policy.table = table::SiteTable::of(&policy.rules);
        if mistakes.is_empty() {
            policy.warnings.extend(whole::find(&policy, sources));
        }
        if mistakes.is_empty() { Ok(policy) } else { Err(mistakes) }
    }

    fn read(&mut self, document: &mut document::Document<'_>, table: &toml::de::DeTable<'_>) {
        let Some((layer, observed)) = header::read(document, table) else { return };
        if layer == header::Layer::Site {
            return site::read(document, table, observed, self);
        }
        let Some(read) = grant::read(document, table) else { return };
        let grants = if observed { &mut self.observed } else { &mut self.grants };
        match grants.iter().find(|other| other.agent == read.grant.agent) {
            Some(other) => grant::twice(document, &read, other),
            None => grants.push(read.grant),
        }
        // What only observes is not in force, and neither are its tests.
        if !observed {
            self.trials.extend(read.trials);
        }
    }

    /// The rules of the site that may be about something, each to be tested whole.
    pub(crate) fn rules_about<'a>(&'a self, subject: &Subject<'_>, mut visit: impl FnMut(&'a SiteRule)) {
        self.table.visit(subject, |place| {
            if let Some(rule) = self.rules.get(place as usize) {
                visit(rule);
            }
        });
    }

    /// The same with something changed, for questions of the kind "what if".
    pub(crate) fn revised(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut policy = self.clone();
        change(&mut policy);
        policy.table = table::SiteTable::of(&policy.rules);
        for grant in &mut policy.grants {
            grant.rules = table::GrantTable::of(&grant.rights.tools, &grant.rights.http);
        }
        policy
    }

    /// What is well formed and yet probably not meant: no budget, no reason, a rule that nothing can match, a grant above the
    /// ceiling.
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// What is well formed and yet probably not meant, beside what there is in a home; `sources` are the files that were parsed.
    pub fn warnings_beside(&self, sources: &[Source<'_>], beside: &Beside) -> Vec<Mistake> {
        beside::find(self, sources, beside)
    }

    /// The grant of this agent, if the package is the one that the grant names, and signed by whom it names: `signer` is the key of the
    /// publisher for which the host knows that it signed this very file.
    pub fn grant(&self, agent: &str, manifest: &Manifest, signer: Option<PublisherKey>) -> Option<&Grant> {
        self.find(agent, manifest, signer).map(|index| &self.grants[index])
    }

    /// The same, by its place in `grants`.
    pub(crate) fn find(&self, agent: &str, manifest: &Manifest, signer: Option<PublisherKey>) -> Option<usize> {
        self.grants.iter().position(|grant| grant.agent == agent && grant.is_for(manifest, signer))
    }
}

impl Grant {
    /// Whether a package is the one that it names, signed by whom it names.
    fn is_for(&self, manifest: &Manifest, signer: Option<PublisherKey>) -> bool {
        self.package.as_ref().is_none_or(|pattern| pattern.fits(manifest))
            && self.publisher.is_none_or(|wanted| signer == Some(wanted))
    }

    /// Whether a rule of this id stands in it.
    pub(crate) fn has_rule(&self, id: &str) -> bool {
        self.rights.tools.iter().any(|right| right.id == id) || self.rights.http.iter().any(|right| right.id == id)
    }

    /// The rules whose tool this may be.
    pub(crate) fn tools<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a ToolRight)> {
        self.rules.tools(name).filter_map(|place| Some((place, self.rights.tools.get(place)?)))
    }

    /// The rules whose host this may be.
    pub(crate) fn http<'a>(&'a self, host: &'a str) -> impl Iterator<Item = (usize, &'a HttpRight)> {
        self.rules.http(host).filter_map(|place| Some((place, self.rights.http.get(place)?)))
    }

    /// The text of a grant for a package, made from what it asks for: to be reviewed by an admin and saved as a file of
    /// the policy directory. It is what [`Policy::parse`] reads. With a `signer` it holds for what that key signed alone.
    pub fn draft(manifest: &Manifest, signer: Option<PublisherKey>) -> String {
        draft::draft(manifest, signer)
    }

    /// The part of that text which says what it may spend: its last table.
    pub fn draft_budget(manifest: &Manifest) -> String {
        draft::budget(manifest)
    }
}

impl PackagePattern {
    /// Whether a package is meant.
    pub fn fits(&self, manifest: &Manifest) -> bool {
        self.is(&manifest.name, &manifest.version)
    }

    /// The same of a package by its name and its version.
    pub(crate) fn is(&self, name: &str, version: &str) -> bool {
        let fits = |wanted: &semver::VersionReq| {
            semver::Version::parse(version).is_ok_and(|of_package| wanted.matches(&of_package))
        };
        self.name == name && self.version.as_ref().is_none_or(fits)
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
