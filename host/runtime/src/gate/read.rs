//! The way of a short read of our own store: answered where it stands, unless people must say yes to it first.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Acted, Told};
use agentry_abi::fault;
use agentry_kernel::budget::Amounts;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use futures::FutureExt as _;
use serde::Serialize;

use super::again::{Number, Recall};
use super::outside::Errand;
use super::{Asking, Gate, Manner, Turn, outside, settle};
use crate::run::context::RunContext;

impl Gate {
    /// Decides, reads and writes down in one step what may be labelled; only where policy asks people it waits. It costs nothing.
    ///
    /// # Errors
    /// What the kernel refuses, what `act` fails with; `cancelled` or `timed-out` if nobody answers while the run can wait;
    /// `unavailable` if `act` panics or the journal cannot keep up.
    pub fn pass_read<T, W, A>(
        &self,
        run: &Arc<RunContext>,
        what: W,
        act: A,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, W, A>
    where
        W: Into<Asking>,
        A: FnOnce(&Permit) -> Acted<T> + Send + 'static,
        T: Told + Send + 'static,
    {
        let asking = what.into();
        let number = match self.recall(run, &asking.what) {
            Recall::Told(again) => return std::future::ready(again.at_once(run)).left_future(),
            Recall::Live(number) => number,
        };
        match self.read_now(run, number, asking, act) {
            Read::Done(result) => std::future::ready(result).left_future(),
            Read::Waits(errand, turn, act) => errand.read(turn, act).right_future(),
        }
    }

    fn read_now<T: Serialize, A: FnOnce(&Permit) -> Acted<T>>(
        &self,
        run: &Arc<RunContext>,
        number: Number,
        asking: Asking,
        act: A,
    ) -> Read<T, A> {
        let gate = &*self.0;
        let (call, at) = match gate.enter(run, number) {
            Ok(entered) => entered,
            Err(error) => return Read::Done(Err(error)),
        };
        let (mut permit, Asking { what, contents, basis, .. }) = match gate.admit(run, call, asking, at, Manner::Whole)
        {
            Ok((Turn::Now(permit), Some(asking))) => (permit, asking),
            Ok((turn, asking)) => return Read::Waits(Box::new(self.errand(run, (call, at), asking)), turn, act),
            Err(refusal) => return Read::Done(Err(fault::refused(&refusal, run.id, call))),
        };
        let result = looked_up(run, &mut permit, act);
        let mut contents = if run.trail.is_full() { Vec::new() } else { contents };
        let outcome = settle::outcome(&result, &mut contents);
        let entry = Entry::Called { call, at, what, outcome, basis };
        gate.settle(run, permit, Some(Amounts::ZERO), at, contents, |_| Some(entry));
        Read::Done(result)
    }
}

/// How a read goes on once it is decided.
enum Read<T, A> {
    Done(Result<T, Error>),
    Waits(Box<Errand>, Turn, A),
}

impl Errand {
    /// Waits for people, then reads.
    async fn read<T: Serialize>(
        mut self,
        turn: Turn,
        act: impl FnOnce(&Permit) -> Acted<T> + Send,
    ) -> Result<T, Error> {
        let run = Arc::clone(&self.run);
        let _standing = run.turnstile.stand();
        let (result, at) = match self.turn(turn).await {
            Ok(mut permit) => {
                run.clock.advance(self.now());
                let result = looked_up(&run, &mut permit, act);
                self.close(permit, result, Some(Amounts::ZERO))
            }
            Err(error) => self.withdrawn(error),
        };
        // What the guest's clock shows now is what stands in the journal.
        run.clock.advance(at);
        result
    }
}

/// What `act` finds, and the labels of it on the permit; nothing if the journal cannot keep up.
pub(super) fn looked_up<T>(
    run: &RunContext,
    permit: &mut Permit,
    act: impl FnOnce(&Permit) -> Acted<T>,
) -> Result<T, Error> {
    if run.trail.is_full() {
        return Err(fault::unavailable("the host's disk does not keep up", Some(100)));
    }
    let acted = catch_unwind(AssertUnwindSafe(|| act(permit)));
    let acted = acted.unwrap_or_else(|_| outside::broken(Amounts::ZERO));
    permit.bring(&acted.labels);
    acted.result
}
