//! How much work a schema may make, told before any of it is done. Whoever checks a value by a schema looks at each place of it with several subschemas at
//! once; which ones, follows from where the place lies. So a schema is read as an automaton, whose states are the sets of subschemas that look at one
//! place together, and a value is walked by it in one pass. It decides of no value whether it fits, and never asks a subschema.

mod node;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use self::node::{Node, Nodes};

/// Looks that one place may get. What people write has some ten, a choice of a hundred tools some hundreds.
const LOOKS_MAX: u64 = 4_096;

/// Subschemas that may be looked through one inside the other at one place, before what lies below it.
const LEVELS_MAX: u64 = 64;

/// Steps in which all sets are found: whoever needs more has a schema that nobody can foresee.
const STEPS_MAX: u64 = 4_000_000;

/// So many sets, and ways from one to another.
const SETS_MAX: usize = 16_384;

/// Subschemas, each as often as it looks.
type Looks = BTreeMap<usize, u64>;

/// Whom one of them hands on to below a place.
type HandsOn<'a> = dyn Fn(&Node, &mut dyn FnMut(usize)) + 'a;

/// What looks at one place, and at what lies below it.
#[derive(Debug, Default)]
struct Set {
    /// Looks at the place, each with what it compares.
    looks: u64,
    /// The most that are one inside the other.
    levels: u64,
    /// Steps for each byte of a text there.
    text: u64,
    /// Looks at each thing that lies in it.
    each: u64,
    /// Looks at the name of each thing in it.
    names: u64,
    /// Steps for each byte of such a name.
    name_text: u64,
    /// How often each thing in it is compared with others.
    compared: u64,
    /// By whom a thing of this name is looked at.
    named: HashMap<String, usize>,
    /// By whom one of another name is.
    other: Option<usize>,
    /// By whom the first things of a list are.
    first: Vec<usize>,
    /// By whom all behind these are.
    rest: Option<usize>,
}

/// A schema as the sets of its subschemas; the first is of the whole.
#[derive(Debug)]
pub(super) struct Work {
    sets: Vec<Set>,
}

impl Work {
    /// Finds all sets.
    ///
    /// # Errors
    /// If one place would be looked at too often, or nobody can tell how often.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let nodes = node::read(schema)?;
        let mut finder = Finder { nodes: &nodes, steps: 0, known: HashMap::new(), waiting: Vec::new(), ways: 0 };
        finder.set(Looks::from([(0, 1)]))?;
        let mut sets = Vec::new();
        // Sets are numbered in the order in which they are found, which is that in which they are made.
        while let Some((looks, levels)) = finder.waiting.get(sets.len()).cloned() {
            let set = finder.made(&looks, levels)?;
            sets.push(set);
        }
        Ok(Self { sets })
    }
}

struct Finder<'a> {
    nodes: &'a Nodes,
    steps: u64,
    /// Numbers of sets, by whom they are begun with.
    known: HashMap<Vec<(usize, u64)>, usize>,
    /// By number, all that look, and how many of them are one inside the other.
    waiting: Vec<(Looks, u64)>,
    ways: usize,
}

impl Finder<'_> {
    /// The number of the set that these and all that they hand on to at the same place make.
    fn set(&mut self, begun: Looks) -> Result<usize, String> {
        self.ways += 1;
        if self.ways > SETS_MAX {
            return Err(too_much());
        }
        let key: Vec<(usize, u64)> = begun.iter().map(|(node, times)| (*node, *times)).collect();
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let (mut all, mut deepest) = (Looks::new(), 0);
        for (node, times) in begun {
            deepest = deepest.max(self.add(&mut all, node, times, 1)?);
        }
        self.known.insert(key, self.waiting.len());
        self.waiting.push((all, deepest));
        Ok(self.waiting.len() - 1)
    }

    /// Adds one, as often as it is come to, and all behind it; gives how deep that goes. Whoever comes to itself comes too deep.
    fn add(&mut self, all: &mut Looks, node: usize, times: u64, level: u64) -> Result<u64, String> {
        self.step(1)?;
        if level > LEVELS_MAX {
            return Err(format!(
                "it points at itself, or more than {LEVELS_MAX} parts of it look at one place through each other"
            ));
        }
        *all.entry(node).or_default() += times;
        let mut deepest = level;
        for next in &self.nodes.all[node].here {
            deepest = deepest.max(self.add(all, *next, times, level + 1)?);
        }
        Ok(deepest)
    }

    fn step(&mut self, steps: usize) -> Result<(), String> {
        self.steps += steps as u64;
        if self.steps > STEPS_MAX { Err(too_much()) } else { Ok(()) }
    }

    /// The set of these, with the sets that look below it.
    fn made(&mut self, looks: &Looks, levels: u64) -> Result<Set, String> {
        let nodes = self.nodes;
        let each = || looks.iter().map(|(node, times)| (&nodes.all[*node], *times));
        let sum = |of: &dyn Fn(&Node) -> u64| each().map(|(node, times)| of(node).saturating_mul(times)).sum::<u64>();
        let mut set = Set {
            looks: sum(&|node| node.cost),
            text: sum(&|node| node.text),
            each: sum(&|node| u64::from(nodes.remembers || node.goes_through_all())),
            compared: sum(&|node| node.compares),
            levels,
            name_text: sum(&|node| node.name_text),
            ..Set::default()
        };
        if set.looks > LOOKS_MAX {
            return Err(format!(
                "one place of a value would be looked at {} times, and {LOOKS_MAX} is the most",
                set.looks
            ));
        }
        let gathered = |of: &HandsOn<'_>| {
            let mut below = Looks::new();
            for (node, times) in each() {
                of(node, &mut |next| *below.entry(next).or_default() += times);
            }
            below
        };
        let names = gathered(&|node, add| node.names.iter().for_each(|next| add(*next)));
        if !names.is_empty() {
            let names = self.set(names)?;
            let (of_name, _) = self.waiting[names].clone();
            let sum = |of: &dyn Fn(&Node) -> u64| {
                of_name.iter().map(|(node, times)| of(&nodes.all[*node]) * times).sum::<u64>()
            };
            set.names = sum(&|node| node.cost);
            set.name_text += sum(&|node| node.text);
        }
        let other = gathered(&|node, add| node.of_name(None).for_each(add));
        let all: BTreeSet<&String> = each().flat_map(|(node, _)| node.properties.keys()).collect();
        self.step(looks.len().saturating_mul(all.len() + 1))?;
        for name in all {
            let below = gathered(&|node, add| node.of_name(Some(name)).for_each(add));
            set.named.insert(name.clone(), self.set(below)?);
        }
        set.other = if other.is_empty() { None } else { Some(self.set(other)?) };
        let longest = each().map(|(node, _)| node.first.len()).max().unwrap_or(0);
        self.step(looks.len().saturating_mul(longest + 1))?;
        for at in 0..longest {
            let below = gathered(&|node, add| node.at(at).for_each(add));
            set.first.push(self.set(below)?);
        }
        let rest = gathered(&|node, add| node.at(longest).for_each(add));
        set.rest = if rest.is_empty() { None } else { Some(self.set(rest)?) };
        Ok(set)
    }
}

fn too_much() -> String {
    "too many parts of it look at the same places to tell how much work it makes: say less by `anyOf`, `allOf` and the like".to_owned()
}

#[cfg(test)]
mod tests;
