//! The way of a call that a run makes again: its answer comes out of the past, at its place in the order. No kernel is asked, nothing is
//! done, written or spent.

use std::sync::Arc;

use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::Outcome;
use agentry_kernel::limits::CALLS_PER_RUN_MAX;

use super::{Fault, Gate, Told, fault};
use crate::run::context::RunContext;
use crate::run::past::{Fate, Given, Past, Recorded};
use crate::run::turnstile::Sight;
use crate::store::StoreError;
use crate::syscalls::bindings::agentry::agent::types::Error;

/// A call that is made again.
pub(super) struct Again {
    call: CallId,
    past: Arc<Past>,
    /// None if the run has come to a verdict, and is over.
    recorded: Option<Recorded>,
}

impl Gate {
    /// What this run is given for its next call; none if it lives now.
    pub(super) fn recall(&self, run: &RunContext, what: &Call) -> Option<Again> {
        let past = Arc::clone(run.past()?);
        let call = run.next_call(CALLS_PER_RUN_MAX);
        let recorded = call.and_then(|call| past.recall(call, what)).cloned();
        match &recorded {
            Some(recorded) => drop(run.clock.advance(recorded.times().0)),
            None => run.cancelled.cancel(),
        }
        Some(Again { call: call.unwrap_or(CallId(u32::MAX)), past, recorded })
    }
}

impl Again {
    /// The answer, where the guest stands and waits for it.
    pub(super) fn at_once<T: Told, E: Fault>(&self, run: &RunContext) -> Result<T, E> {
        let over = || E::from(fault::unavailable("this run is over", None));
        let Some(recorded) = &self.recorded else { return Err(over()) };
        run.clock.advance(recorded.times().1);
        let decoded = match &recorded.given {
            Some(Given::Outcome(outcome)) => decode(&self.past, outcome),
            Some(Given::Refusal(refusal)) => Ok(Err(fault::refused(refusal, run.id, self.call).into())),
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

    /// The answer, when the guest saw it.
    pub(super) async fn answer<T: Told, E: Fault>(self, run: &RunContext) -> Result<T, E> {
        match self.recorded.as_ref().map(|recorded| recorded.sight) {
            Some(Fate::Seen) => run.turnstile.pass(Sight::Answer(self.call)).await,
            // It waits like one that comes, and what the guest does meanwhile ends it.
            Some(Fate::Never) => std::future::pending().await,
            Some(Fate::AtOnce) | None => {}
        }
        self.at_once(run)
    }

    pub(super) fn call(&self) -> CallId {
        self.call
    }
}

fn decode<T: Told, E: Fault>(past: &Past, outcome: &Outcome) -> Result<Result<T, E>, StoreError> {
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
