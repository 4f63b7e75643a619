//! The way of a call that takes time or reaches outside: `llm.complete`, `files.read`, `timers.sleep`.
//!
//! Its act runs in a task of its own, so that a guest that drops the call neither stops its settlement nor saves a cent.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Acted, Told};
use agentry_abi::fault::{self, Fault};
use agentry_journal::Along;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, Effect};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use futures::FutureExt as _;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::again::{Number, Recall};
use super::{Asking, Gate, Manner, Turn, settle};
use crate::run::acts::{Act, Acts};
use crate::run::context::RunContext;
use crate::run::events::Event;
use crate::run::situation::{Wait, Waiting};
use crate::run::turnstile::Sight;

/// How long an act may go on after it was cancelled, to say what it knows. Then it is dropped and its worst case is
/// taken, for nobody knows what it did.
pub(super) const GRACE: Duration = Duration::from_secs(5);

impl Gate {
    /// Decides now, in the order in which the guest asks, and gives the future of the answer.
    ///
    /// An external effect begins when its intent is durable. Its outcome is durable before the next external effect of
    /// the run begins: the guest need not wait for that. Dropping the future cancels the token that `act` was given;
    /// `act` then ends soon with what it knows.
    ///
    /// # Errors
    /// What the kernel refuses and what `act` fails with; `cancelled` or `timed-out` if it does not end when it should;
    /// `unavailable` if it panics or its intent cannot be written down.
    pub fn pass<T, E, F, W, A>(
        &self,
        run: &Arc<RunContext>,
        what: W,
        act: A,
    ) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F, W, A>
    where
        W: Into<Asking>,
        A: FnOnce(Arc<Permit>, CancellationToken) -> F + Send + 'static,
        T: Told + Send + 'static,
        E: Fault,
        F: Future<Output = Acted<T, E>> + Send + 'static,
    {
        self.pass_numbered(run, what, act).1
    }

    /// The same, with the number of the call; none if the run is over.
    pub(crate) fn pass_numbered<T, E, F, W, A>(
        &self,
        run: &Arc<RunContext>,
        what: W,
        act: A,
    ) -> (Option<CallId>, impl Future<Output = Result<T, E>> + Send + use<T, E, F, W, A>)
    where
        W: Into<Asking>,
        A: FnOnce(Arc<Permit>, CancellationToken) -> F + Send + 'static,
        T: Told + Send + 'static,
        E: Fault,
        F: Future<Output = Acted<T, E>> + Send + 'static,
    {
        let asking = what.into();
        let (again, begun) = match self.recall(run, &asking.what) {
            Recall::Told(again) => (Some(again), None),
            Recall::Live(number) => (None, Some(self.sent(run, number, asking, act))),
        };
        let call = again.as_ref().map(|again| again.call()).or_else(|| run.last_call());
        let run = Arc::clone(run);
        let answer = async move {
            match (again, begun) {
                (Some(again), _) => again.answer(&run).await,
                (None, Some(begun)) => begun.await,
                (None, None) => Err(fault::unavailable("this part of the host broke down", None).into()),
            }
        };
        (call, answer)
    }

    fn sent<T, E, F, A>(
        &self,
        run: &Arc<RunContext>,
        number: Number,
        asking: Asking,
        act: A,
    ) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F, A>
    where
        A: FnOnce(Arc<Permit>, CancellationToken) -> F + Send + 'static,
        T: Serialize + Send + 'static,
        E: Fault,
        F: Future<Output = Acted<T, E>> + Send + 'static,
    {
        let begun = self.begin_errand(run, number, asking).map(|(errand, turn)| {
            let watch = errand.watch();
            let (sender, receiver) = oneshot::channel();
            tokio::spawn(async move {
                let answer = errand.run(turn, act).await;
                // A guest that has gone does not want it; it is settled and written down.
                let _ = sender.send(answer);
            });
            (watch, receiver)
        });
        async move {
            let (mut watch, receiver) = begun.map_err(E::from)?;
            match watch.awaits(receiver).await {
                Ok((result, at)) => {
                    watch.seen(at);
                    result
                }
                Err(_) => Err(E::from(fault::unavailable("this part of the host broke down", None))),
            }
        }
    }

    pub(super) fn begin_errand(
        &self,
        run: &Arc<RunContext>,
        number: Number,
        asking: Asking,
    ) -> Result<(Errand, Turn), Error> {
        let gate = &*self.0;
        let (call, at) = gate.enter(run, number)?;
        let (effect, outward) = (asking.what.effect(), asking.what.reaches_out());
        let (blocks, wait) = (asking.what.blocks(), Wait::of(&asking.what));
        let name = if run.observer.watches() { asking.what.name().to_owned() } else { String::new() };
        let intent = matches!(effect, Effect::External | Effect::Inner);
        let manner = if intent { Manner::WithIntent } else { Manner::Whole };
        let gains = run.gains();
        let (turn, asking) =
            gate.admit(run, call, asking, at, manner).map_err(|refusal| fault::refused(&refusal, run.id, call))?;
        let errand = Errand {
            adrift: outward.then(Arc::default),
            gains,
            intent,
            effect,
            blocks,
            name,
            ..self.errand(run, (call, at), asking)
        };
        errand.waiting.becomes(wait, at);
        Ok((errand, turn))
    }

    /// A call on its way that reads: it may wait, and is written down when it is done.
    pub(super) fn errand(&self, run: &Arc<RunContext>, (call, at): (CallId, Millis), asking: Option<Asking>) -> Errand {
        let name =
            if run.observer.watches() { asking.as_ref().map(|asking| asking.what.name().to_owned()) } else { None };
        Errand {
            gate: self.clone(),
            run: Arc::clone(run),
            _act: Acts::begin(&run.acts),
            waiting: Waiting::begin(run, call, Wait::Host, at),
            adrift: None,
            gains: run.gains(),
            cancel: run.cancelled.child_token(),
            call,
            at,
            effect: Effect::Read,
            intent: false,
            blocks: true,
            asking,
            name: name.unwrap_or_default(),
            refused: None,
            below: Amounts::ZERO,
        }
    }
}

/// An admitted call on its way.
pub(super) struct Errand {
    pub(super) gate: Gate,
    pub(super) run: Arc<RunContext>,
    _act: Act,
    /// What people see of it meanwhile.
    waiting: Waiting,
    /// Of a call that reaches outside: filled once the guest has let go of it for good.
    adrift: Option<Arc<OnceLock<Act>>>,
    /// How often its run had gained labels when it was admitted.
    gains: u32,
    pub(super) cancel: CancellationToken,
    pub(super) call: CallId,
    /// When it was admitted.
    pub(super) at: Millis,
    effect: Effect,
    /// True if it has two entries: asked, answered.
    intent: bool,
    /// True if the guest stands in it.
    blocks: bool,
    /// What was asked, until it is written down.
    pub(super) asking: Option<Asking>,
    name: String,
    /// When a no came after a wait.
    pub(super) refused: Option<Millis>,
    /// What a run below took.
    below: Amounts,
}

/// The guest's end of it.
pub(super) struct Watch {
    gate: Gate,
    run: Arc<RunContext>,
    call: CallId,
    cancel: CancellationToken,
    blocks: bool,
    seen: bool,
    adrift: Option<Arc<OnceLock<Act>>>,
    gains: u32,
    /// Until the guest has seen its answer or let go of it, it has a call to see to.
    _unseen: Act,
    /// Of a call for a letter: filled once the guest has let go of it. That it did is not written down here.
    going_back: Option<Arc<OnceLock<Act>>>,
}

impl Errand {
    pub(super) fn watch(&self) -> Watch {
        Watch {
            _unseen: Acts::begin(&self.run.unseen),
            gate: self.gate.clone(),
            run: Arc::clone(&self.run),
            call: self.call,
            cancel: self.cancel.clone(),
            blocks: self.blocks,
            seen: false,
            adrift: self.adrift.clone(),
            gains: self.gains,
            going_back: None,
        }
    }

    async fn run<T, E, F>(
        mut self,
        turn: Turn,
        act: impl FnOnce(Arc<Permit>, CancellationToken) -> F + Send + 'static,
    ) -> (Result<T, E>, Millis)
    where
        T: Serialize + Send + 'static,
        E: Fault,
        F: Future<Output = Acted<T, E>> + Send + 'static,
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
        if self.effect == Effect::External
            && let Err(error) = self.gate.0.journal.durable(&self.run.trail).await
        {
            return self.close(permit, Err(fault::stored(&error).into()), None);
        }
        if self.cancel.is_cancelled() {
            return self.close(permit, Err(Error::Cancelled.into()), None);
        }
        let permit = Arc::new(permit);
        let Acted { result, spent, labels, freed, below, note } = self.bounded(act, Arc::clone(&permit)).await;
        let mut permit = alone(permit).await;
        permit.bring(&labels);
        self.below = below;
        self.gate.0.note(&self.run, self.call, self.now(), note);
        let (gate, run) = (self.gate.clone(), Arc::clone(&self.run));
        let answer = self.close(permit, result, Some(spent));
        gate.0.free(&run, &freed);
        answer
    }

    /// Writes its intent down, if it has one and that was not done when the kernel said yes.
    pub(super) fn asked(&mut self, permit: &Permit) {
        let Some(Asking { what, contents, .. }) = self.asking.take_if(|_| self.intent) else { return };
        let contents = self.gate.0.journal.missing(contents);
        let (held, basis) = (*permit.held(), permit.basis());
        // When the guest asked: that is what its clock showed from then on.
        let entry = Entry::Asked { call: self.call, at: self.at, what, held, basis };
        let desk = self.gate.0.desk.lock();
        // What it holds was taken when it joined the queue, and nobody has written that down yet.
        let along = Along { moved: desk.books(&self.run), contents, ..Along::default() };
        self.gate.0.journal.append(&self.run.trail, &[entry], along);
    }

    /// Waits for its turn, no longer than the guest and the run do.
    pub(super) async fn turn(&mut self, turn: Turn) -> Result<Permit, Error> {
        let turn = match turn {
            Turn::People(asked) => {
                let wait = self.waiting.becomes(Wait::Approval, self.now());
                let turn = self.people(asked).await?;
                self.waiting.becomes(wait, self.now());
                turn
            }
            turn => turn,
        };
        let (ticket, mut receiver) = match turn {
            Turn::Now(permit) => return Ok(permit),
            Turn::Later(ticket, receiver) => (ticket, receiver),
            Turn::People(_) => return Err(fault::unavailable("this part of the host broke down", None)),
        };
        let wait = self.waiting.becomes(Wait::Queue, self.now());
        let error = tokio::select! {
            biased;
            permit = &mut receiver => {
                self.waiting.becomes(wait, self.now());
                return permit.map_err(|_| Error::Cancelled);
            }
            () = self.cancel.cancelled() => Error::Cancelled,
            () = past(&self.run) => Error::TimedOut,
        };
        self.gate.0.give_up(&self.run, Turn::Later(ticket, receiver), self.now());
        Err(error)
    }

    async fn bounded<T, E, F>(
        &self,
        act: impl FnOnce(Arc<Permit>, CancellationToken) -> F + Send,
        permit: Arc<Permit>,
    ) -> Acted<T, E>
    where
        E: Fault,
        F: Future<Output = Acted<T, E>> + Send,
    {
        // What an act costs that was cut off is not known, so it is what it could have cost.
        let worst = if self.effect == Effect::External { *permit.held() } else { Amounts::ZERO };
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
            Err(_) => Acted::of(Err(cut.into()), worst),
        }
    }

    pub(super) fn close<T: Serialize, E: Fault>(
        mut self,
        permit: Permit,
        result: Result<T, E>,
        cost: Option<Amounts>,
    ) -> (Result<T, E>, Millis) {
        let (call, at) = (self.call, self.now());
        let asking = self.asking.take();
        let (what, mut contents) = asking.map_or((None, Vec::new()), |asking| (Some(asking.what), asking.contents));
        let (outcome, basis, below) = (settle::outcome(&result, &mut contents), permit.basis(), self.below);
        let spent = self.gate.0.settle(&self.run, permit, cost, at, contents, |spent| {
            Some(match what {
                Some(what) => Entry::Called { call, at, what, outcome, basis },
                None => Entry::Answered { call, at, outcome, spent: spent.plus(below) },
            })
        });
        self.run.add_spent(below);
        let spent = spent.plus(below);
        self.tell(at, spent, result.as_ref().err().map(|error| fault::kind(error.error())));
        (result, at)
    }

    /// Its turn came too late: what holds now forbids it. It is written down as refused and costs nothing.
    fn overtaken<T, E: Fault>(mut self, permit: Permit, refusal: &Refusal) -> (Result<T, E>, Millis) {
        let (at, call) = (self.now(), self.call);
        if let Some(Asking { what, .. }) = self.asking.take() {
            self.gate.0.refused(&self.run, (call, what), refusal, at);
        }
        self.gate.0.settle(&self.run, permit, None, at, Vec::new(), |_| None);
        (Err(fault::refused(refusal, self.run.id, call).into()), at)
    }

    /// Its turn did not come: it is written down as a call that did nothing.
    pub(super) fn withdrawn<T, E: Fault>(mut self, error: Error) -> (Result<T, E>, Millis) {
        let at = self.refused.unwrap_or_else(|| self.now());
        if let Some(Asking { what, basis, .. }) = self.asking.take() {
            let (outcome, _) = fault::outcome(&error);
            let entry = Entry::Called { call: self.call, at, what, outcome, basis };
            self.gate.0.journal.append(&self.run.trail, &[entry], Along::default());
        }
        self.tell(at, Amounts::ZERO, Some(fault::kind(&error)));
        (Err(error.into()), at)
    }

    pub(super) fn tell(&self, at: Millis, spent: Amounts, error: Option<&'static str>) {
        if self.run.observer.watches() {
            let (call, name, duration_ms) = (self.call, self.name.clone(), at.since(self.at));
            let error = error.map(Cow::Borrowed);
            self.run.observer.tell(Event::Call { call, name, duration_ms, spent, error });
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.gate.0.clock.now().max(self.at)
    }
}

impl Watch {
    /// Of a call whose answer is known and that the guest has not seen yet.
    pub(super) fn of_known(gate: &Gate, run: &Arc<RunContext>, call: CallId) -> Self {
        let (gate, cancel, gains) = (gate.clone(), run.cancelled.child_token(), run.gains());
        let (blocks, seen, adrift, going_back) = (false, false, None, None);
        let _unseen = Acts::begin(&run.unseen);
        Self { gate, run: Arc::clone(run), call, cancel, blocks, seen, adrift, gains, going_back, _unseen }
    }

    /// The same of a call for a letter. What is returned is filled when the guest lets go of it.
    pub(super) fn of_letter(mut self) -> (Self, Arc<OnceLock<Act>>) {
        let going_back = Arc::clone(self.going_back.get_or_insert_default());
        (self, going_back)
    }

    /// Of which call.
    pub(super) fn call(&self) -> CallId {
        self.call
    }

    /// The guest has its answer: its clock moves, and the journal knows the order in which answers were seen.
    pub(super) fn seen(&mut self, at: Millis) {
        self.seen = true;
        self.run.clock.advance(at);
        self.note(false);
    }

    /// Waits for an answer and until it may be seen. A guest that stands in its call sees nothing else before.
    pub(super) async fn awaits<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, oneshot::error::RecvError> {
        let _standing = self.blocks.then(|| self.run.turnstile.stand());
        let answer = answer.await;
        if !self.blocks {
            self.run.turnstile.pass(Sight::Answer(self.call)).await;
        }
        answer
    }

    fn note(&self, dropped: bool) {
        if !self.blocks {
            let entry = Entry::Observed { call: self.call, dropped };
            self.gate.0.journal.append(&self.run.trail, &[entry], Along::default());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.seen {
            return;
        }
        match &self.going_back {
            // A watch is dropped once.
            Some(going_back) => drop(going_back.set(Acts::begin(&self.run.going_back))),
            None => self.note(true),
        }
        match &self.adrift {
            // The run has learnt something since: whether this call is cut could tell it outside.
            Some(adrift) if self.run.gains() != self.gains => {
                // A watch is dropped once.
                let _ = adrift.set(Acts::begin(&self.run.adrift));
            }
            _ => self.cancel.cancel(),
        }
    }
}

pub(super) fn broken<T, E: Fault>(worst: Amounts) -> Acted<T, E> {
    Acted::of(Err(fault::unavailable("this part of the host broke down", None).into()), worst)
}

/// When the run's wall time is over.
pub(super) async fn past(run: &RunContext) {
    match run.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The permit, when nobody else holds it: an act has not ended while something that it began can still use it.
async fn alone(mut permit: Arc<Permit>) -> Permit {
    loop {
        match Arc::try_unwrap(permit) {
            Ok(permit) => return permit,
            Err(held) => permit = held,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
