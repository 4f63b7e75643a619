//! The time that decisions and journals go by: the host's. It is written down for the next host, and a person can set it to the machine's.

use std::collections::BTreeSet;
use std::sync::Arc;

use agentry_journal::{Extras, Trail};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::Entry;
use agentry_kernel::limits::CLOCK_LEAP_MAX_MS;
use agentry_kernel::time::{ClockReading, Millis};
use agentry_store::{Batch, StoreError, rows};

use super::act::Behalf;
use super::{Gate, Inner};
use crate::run::context::RunContext;

impl Gate {
    /// Writes down how far the time of this host has come: the next one begins no earlier.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn mark_time(&self) -> Result<(), StoreError> {
        let (journal, mut batch) = (&self.0.journal, Batch::default());
        rows::clock::put(&mut batch, journal.at().host, self.0.clock.now());
        journal.store().commit(batch).await
    }

    /// Lists runs that live here and began in a time that has not come by this time; which.
    pub(crate) fn list_living_by(&self, now: Millis) -> BTreeSet<RunId> {
        let runs = self.0.audience.runs();
        runs.iter().filter(|run| run.list_by(now)).map(|run| run.id).collect()
    }

    /// Goes by the machine's clock from here on, because a person says that it is right. What lies in a time that has not come then is settled
    /// as [`agentry_kernel::Kernel::set_back`] says, and journaled. What both clocks said before.
    pub(crate) fn accept_clock(&self) -> ClockReading {
        let gate = &*self.0;
        let before = gate.clock.accept();
        let at = gate.clock.now();
        let trail = Arc::new(Trail::new(RunId::HOST));
        let moved = gate.act(Behalf::host(&trail), at, |act| {
            act.note(Entry::ClockAccepted { at, was: before.host });
            act.ask(|kernel| kernel.set_back(at))
        });
        for agent in &moved {
            let cell = gate.cell.lock();
            gate.journal.append(&trail, &[], Extras { balances: cell.books(agent), ..Extras::default() });
        }
        before
    }
}

impl Gate {
    /// When a run made this call before; none if the call is new. One of a time that has not come, because a clock was ahead, was long ago: what
    /// waits since then is over.
    pub(crate) fn began(&self, run: &RunContext, call: CallId) -> Option<Millis> {
        let (began, now) = (run.began(call)?, self.0.clock.now());
        Some(if began.since(now) > CLOCK_LEAP_MAX_MS { Millis(0) } else { began })
    }
}

impl Inner {
    /// The time of a call by the clock of its run, which never goes back, or by the host's, if that was set back since the run began.
    pub(super) fn time(&self, at: Millis) -> Millis {
        let now = self.clock.now();
        if at.since(now) > CLOCK_LEAP_MAX_MS { now } else { at }
    }
}
