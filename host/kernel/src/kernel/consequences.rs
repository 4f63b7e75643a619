//! What follows from an act on the kernel: to be written down, and to be told to those who wait, in the step in which the act is done. The
//! kernel keeps none of it for a later act.

use alloc::vec::Vec;

use super::{Closed, Kernel, RateState, Ready};
use crate::journal::Entry;

/// What follows from one act, beside its answer. Making and taking it allocates nothing where nothing follows.
#[derive(Debug, Default)]
#[must_use = "whoever waits is not woken, and the journal lacks what the act rests on"]
pub struct Consequences {
    /// Entries for the journal of the run, before the one that tells of the act: what its decision rests on, what files that only
    /// observe would have said, what people added to budgets.
    pub entries: Vec<Entry>,
    /// What rules that counted the call remember now: stored with the entries.
    pub rated: Vec<RateState>,
    /// Calls whose turn has come.
    pub ready: Vec<Ready>,
    /// Questions that are closed, with those who waited for them.
    pub closed: Vec<Closed>,
    /// True if the books of whoever pays for the run have changed: stored with the entries.
    pub books: bool,
}

impl Consequences {
    /// Of both acts, in their order.
    pub fn join(&mut self, later: Self) {
        // An empty list takes the other one's place, so that joining to nothing allocates nothing.
        fn append<T>(all: &mut Vec<T>, mut more: Vec<T>) {
            if all.is_empty() { *all = more } else { all.append(&mut more) }
        }
        let Self { entries, rated, ready, closed, books } = later;
        append(&mut self.entries, entries);
        append(&mut self.rated, rated);
        append(&mut self.ready, ready);
        append(&mut self.closed, closed);
        self.books |= books;
    }

    /// True if nothing follows.
    pub fn is_empty(&self) -> bool {
        let Self { entries, rated, ready, closed, books } = self;
        entries.is_empty() && rated.is_empty() && ready.is_empty() && closed.is_empty() && !books
    }
}

impl Kernel {
    /// What has followed since the act began: each public act ends with it.
    pub(super) fn follows(&mut self) -> Consequences {
        let mut follows = core::mem::take(&mut self.follows);
        follows.closed = self.approvals.take_closed();
        follows
    }
}
