//! A call in flight, whatever is done for it: admitted, then carried to its end in a task of its own, so that a guest that drops it
//! neither stops its settlement nor saves a cent. What is done is its body's; here stands what all bodies share. It waits for answers
//! and polls nothing.

use std::borrow::Cow;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Recordable;
use agentry_abi::fault::{self, Fault};
use agentry_journal::Extras;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, Durability, Effect, Spec, Wait};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::again::{Number, Recall};
use super::{CallRequest, Gate, JournalMode, Turn, settle, told_no};
use crate::run::activity::Waiting;
use crate::run::acts::{Act, Acts};
use crate::run::context::RunContext;
use crate::run::delivery::Delivery;
use crate::run::events::Event;

impl Gate {
    /// Decides on a call now, in the order in which the guest asks, and gives the future of its answer. `body` carries it to its end, in a
    /// task of its own. Also its number; none if the run is over. A call that a run makes again has its answer from the past.
    pub(super) fn in_flight<T, E, B, F>(
        &self,
        run: &Arc<RunContext>,
        asking: CallRequest,
        body: B,
    ) -> (Option<CallId>, impl Future<Output = Result<T, E>> + Send + use<T, E, B, F>)
    where
        B: FnOnce(InFlightCall, Turn) -> F,
        F: Future<Output = (Result<T, E>, Millis)> + Send + 'static,
        T: Recordable + Send + 'static,
        E: Fault,
    {
        let recalled = match self.recall(run, &asking.what) {
            Recall::Recordable(again) => Ok(again),
            Recall::Live(number) => {
                Err(self.begin_call(run, number, asking).map(|(call, turn)| call.launch(turn, body)))
            }
        };
        let call = recalled.as_ref().map_or_else(|_| run.last_call(), |again| Some(again.call()));
        let run = Arc::clone(run);
        let answer = async move {
            match recalled {
                Ok(again) => again.answer(&run).await,
                Err(begun) => begun?.seen().await?,
            }
        };
        (call, answer)
    }

    /// Decides on a call that may wait.
    pub(super) fn begin_call(
        &self,
        run: &Arc<RunContext>,
        number: Number,
        asking: CallRequest,
    ) -> Result<(InFlightCall, Turn), Error> {
        let gate = &*self.0;
        let (call, at) = gate.enter(run, number)?;
        let Spec { name, effect, durability, reaches_out, blocks, wait, .. } = asking.what.spec();
        let name = if run.observer.watches() { name.to_owned() } else { String::new() };
        let mode = match durability {
            Durability::Deferred | Durability::Atomic => JournalMode::Whole,
            Durability::Intent | Durability::WriteAhead => JournalMode::WithIntent,
        };
        let gains = run.gains();
        let (turn, asking) =
            gate.admit(run, call, asking, at, mode).map_err(|refusal| fault::refused(&refusal, run.id, call))?;
        let admitted = self.admitted(run, (call, at), asking);
        admitted.waiting.becomes(wait, at);
        let detached = reaches_out.then(Arc::default);
        Ok((InFlightCall { detached, gains, durability, effect, blocks, name, ..admitted }, turn))
    }

    /// A call on its way that reads: it may wait, and is written down when it is done.
    pub(super) fn admitted(
        &self,
        run: &Arc<RunContext>,
        (call, at): (CallId, Millis),
        asking: Option<CallRequest>,
    ) -> InFlightCall {
        let name =
            if run.observer.watches() { asking.as_ref().map(|asking| asking.what.name().to_owned()) } else { None };
        InFlightCall {
            gate: self.clone(),
            run: Arc::clone(run),
            _act: Acts::begin(&run.acts),
            waiting: Waiting::begin(run, call, Wait::Host, at),
            detached: None,
            going_back: None,
            gains: run.gains(),
            cancel: run.cancelled.child_token(),
            call,
            at,
            effect: Effect::Read,
            durability: Durability::Deferred,
            blocks: true,
            asking,
            name: name.unwrap_or_default(),
            refused: None,
            below: Amounts::ZERO,
        }
    }
}

/// An admitted call on its way.
pub(super) struct InFlightCall {
    pub(super) gate: Gate,
    pub(super) run: Arc<RunContext>,
    _act: Act,
    /// What people see of it meanwhile.
    waiting: Waiting,
    /// Of a call that reaches outside: filled once the guest has let go of it for good.
    detached: Option<Arc<OnceLock<Act>>>,
    /// Of a call for a letter: filled once the guest has let go of it.
    going_back: Option<Arc<OnceLock<Act>>>,
    /// How often its run had gained labels when it was admitted.
    gains: u32,
    pub(super) cancel: CancellationToken,
    pub(super) call: CallId,
    /// When it was admitted.
    pub(super) at: Millis,
    pub(super) effect: Effect,
    pub(super) durability: Durability,
    /// True if the guest stands in it.
    blocks: bool,
    /// What was asked, until it is written down.
    pub(super) asking: Option<CallRequest>,
    name: String,
    /// When a no came after a wait.
    pub(super) refused: Option<Millis>,
    /// What a run below took.
    pub(super) below: Amounts,
}

/// The guest's end of it.
pub(super) struct CallHandle {
    gate: Gate,
    run: Arc<RunContext>,
    call: CallId,
    cancel: CancellationToken,
    blocks: bool,
    seen: bool,
    detached: Option<Arc<OnceLock<Act>>>,
    gains: u32,
    /// Until the guest has seen its answer or let go of it, it has a call to see to.
    _unseen: Act,
    /// Of a call for a letter: filled once the guest has let go of it. That it did is not written down here.
    going_back: Option<Arc<OnceLock<Act>>>,
}

/// A call whose body is on its way, and the guest that waits for what comes of it.
pub(super) struct Pending<P> {
    handle: CallHandle,
    answer: oneshot::Receiver<(P, Millis)>,
}

impl<P> Pending<P> {
    /// What came of it, once the guest may see it; from then on it has seen it. A guest that stands in its call sees nothing else before.
    ///
    /// # Errors
    /// `unavailable` if the body panicked.
    pub(super) async fn seen(self) -> Result<P, Error> {
        let Self { mut handle, answer } = self;
        let answer = {
            let _standing = handle.blocks.then(|| handle.run.deliveries.stand());
            answer.await
        };
        if !handle.blocks {
            handle.may_see().await;
        }
        let (answer, at) = answer.map_err(|_| fault::broke())?;
        handle.seen(at);
        Ok(answer)
    }
}

impl InFlightCall {
    /// Begins its body in a task of its own.
    pub(super) fn launch<P, B, F>(self, turn: Turn, body: B) -> Pending<P>
    where
        B: FnOnce(Self, Turn) -> F,
        F: Future<Output = (P, Millis)> + Send + 'static,
        P: Send + 'static,
    {
        let handle = self.handle();
        let (sender, answer) = oneshot::channel();
        let body = body(self, turn);
        tokio::spawn(async move {
            // A guest that has gone does not want it; it is settled and written down.
            let _ = sender.send(body.await);
        });
        Pending { handle, answer }
    }

    fn handle(&self) -> CallHandle {
        CallHandle {
            _unseen: Acts::begin(&self.run.unseen),
            gate: self.gate.clone(),
            run: Arc::clone(&self.run),
            call: self.call,
            cancel: self.cancel.clone(),
            blocks: self.blocks,
            seen: false,
            detached: self.detached.clone(),
            gains: self.gains,
            going_back: self.going_back.clone(),
        }
    }

    /// It is for a letter; what is given is filled when the guest lets go of it. Ask before it is launched.
    pub(super) fn for_letter(&mut self) -> Arc<OnceLock<Act>> {
        Arc::clone(self.going_back.get_or_insert_default())
    }

    /// Writes its intent down, if it has one and that was not done when the kernel said yes.
    pub(super) fn asked(&mut self, permit: &Permit) {
        let intent = matches!(self.durability, Durability::Intent | Durability::WriteAhead);
        let Some(CallRequest { what, contents, .. }) = self.asking.take_if(|_| intent) else { return };
        let contents = self.gate.0.journal.missing(contents);
        let (held, basis) = (*permit.held(), permit.basis());
        // When the guest asked: that is what its clock showed from then on.
        let entry = Entry::Asked { call: self.call, at: self.at, what, held, basis };
        // What it holds was taken when it joined the queue, and stands in the books since.
        self.gate.0.act(&*self.run, self.at, |act| {
            act.store(contents);
            act.note(entry);
        });
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
            Turn::People(_) => return Err(fault::broke()),
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
    pub(super) fn overtaken<T, E: Fault>(mut self, permit: Permit, refusal: &Refusal) -> (Result<T, E>, Millis) {
        let (at, call) = (self.now(), self.call);
        let asking = self.asking.take();
        self.gate.0.act(&*self.run, at, |act| {
            if let Some(asking) = asking {
                act.refuse(&self.run, (call, asking), refusal, at);
            }
            act.ask(|kernel| kernel.give_back(permit, at));
        });
        told_no(&self.run, refusal);
        (Err(fault::refused(refusal, self.run.id, call).into()), at)
    }

    /// Its turn did not come: it is written down as a call that did nothing.
    pub(super) fn withdrawn<T, E: Fault>(mut self, error: Error) -> (Result<T, E>, Millis) {
        let at = self.refused.unwrap_or_else(|| self.now());
        if let Some(CallRequest { what, basis, .. }) = self.asking.take() {
            let (outcome, _) = fault::outcome(&error);
            let entry = Entry::Called { call: self.call, at, what, outcome, basis };
            self.gate.0.journal.append(&self.run.trail, &[entry], Extras::default());
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

impl CallHandle {
    /// Of a call whose answer is known and that the guest has not seen yet.
    pub(super) fn of_known(gate: &Gate, run: &Arc<RunContext>, call: CallId) -> Self {
        let (gate, cancel, gains) = (gate.clone(), run.cancelled.child_token(), run.gains());
        let (blocks, seen, detached, going_back) = (false, false, None, None);
        let _unseen = Acts::begin(&run.unseen);
        Self { gate, run: Arc::clone(run), call, cancel, blocks, seen, detached, gains, going_back, _unseen }
    }

    /// The same of a call for a letter; what is given is filled when the guest lets go of it.
    pub(super) fn for_letter(&mut self) -> Arc<OnceLock<Act>> {
        Arc::clone(self.going_back.get_or_insert_default())
    }

    /// The guest has its answer: its clock moves, and the journal knows the order in which answers were seen.
    pub(super) fn seen(&mut self, at: Millis) {
        self.seen = true;
        self.run.clock.advance(at);
        self.note(false);
    }

    /// Waits until the guest may see an answer that is known.
    pub(super) async fn may_see(&self) {
        self.run.deliveries.pass(Delivery::Answer(self.call)).await;
    }

    fn note(&self, dropped: bool) {
        if !self.blocks {
            let entry = Entry::Observed { call: self.call, dropped };
            self.gate.0.journal.append(&self.run.trail, &[entry], Extras::default());
        }
    }
}

impl Drop for CallHandle {
    fn drop(&mut self) {
        if self.seen {
            return;
        }
        match &self.going_back {
            // A handle is dropped once.
            Some(going_back) => drop(going_back.set(Acts::begin(&self.run.going_back))),
            None => self.note(true),
        }
        match &self.detached {
            // The run has learnt something since: whether this call is cut could tell it outside.
            Some(detached) if self.run.gains() != self.gains => {
                // A handle is dropped once.
                let _ = detached.set(Acts::begin(&self.run.detached));
            }
            _ => self.cancel.cancel(),
        }
    }
}

/// When the run's wall time is over.
pub(super) async fn past(run: &RunContext) {
    match run.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
