//! The way of a short read of our own store: answered where it stands, unless people must say yes to it first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_abi::fault;
use agentry_kernel::budget::Amounts;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::time::Millis;
use serde::Serialize;

use super::again::{Number, Recall};
use super::answer::Begun;
use super::in_flight::InFlightCall;
use super::{CallRequest, Gate, JournalMode, Turn, outside, settle};
use crate::run::context::RunContext;

impl Gate {
    /// Decides, reads and writes down in one step what may be labelled; only where policy asks people it waits. It costs nothing.
    ///
    /// Its answer is an error if the kernel refuses or `act` fails; `cancelled` or `timed-out` if nobody answers while the run can wait;
    /// `unavailable` if `act` panics or the journal cannot keep up.
    pub fn pass_read<T, W, A>(&self, run: &Arc<RunContext>, what: W, act: A) -> Begun<T, Error>
    where
        W: Into<CallRequest>,
        A: FnOnce(&Permit) -> Completed<T> + Send + 'static,
        T: Recordable + Send + 'static,
    {
        let asking = what.into();
        let number = match self.recall(run, &asking.what) {
            Recall::Recordable(again) => return Begun::now(Some(again.call()), again.at_once(run)),
            Recall::Live(number) => number,
        };
        match self.read_now(run, number, asking, act) {
            Read::Done(result) => Begun::now(None, result),
            Read::Waits(call, turn, act) => call.launch(turn, move |call, turn| call.read(turn, act)),
        }
    }

    fn read_now<T: Serialize, A: FnOnce(&Permit) -> Completed<T>>(
        &self,
        run: &Arc<RunContext>,
        number: Number,
        asking: CallRequest,
        act: A,
    ) -> Read<T, A> {
        let gate = &*self.0;
        let (call, at) = match gate.enter(run, number) {
            Ok(entered) => entered,
            Err(error) => return Read::Done(Err(error)),
        };
        let (mut permit, CallRequest { what, contents, basis, .. }) =
            match gate.admit(run, call, asking, at, JournalMode::Whole) {
                Ok((Turn::Now(permit), Some(asking))) => (permit, asking),
                Ok((turn, asking)) => return Read::Waits(Box::new(self.admitted(run, (call, at), asking)), turn, act),
                Err(refusal) => return Read::Done(Err(fault::refused(&refusal, run.id, call))),
            };
        let result = looked_up(run, &mut permit, act);
        let mut contents = if run.trail.is_full() { Vec::new() } else { contents };
        let outcome = settle::outcome(&result, &mut contents);
        let entry = Entry::Called { call, at, what, outcome, basis };
        gate.conclude(run, permit, entry, contents, at);
        Read::Done(result)
    }
}

/// How a read goes on once it is decided.
enum Read<T, A> {
    Done(Result<T, Error>),
    Waits(Box<InFlightCall>, Turn, A),
}

impl InFlightCall {
    /// Waits for people, then reads.
    async fn read<T: Serialize>(
        mut self,
        turn: Turn,
        act: impl FnOnce(&Permit) -> Completed<T> + Send,
    ) -> (Result<T, Error>, Millis) {
        match self.turn(turn).await {
            Ok(mut permit) => {
                // The guest stands in the call: what it reads is as of now.
                self.run.clock.advance(self.now());
                let result = looked_up(&self.run, &mut permit, act);
                self.close(permit, result, Some(Amounts::ZERO))
            }
            Err(error) => self.withdrawn(error),
        }
    }
}

/// What `act` finds, and the labels of it on the permit; nothing if the journal cannot keep up.
pub(super) fn looked_up<T>(
    run: &RunContext,
    permit: &mut Permit,
    act: impl FnOnce(&Permit) -> Completed<T>,
) -> Result<T, Error> {
    if run.trail.is_full() {
        return Err(fault::unavailable("the host's disk does not keep up", Some(100)));
    }
    let acted = catch_unwind(AssertUnwindSafe(|| act(permit)));
    let acted = acted.unwrap_or_else(|_| outside::broken(Amounts::ZERO));
    permit.bring(&acted.labels);
    acted.result
}
