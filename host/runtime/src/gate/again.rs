//! The way of a call that a run makes again: its answer comes out of the past, at its place in the order. No kernel is asked, nothing is
//! done or spent. Where a run goes on behind its past, a call without an answer is made anew, or the guest is told that nobody knows.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Recordable;
use agentry_abi::fault::{self, Fault};
use agentry_journal::Extras;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{Entry, Outcome};
use agentry_kernel::limits::CALLS_PER_RUN_MAX;
use agentry_kernel::time::Millis;
use agentry_store::StoreError;

use super::Gate;
use super::answer::{Begun, CallHandle, Coming, Unseen};
use crate::run::context::RunContext;
use crate::run::recording::{Delivered, Recorded, RecordedAnswer, Recording, Step};

/// A call that is made again.
pub(super) struct RecalledCall {
    gate: Gate,
    call: CallId,
    past: Arc<Recording>,
    /// None if the run has come to a verdict, and is over.
    recorded: Option<Recorded>,
}

/// What a call of a run is.
pub(super) enum Recall {
    /// It has its answer.
    Recordable(Box<RecalledCall>),
    /// It is to be decided on and done.
    Live(Number),
}

/// The number of a call that is decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// The next one.
    Next,
    /// That of a call which was asked before and lost, and when that was.
    Again(CallId, Millis),
}

impl Gate {
    /// What this run is given for its next call.
    pub(super) fn recall(&self, run: &Arc<RunContext>, what: &Call) -> Recall {
        let Some(past) = run.recording() else { return Recall::Live(Number::Next) };
        if !run.repeats() {
            return Recall::Live(Number::Next);
        }
        let call = run.next_call(CALLS_PER_RUN_MAX).unwrap_or(CallId(u32::MAX));
        let recorded = match past.recall(call, what) {
            Step::Again(began) => {
                run.clock.advance(began);
                return Recall::Live(Number::Again(call, began));
            }
            Step::Recordable(recorded) => Some(*recorded),
            Step::Interrupted(recorded) => Some(self.interrupted(run, call, recorded)),
            Step::New | Step::Over => None,
        };
        match &recorded {
            Some(recorded) => drop(run.clock.advance(recorded.times().0)),
            None => run.cancelled.cancel(),
        }
        Recall::Recordable(Box::new(RecalledCall { gate: self.clone(), call, past: Arc::clone(past), recorded }))
    }

    /// Nobody knows whether this call happened; the guest is told so.
    fn interrupted(&self, run: &RunContext, call: CallId, recorded: &Recorded) -> Recorded {
        let at = self.0.time(self.0.clock.now().max(recorded.times().0));
        let text = "the host stopped before the answer came, so it is not known whether it happened".to_owned();
        let (outcome, _) = fault::outcome(&Error::Interrupted(text));
        let entry = Entry::Answered { call, at, outcome: outcome.clone(), spent: Amounts::ZERO };
        self.0.journal.append(&run.trail, &[entry], Extras::default());
        recorded.answered(outcome, at)
    }
}

impl RecalledCall {
    /// The answer, where the guest stands and waits for it.
    pub(super) fn at_once<T: Recordable, E: Fault>(&self, run: &RunContext) -> Result<T, E> {
        if let Some(recorded) = &self.recorded {
            run.clock.advance(recorded.times().1);
        }
        self.answer(run)
    }

    /// The answer, and when the guest saw it.
    pub(super) fn begun<T: Recordable, E: Fault>(self, run: &Arc<RunContext>) -> Begun<T, E> {
        let known = |unseen| Begun::later(self.call, false, unseen, Coming::Known(Some(self.answer(run))));
        match self.recorded.as_ref().map(|recorded| (recorded.delivery, recorded.times().1)) {
            Some((Delivered::Seen, at)) => known(Unseen::told(run, at)),
            Some((Delivered::Unseen, at)) => known(Unseen::call(CallHandle::of_known(&self.gate, run, self.call, at))),
            // It waits like one that comes, and what the guest does meanwhile ends it.
            Some((Delivered::Never, _)) => Begun::later(self.call, false, Unseen::nothing(), Coming::Never),
            Some((Delivered::AtOnce, _)) | None => Begun::now(Some(self.call), self.at_once(run)),
        }
    }

    fn answer<T: Recordable, E: Fault>(&self, run: &RunContext) -> Result<T, E> {
        let over = || E::from(fault::unavailable("this run is over", None));
        let Some(recorded) = &self.recorded else { return Err(over()) };
        let decoded = match &recorded.given {
            Some(RecordedAnswer::Outcome(outcome)) => decode(&self.past, outcome),
            Some(RecordedAnswer::Refusal(refusal)) => Ok(Err(fault::refused(refusal, run.id, self.call).into())),
            None => {
                // It was cut in the middle of the call.
                run.cancelled.cancel();
                return Err(over());
            }
        };
        decoded.unwrap_or_else(|error| {
            self.past.unreadable(error);
            run.cancelled.cancel();
            Err(over())
        })
    }

    /// The answer that came while the guest still waited, or whose drop was not written down: it sees it, or lets go of it, from here on.
    pub(super) fn unseen<T: Recordable>(&self) -> Option<(Result<T, Error>, Millis)> {
        let recorded = self.recorded.as_ref().filter(|recorded| recorded.delivery == Delivered::Unseen)?;
        let Some(RecordedAnswer::Outcome(outcome)) = &recorded.given else { return None };
        // What cannot be read is told where the guest gets it.
        Some((decode(&self.past, outcome).ok()?, recorded.times().1))
    }

    pub(super) fn call(&self) -> CallId {
        self.call
    }
}

/// An answer as the guest had it.
pub(crate) fn decode<T: Recordable, E: Fault>(past: &Recording, outcome: &Outcome) -> Result<Result<T, E>, StoreError> {
    let damaged = |_| StoreError::Damaged { why: "an answer that does not decode".to_owned() };
    match outcome {
        Outcome::Inline(bytes) => postcard::from_bytes(bytes).map(Ok).map_err(damaged),
        Outcome::Stored { content, .. } => postcard::from_bytes(&past.content(content)?).map(Ok).map_err(damaged),
        Outcome::Error { partial: Some(whole), .. } => {
            postcard::from_bytes(&past.content(whole)?).map(Err).map_err(damaged)
        }
        Outcome::Error { kind, text, partial: None } => {
            let error: Error = fault::known(kind, text)
                .ok_or_else(|| StoreError::Damaged { why: format!("an error of the unknown kind `{kind}`") })?;
            Ok(Err(error.into()))
        }
    }
}
