//! What outlives a host: journals, books, and what happened outside.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::zoo::Random;
use super::island::is_outside;
use crate::budget::{Amounts, Books};
use crate::call::{Call, CallId, RunId};
use crate::journal::{Entry, Status, Unfinished};
use crate::time::Millis;

/// What outlives a host.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) runs: BTreeMap<RunId, Kept>,
    pub(super) books: BTreeMap<&'static str, Books>,
    /// How often each call happened outside.
    pub(super) outside: BTreeMap<(RunId, CallId), u32>,
    pub(super) now: Millis,
    pub(super) last: u64,
    /// Whether runs are stopped.
    pub(super) stops: bool,
}

/// A run as it is kept.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) agent: &'static str,
    pub(super) above: Option<RunId>,
    pub(super) entries: Vec<Arc<Entry>>,
}

impl Kept {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|entry| &**entry)
    }

    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        Unfinished::of(self.entries())
    }

    /// Whether somebody stopped it: then not all of its calls have an answer.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.entries().last(), Some(Entry::Ended(ended)) if ended.status == Status::Stopped)
    }

    /// Fuel that it gave to others, as its guest knows it.
    pub(super) fn given(&self) -> u64 {
        let given = self.entries().filter_map(|entry| match entry {
            Entry::Asked { call, what: Call::AgentsCall(delegation), .. } => Some((*call, delegation.fuel)),
            _ => None,
        });
        given.collect::<BTreeMap<_, _>>().values().sum()
    }

    /// How often it asked for what this call is to do.
    pub(super) fn asked(&self, call: CallId) -> u32 {
        let asked = self.entries().filter(|entry| matches!(entry, Entry::Asked { call: of, .. } if *of == call));
        asked.count() as u32
    }

    /// What its own calls took, and it itself.
    pub(super) fn took(&self) -> Amounts {
        let (mut took, mut total, mut delegated) = (Amounts::ZERO, Amounts::ZERO, BTreeSet::new());
        for entry in self.entries() {
            match entry {
                Entry::Asked { call, what: Call::AgentsCall(_), .. } => drop(delegated.insert(*call)),
                Entry::Answered { call, spent, .. } | Entry::Unknown { call, spent, .. } => {
                    total = total.plus(*spent);
                    took = took.plus(if delegated.contains(call) { Amounts::ZERO } else { *spent });
                }
                // What is above the sum of its calls is its fuel and its time.
                Entry::Ended(ended) => took = took.plus(ended.spent.minus(total)),
                _ => {}
            }
        }
        took
    }
}

impl Disk {
    pub(super) fn payer(&self, run: RunId) -> &'static str {
        let way = core::iter::successors(Some(run), |run| self.runs.get(run)?.above);
        way.last().and_then(|top| self.runs.get(&top)).expect("who runs is kept").agent
    }

    pub(super) fn depth(&self, run: RunId) -> usize {
        core::iter::successors(Some(run), |run| self.runs.get(run)?.above).count()
    }

    /// Of the calls that were asked for and not answered, some happened.
    pub(super) fn die(&mut self, random: &mut Random) {
        for (run, kept) in &self.runs {
            let Some(unfinished) = kept.unfinished() else { continue };
            for (call, _) in unfinished.open.iter().filter(|(_, open)| open.sent && is_outside(&open.what)) {
                let happened = self.outside.entry((*run, *call)).or_default();
                // Once for each time that it was asked for, whichever host that was.
                *happened = kept.asked(*call).min(*happened + random.below(2) as u32);
            }
        }
    }
}
