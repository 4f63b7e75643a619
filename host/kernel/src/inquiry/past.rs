//! A run out of its journal, as questions need it: each call with its arguments, its answer and its cost.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Past, Replay};
use crate::budget::{Amounts, Resource};
use crate::call::{Call, CallId, RunId};
use crate::digest::Digest;
use crate::journal::{Entry, Outcome};
use crate::json;
use crate::labels::Labels;
use crate::refusal::Rule;

impl Past {
    /// Reads the entries of a run; none if they do not begin with its start. `content` finds what the journal names by digest:
    /// a tool's arguments. Those that are not kept any more leave the call without any.
    pub fn of(run: RunId, entries: &[Entry], mut content: impl FnMut(&Digest) -> Option<Vec<u8>>) -> Option<Self> {
        let Some(Entry::Started(started)) = entries.first() else { return None };
        let mut past = Self {
            run,
            agent: started.agent.clone(),
            package: None,
            began: started.at,
            used: Amounts::ZERO,
            peak: Amounts::ZERO,
            labels: Labels::NONE,
            calls: Vec::new(),
        };
        // Of calls that are told in one entry: what the run gained by them stands before it.
        let mut early: BTreeMap<CallId, Labels> = BTreeMap::new();
        let mut places: BTreeMap<CallId, usize> = BTreeMap::new();
        let mut held: BTreeMap<CallId, Amounts> = BTreeMap::new();
        let mut asked: BTreeMap<CallId, Rule> = BTreeMap::new();
        let mut spent = Amounts::ZERO;
        for entry in entries {
            let (call, at, what, refusal) = match entry {
                Entry::Asked { call, at, what, .. } | Entry::Called { call, at, what, .. } => (*call, *at, what, None),
                Entry::Refused { call, at, what, refusal, .. } => (*call, *at, what, Some(refusal.clone())),
                Entry::Answered { call, spent: cost, outcome, .. } => {
                    held.remove(call);
                    spent = spent.plus(*cost);
                    if let Some(replay) = places.get(call).and_then(|place| past.calls.get_mut(*place)) {
                        replay.spent = *cost;
                        replay.failed = failure(outcome);
                    }
                    continue;
                }
                Entry::Labelled { call: CallId(0), labels, .. } => {
                    past.labels = past.labels.and(labels);
                    continue;
                }
                Entry::Labelled { call, labels, .. } => {
                    let gained = match places.get(call).and_then(|place| past.calls.get_mut(*place)) {
                        Some(replay) => &mut replay.gained,
                        None => early.entry(*call).or_insert(Labels::NONE),
                    };
                    *gained = gained.and(labels);
                    continue;
                }
                Entry::Unlabelled { labels, .. } => {
                    if let Some(replay) = past.calls.last_mut() {
                        replay.lost = replay.lost.and(labels);
                    }
                    continue;
                }
                Entry::Questioned { call, rule, .. } => {
                    asked.insert(*call, rule.clone());
                    continue;
                }
                Entry::Ended(ended) => {
                    past.used = ended.spent;
                    continue;
                }
                _ => continue,
            };
            // A call that the host's guard refused, or that a host lost and asked again, is one call.
            if let Some(replay) = places.get(&call).and_then(|place| past.calls.get_mut(*place)) {
                replay.refusal = refusal.or(replay.refusal.take());
                continue;
            }
            let mut most = Amounts::ZERO;
            if let Entry::Asked { held: asked, .. } = entry {
                most = *asked;
                held.insert(call, most);
                let now = held.values().fold(spent, |sum, held| sum.plus(*held));
                for what in Resource::ALL {
                    past.peak[what] = past.peak[what].max(now[what]);
                }
            }
            places.insert(call, past.calls.len());
            let (what, known) = with_arguments(what.clone(), &mut content);
            let (gained, lost) = (early.remove(&call).unwrap_or(Labels::NONE), Labels::NONE);
            let asked = asked.remove(&call);
            let failed = if let Entry::Called { outcome, .. } = entry { failure(outcome) } else { None };
            let spent = Amounts::ZERO;
            past.calls.push(Replay { call, at, what, known, asked, refusal, held: most, spent, failed, gained, lost });
        }
        Some(past)
    }
}

fn failure(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Error { kind, .. } => Some(kind.clone()),
        Outcome::Inline(_) | Outcome::Stored { .. } => None,
    }
}

/// The call with its arguments, and whether they are known.
fn with_arguments(mut call: Call, content: &mut impl FnMut(&Digest) -> Option<Vec<u8>>) -> (Call, bool) {
    let Call::ToolsCall { arguments, value, .. } = &mut call else { return (call, true) };
    let bytes = content(arguments);
    let text = bytes.as_deref().and_then(|bytes| core::str::from_utf8(bytes).ok());
    let Some(read) = text.and_then(|text| json::parse(text).ok()) else { return (call, false) };
    *value = Arc::new(read);
    (call, true)
}
