//! Places where words can lie or go: memory, files, tools, the web.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::call::{Call, Place};
use crate::inquiry::{call, witness};
use crate::policy::{Act, Grant, Policy};
use crate::rights::Access;
use crate::rights::shapes;
use crate::text;
use crate::within;

/// A place, or many that a pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory:team/**`
    Memory(String),
    /// `files:ROOT/PATH`: a subtree of a root.
    Files(String, String),
    /// `tool:crm.*`
    Tool(String),
    /// `egress:*.example.org`; `egress:*` is the whole outside, by the web and by tools.
    Egress(String),
    /// `mailbox:calendar`: the letters to an agent.
    Mailbox(String),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(place: &str) -> Result<Self, String> {
        let (kind, name) = place.split_once(':').ok_or_else(|| String::from("is KIND:NAME"))?;
        let flawed = |flaw: text::TextFlaw| alloc::format!("has a name that {flaw}");
        match kind {
            "memory" => shapes::namespace(name).map(|()| Self::Memory(name.into())),
            "files" => {
                let (root, path) = name.split_once('/').unwrap_or((name, ""));
                let at = alloc::format!("/{path}");
                text::label(root).and_then(|()| shapes::subtree(&at)).map(|()| Self::Files(root.into(), at))
            }
            "tool" => shapes::name(name).map(|()| Self::Tool(name.into())),
            "egress" => shapes::host(name).map(|()| Self::Egress(name.into())),
            "mailbox" => text::label(name).map(|()| Self::Mailbox(name.into())),
            _ => return Err("begins with `memory:`, `files:`, `tool:`, `egress:` or `mailbox:`".into()),
        }
        .map_err(flawed)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(pattern) => write!(f, "memory:{pattern}"),
            Self::Files(root, at) => write!(f, "files:{root}{at}"),
            Self::Tool(pattern) => write!(f, "tool:{pattern}"),
            Self::Egress(pattern) => write!(f, "egress:{pattern}"),
            Self::Mailbox(agent) => write!(f, "mailbox:{agent}"),
        }
    }
}

impl Location {
    /// True if all of it lies in another place.
    pub(super) fn lies_in(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(narrow), Self::Memory(wide)) => within::namespace(narrow, wide),
            (Self::Files(root, narrow), Self::Files(theirs, wide)) => root == theirs && within::subtree(narrow, wide),
            (Self::Mailbox(of), Self::Mailbox(theirs)) => of == theirs,
            _ => false,
        }
    }
}

/// The narrower of two patterns, if one lies in the other. Patterns of one kind that overlap do.
pub(super) fn narrower<'a>(a: &'a str, b: &'a str, within: fn(&str, &str) -> bool) -> Option<&'a str> {
    if within(a, b) {
        Some(a)
    } else if within(b, a) {
        Some(b)
    } else {
        None
    }
}

/// Where an agent can leave something that another may find, and a call that does so.
pub(super) fn shared(policy: &Policy, grant: &Grant) -> Vec<(Location, Call)> {
    let memory = grant.rights.memory.iter().flat_map(|right| &right.write).filter_map(|pattern| {
        let name = witness::namespaces(pattern).into_iter().next()?;
        Some((Location::Memory(pattern.clone()), call::memory(name, Act::Write)))
    });
    let writable = grant.rights.files.iter().filter(|right| right.access == Access::ReadWrite);
    let files = writable.filter_map(|right| {
        let place = Place { root: right.root.clone(), path: witness::paths(&right.at).into_iter().next()? };
        Some((Location::Files(right.root.clone(), right.at.clone()), call::file(place, Act::Write)))
    });
    let sends = |agent: &str| grant.rights.agents.as_ref().is_some_and(|right| right.sends(agent));
    let takes = |other: &&Grant| other.rights.agents.as_ref().is_some_and(|right| right.receives(&grant.agent));
    let receivers = policy.grants.iter().filter(|other| sends(&other.agent)).filter(takes);
    let letters = receivers.map(|other| (Location::Mailbox(other.agent.clone()), Call::letter_to(&other.agent)));
    memory.chain(files).chain(letters).collect()
}
