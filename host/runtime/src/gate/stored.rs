//! The way of a write to our own store: the change and the entry that tells of it are one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Recordable, Write};
use agentry_abi::fault;
use agentry_journal::Extras;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::time::Millis;
use agentry_store::StoreError;
use serde::Serialize;

use super::answer::Begun;
use super::in_flight::InFlightCall;
use super::settle::Cost;
use super::{CallRequest, Gate, Turn, kept, settle};
use crate::run::context::RunContext;

/// How often a write is tried that others get in the way of.
const TRIES_MAX: usize = 16;

impl Gate {
    /// Decides now; what was written is durable when its answer comes.
    ///
    /// `act` reads and gives the batch to commit, with what must still hold; it is asked again if that did not.
    /// A write that went well costs what was held for it, of storage what it added; any other costs nothing. A guest that lets go of the
    /// call takes nothing back.
    ///
    /// Its answer is an error if the kernel refuses or `act` fails; `unavailable` if the store cannot be written.
    pub fn pass_store<T, W, A>(&self, run: &Arc<RunContext>, what: W, act: A) -> Begun<T, Error>
    where
        W: Into<CallRequest>,
        A: FnMut(&Permit) -> Write<T> + Send + 'static,
        T: Recordable + Send + 'static,
    {
        self.in_flight(run, what.into(), move |call, turn| call.write(turn, act))
    }
}

impl InFlightCall {
    async fn write<T: Serialize + Send>(
        mut self,
        turn: Turn,
        mut act: impl FnMut(&Permit) -> Write<T> + Send,
    ) -> (Result<T, Error>, Millis) {
        let mut permit = match self.turn(turn).await {
            Ok(permit) => permit,
            Err(error) => return self.withdrawn(error),
        };
        let at = self.now();
        let Some(CallRequest { what, contents, lock, .. }) = self.asking.take() else {
            return (Err(fault::broke()), at);
        };
        let basis = permit.basis();
        self.gate.0.journal.append(&self.run.trail, &[], Extras { contents, ..Extras::default() });
        let mut failed = fault::unavailable("too many others write the same entry", Some(10));
        let _alone = match &lock {
            Some((locks, name)) => Some(locks.lock(name).await),
            None => None,
        };
        for _ in 0..TRIES_MAX {
            let Write { result, labels } =
                catch_unwind(AssertUnwindSafe(|| act(&permit))).unwrap_or_else(|_| Err(fault::broke()).into());
            permit.bring(&labels);
            let (batch, value) = match result {
                Ok(write) => write,
                Err(error) => {
                    failed = error;
                    break;
                }
            };
            let (grown, others) = kept::of(&batch, self.run.payer());
            if grown > permit.held()[Resource::Storage] {
                failed = fault::unavailable("the entry changed while it was written", Some(10));
                break;
            }
            let mut contents = Vec::new();
            let outcome = settle::outcome::<&T, Error>(&Ok(&value), &mut contents);
            let written = permit.held()[Resource::Written].saturating_add(settle::bytes(&contents));
            self.gate.0.journal.append(&self.run.trail, &[], Extras { contents, ..Extras::default() });
            let entry = Entry::Called { call: self.call, at, what: what.clone(), outcome, basis };
            match self.gate.0.journal.commit(&self.run.trail, &[entry], batch).await {
                Ok(()) => {
                    self.gate.0.move_levels(&self.run.trail, others);
                    let spent = permit.held().with(Resource::Storage, grown).with(Resource::Written, written);
                    let spent = self.gate.0.settle(&self.run, permit, Cost::Made(spent), at, Vec::new(), |_| None);
                    self.tell(at, spent, None);
                    self.gate.changed(&self.run, &what);
                    return (Ok(value), at);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => {
                    failed = fault::stored(&error);
                    break;
                }
            }
        }
        let mut contents = Vec::new();
        let outcome = settle::outcome::<(), Error>(&Err(failed.clone()), &mut contents);
        let entry = Entry::Called { call: self.call, at, what, outcome, basis };
        // Nothing was written, and yet the answer may tell of what stands there.
        self.gate.0.settle(&self.run, permit, Cost::Made(Amounts::ZERO), at, contents, |_| Some(entry));
        self.tell(at, Amounts::ZERO, Some(fault::kind(&failed)));
        (Err(failed), at)
    }
}
