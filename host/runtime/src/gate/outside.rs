//! The way of a call that takes time or reaches outside: `llm.complete`, `files.read`, `timers.sleep`. A driver acts with a permit on loan; the
//! call ends when that has come back.

use std::future::Future;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Barred, Completed, Recordable};
use agentry_abi::fault::{self, Fault};
use agentry_journal::Extras;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Durability, Effect};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::refusal::{Bar, PUBLIC_OR_PRIVATE, Refusal};
use agentry_kernel::rights::HttpRight;
use agentry_kernel::time::Millis;
use futures::FutureExt as _;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::answer::Begun;
use super::in_flight::{InFlightCall, past};
use super::{CallRequest, Gate, Turn, told_no};
use crate::run::context::RunContext;

/// How long an act may go on after it was cancelled, to say what it knows. Then it is dropped and its worst case is
/// taken, for nobody knows what it did.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A permit on loan to an act and to whatever that begins. When the last of them has let go of it, it is back.
#[derive(Debug)]
pub struct LentPermit {
    permit: Option<Permit>,
    back: Option<oneshot::Sender<Permit>>,
}

impl LentPermit {
    fn lend(permit: Permit) -> (Arc<Self>, oneshot::Receiver<Permit>) {
        let (back, comes_back) = oneshot::channel();
        (Arc::new(Self { permit: Some(permit), back: Some(back) }), comes_back)
    }
}

impl Deref for LentPermit {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        self.permit.as_ref().expect("it goes back when nobody holds this any more")
    }
}

impl Drop for LentPermit {
    fn drop(&mut self) {
        if let (Some(permit), Some(back)) = (self.permit.take(), self.back.take()) {
            // Whoever lent it waits for it as long as the host lives.
            let _ = back.send(permit);
        }
    }
}

impl Gate {
    /// What bars a request of this agent, with the rule of its grant that could open it: of those that fit the request, the first.
    pub(crate) fn placed(&self, bar: Bar, agent: &str, fits: impl Fn(&HttpRight) -> bool) -> Bar {
        if bar.allowed != PUBLIC_OR_PRIVATE {
            return bar;
        }
        let policy = self.kernel(|kernel| Arc::clone(kernel.policy()));
        let grant = policy.grants.iter().find(|grant| grant.agent == agent);
        let rule =
            grant.and_then(|grant| Some((&grant.rule.file, grant.rights.http.iter().find(|right| fits(right))?)));
        match rule {
            Some((file, right)) => Bar { hint: format!("{} `{}`, {file}:{}", bar.hint, right.id, right.line), ..bar },
            None => bar,
        }
    }

    /// Decides now, in the order in which the guest asks.
    ///
    /// An external effect begins when its intent is durable. Its outcome is durable before the next external effect of
    /// the run begins: the guest need not wait for that. A guest that lets go of the call cancels the token that `act` was given;
    /// `act` then ends soon with what it knows.
    ///
    /// Its answer is an error if the kernel refuses or `act` fails; `cancelled` or `timed-out` if it does not end when it should;
    /// `unavailable` if it panics or its intent cannot be written down.
    pub fn pass<T, E, F, W, A>(&self, run: &Arc<RunContext>, what: W, act: A) -> Begun<T, E>
    where
        W: Into<CallRequest>,
        A: FnOnce(Arc<LentPermit>, CancellationToken) -> F + Send + 'static,
        T: Recordable + Send + 'static,
        E: Fault,
        F: Future<Output = Completed<T, E>> + Send + 'static,
    {
        self.in_flight(run, what.into(), move |call, turn| call.run(turn, act))
    }
}

impl InFlightCall {
    /// Its act, which may reach outside; an external effect begins when its intent is durable.
    async fn run<T, E, F>(
        mut self,
        turn: Turn,
        act: impl FnOnce(Arc<LentPermit>, CancellationToken) -> F + Send + 'static,
    ) -> (Result<T, E>, Millis)
    where
        T: Serialize + Send + 'static,
        E: Fault,
        F: Future<Output = Completed<T, E>> + Send + 'static,
    {
        let waits = !matches!(turn, Turn::Now(_));
        let permit = match self.turn(turn).await {
            Ok(permit) => permit,
            Err(error) => return self.withdrawn(error),
        };
        if waits && let Some(refusal) = self.gate.0.overtaken(&permit, self.asking.as_ref()) {
            return self.overtaken(permit, &refusal);
        }
        self.asked(&permit);
        if self.durability == Durability::WriteAhead {
            let journal = &self.gate.0.journal;
            let flushed = self.intent.take().unwrap_or_else(|| journal.flush());
            if let Err(error) = journal.durable_by(flushed, &self.run.trail).await {
                return self.close(permit, Err(fault::stored(&error).into()), None);
            }
        }
        // A run below that was begun before is to end, so somebody has to look for it.
        let below = self.run.recording().is_some_and(|past| past.spawned(self.call).is_some());
        if self.cancel.is_cancelled() && !below {
            return self.close(permit, Err(Error::Cancelled.into()), None);
        }
        // What an act costs that was cut off is not known, so it is what it could have cost.
        let worst = if self.effect == Effect::External { *permit.held() } else { Amounts::ZERO };
        let (lent, back) = LentPermit::lend(permit);
        let Completed { result, spent, labels, freed, below, note, barred } = self.bounded(act, lent, worst).await;
        // An act has not ended while something that it began can still use its permit.
        let Ok(mut permit) = back.await else { return (Err(fault::broke().into()), self.now()) };
        permit.bring(&labels);
        self.below = below;
        self.gate.0.note(&self.run, self.call, self.now(), note);
        let result = match barred {
            Some(barred) => Err(self.barred(&permit, *barred)),
            None => result,
        };
        let (gate, run) = (self.gate.clone(), Arc::clone(&self.run));
        let answer = self.close(permit, result, Some(spent));
        gate.0.free(&run, &freed);
        answer
    }

    /// The driver's own guard was in its way: the no stands in the journal before the answer that the guest gets of it.
    fn barred<E: Fault>(&self, permit: &Permit, barred: Barred) -> E {
        let (call, at, Barred { what, bar }) = (self.call, self.now(), barred);
        let refusal = Refusal::barred(&self.run.agent, what.name(), (self.run.id, call), bar);
        let entry = Entry::Refused { call, at, what, refusal: refusal.clone(), basis: permit.basis() };
        self.gate.0.journal.append(&self.run.trail, &[entry], Extras::default());
        told_no(&self.run, &refusal);
        fault::refused(&refusal, self.run.id, call).into()
    }

    async fn bounded<T, E, F>(
        &self,
        act: impl FnOnce(Arc<LentPermit>, CancellationToken) -> F + Send,
        permit: Arc<LentPermit>,
        worst: Amounts,
    ) -> Completed<T, E>
    where
        E: Fault,
        F: Future<Output = Completed<T, E>> + Send,
    {
        let token = self.cancel.clone();
        let mut acting = pin!(AssertUnwindSafe(async move { act(permit, token).await }).catch_unwind());
        let cut = tokio::select! {
            biased;
            done = &mut acting => return done.unwrap_or_else(|_| broken(worst)),
            () = self.cancel.cancelled() => Error::Cancelled,
            () = past(&self.run) => Error::TimedOut,
        };
        self.cancel.cancel();
        match tokio::time::timeout(GRACE, acting).await {
            Ok(done) => done.unwrap_or_else(|_| broken(worst)),
            Err(_) => Completed::of(Err(cut.into()), worst),
        }
    }
}

pub(super) fn broken<T, E: Fault>(worst: Amounts) -> Completed<T, E> {
    Completed::of(Err(fault::broke().into()), worst)
}
