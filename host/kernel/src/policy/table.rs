//! Rules by what they are about, so that a decision looks at those few that could matter, however many there are. It holds
//! places in lists and no rule; what it finds is still tested whole.
//!
//! A name is hashed once for itself and once for each length that a pattern of the table has; a path once for each of its
//! levels. Neither depends on how many rules there are.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use super::rules::{SiteRule, Target};
use super::subject::Subject;
use crate::fold;
use crate::rights::{HttpRight, ToolRight};
use crate::tool::Effect;

/// Fowler, Noll and Vo's hash, variant 1a. Only admins choose what is in a table, so nobody can crowd it.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        // The table takes its tags from the upper bits, which the last bytes have barely reached.
        self.0 ^ (self.0 >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

type Places = HashMap<String, Vec<u32>, BuildHasherDefault<Fnv>>;

const NONE: &[u32] = &[];

/// Patterns of names: themselves, or their beginning and `*`.
#[derive(Clone, Debug, Default)]
struct Names {
    whole: Places,
    beginnings: Places,
    /// How long beginnings are; each length once.
    lengths: Vec<usize>,
}

impl Names {
    fn insert(&mut self, pattern: &str, place: u32) {
        let Some(beginning) = pattern.strip_suffix('*') else {
            return self.whole.entry_ref(pattern).or_default().push(place);
        };
        self.beginnings.entry_ref(beginning).or_default().push(place);
        if let Err(at) = self.lengths.binary_search(&beginning.len()) {
            self.lengths.insert(at, beginning.len());
        }
    }

    fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        let beginnings = self.lengths.iter().filter_map(|length| self.beginnings.get(name.get(..*length)?));
        found(&self.whole, name).iter().chain(beginnings.flatten()).copied()
    }
}

/// Subtrees of paths, in their folded form.
#[derive(Clone, Debug, Default)]
struct Trees(Places);

impl Trees {
    fn insert(&mut self, top: &str, place: u32) {
        fold::readings(top, |top| self.0.entry_ref(top).or_default().push(place));
    }

    /// Those that some reading of a path lies in; one may come more than once.
    fn visit(&self, path: &str, mut visit: impl FnMut(u32)) {
        if self.0.is_empty() {
            return;
        }
        fold::readings(path, |path| {
            let levels = path.match_indices('/').map(|(at, _)| &path[..at]);
            for level in core::iter::once("").chain(levels).chain((!path.is_empty()).then_some(path)) {
                found(&self.0, level).iter().for_each(|place| visit(*place));
            }
        });
    }
}

/// Patterns of hosts.
#[derive(Clone, Debug, Default)]
struct Hosts {
    whole: Places,
    below: Places,
    all: Vec<u32>,
}

impl Hosts {
    fn insert(&mut self, pattern: &str, place: u32) {
        match pattern.strip_prefix('*') {
            None => self.whole.entry_ref(pattern).or_default().push(place),
            Some("") => self.all.push(place),
            Some(below) => self.below.entry_ref(below.strip_prefix('.').unwrap_or(below)).or_default().push(place),
        }
    }

    fn find<'a>(&'a self, host: &'a str) -> impl Iterator<Item = u32> + 'a {
        let above = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
        let below = above.flat_map(|above| found(&self.below, above));
        found(&self.whole, host).iter().chain(below).chain(&self.all).copied()
    }
}

fn found<'a>(places: &'a Places, key: &str) -> &'a [u32] {
    if places.is_empty() { NONE } else { places.get(key).map_or(NONE, Vec::as_slice) }
}

/// The rules of one grant.
#[derive(Clone, Debug, Default)]
pub(crate) struct GrantTable {
    tools: Names,
    http: Hosts,
}

impl GrantTable {
    pub(super) fn of(tools: &[ToolRight], http: &[HttpRight]) -> Self {
        let mut table = Self::default();
        (0..).zip(tools).for_each(|(place, right)| table.tools.insert(&right.tool, place));
        (0..).zip(http).for_each(|(place, right)| table.http.insert(&right.to.host, place));
        table
    }

    /// Places of the rules whose tool this may be.
    pub(crate) fn tools<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.tools.find(name).map(|place| place as usize)
    }

    /// Places of the rules whose host this may be.
    pub(crate) fn http<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.http.find(host).map(|place| place as usize)
    }
}

/// The rules of the site.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteTable {
    tools: Names,
    effects: [Vec<u32>; Effect::COUNT],
    models: Names,
    memory: Trees,
    files: BTreeMap<String, Trees>,
    hosts: Hosts,
}

impl SiteTable {
    pub(super) fn of(rules: &[SiteRule]) -> Self {
        let mut table = Self::default();
        for (place, rule) in (0..).zip(rules) {
            match &rule.target {
                Target::Tool(pattern) => table.tools.insert(pattern, place),
                Target::Effect(effect) => table.effects[*effect as usize].push(place),
                Target::Model(pattern) => table.models.insert(pattern, place),
                Target::Memory { namespace, .. } => table.memory.insert(namespace, place),
                Target::Files { root, at, .. } => table.files.entry(root.clone()).or_default().insert(at, place),
                Target::Http { host, .. } => {
                    table.hosts.insert(host, place);
                    if !host.starts_with('*') {
                        table.hosts.insert(&alloc::format!("*.{host}"), place);
                    }
                }
            }
        }
        table
    }

    /// Places of the rules that may be about this.
    pub(crate) fn visit(&self, subject: &Subject<'_>, mut visit: impl FnMut(u32)) {
        match subject {
            Subject::Tool { name, effect, .. } => {
                self.tools.find(name).chain(self.effects[*effect as usize].iter().copied()).for_each(visit);
            }
            Subject::Model { alias } => self.models.find(alias).for_each(visit),
            Subject::Memory { namespace, .. } => self.memory.visit(namespace, visit),
            Subject::Files { place, .. } => {
                if let Some(root) = self.files.get(&place.root) {
                    root.visit(&place.path, visit);
                }
            }
            Subject::Http { url, .. } => {
                self.hosts.find(url.name).for_each(&mut visit);
                self.effects[Effect::Egress as usize].iter().copied().for_each(visit);
            }
            Subject::Inner => {}
        }
    }
}
