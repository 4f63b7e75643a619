//! A call in flight, whatever is done for it: admitted, then carried to its end in a task of its own, so that a guest that drops it neither stops
//! its settlement nor saves a cent. Here stands what all bodies share. It lets nothing through to a guest: the guest's side does.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Recordable;
use agentry_abi::fault::{self, Fault};
use agentry_journal::{Extras, Flushed};
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::{CallId, Durability, Effect, Spec, Wait};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::again::{Number, Recall};
use super::mail::Letterbox;
use super::settle::Cost;
use super::{CallRequest, Gate, JournalMode, Turn, settle, told_no};
use crate::run::activity::Waiting;
use crate::run::acts::{Acts, OngoingAct};
use crate::run::context::RunContext;
use crate::run::events::Event;

/// A call that was decided on: its number, none if the run is over, and its answer.
#[must_use = "the guest lets go of the call when this is dropped"]
pub struct Begun<T, E> {
    pub(crate) call: Option<CallId>,
    pub(crate) answer: Given<T, E>,
}

/// Where the guest gets an answer.
pub(crate) enum Given<T, E> {
    /// Where it stands; there is nothing to tell of it.
    Now(Result<T, E>),
    /// Later.
    Later(Later<T, E>),
}

/// An answer that the guest has yet to see.
pub(crate) struct Later<T, E> {
    /// True if the guest stands in the call.
    pub(crate) stands: bool,
    pub(crate) unseen: Unseen,
    pub(crate) coming: Coming<T, E>,
}

impl<T, E> Begun<T, E> {
    /// It is answered.
    pub(super) fn now(call: Option<CallId>, result: Result<T, E>) -> Self {
        Self { call, answer: Given::Now(result) }
    }

    /// Its answer is not seen yet.
    pub(super) fn later(call: CallId, stands: bool, unseen: Unseen, coming: Coming<T, E>) -> Self {
        Self { call: Some(call), answer: Given::Later(Later { stands, unseen, coming }) }
    }
}

/// An answer on its way.
pub(crate) enum Coming<T, E> {
    /// Of a call whose body is on its way.
    Live(oneshot::Receiver<Result<T, E>>),
    /// It stands in the run's past.
    Known(Option<Result<T, E>>),
    /// The run was over, or its guest had let go of the call, before it came.
    Never,
}

/// Nothing in it is ever pinned.
impl<T, E> Unpin for Coming<T, E> {}

impl<T, E: Fault> Future for Coming<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let broke = || Err(fault::broke().into());
        match self.get_mut() {
            // The body panicked.
            Self::Live(answer) => Pin::new(answer).poll(context).map(|came| came.unwrap_or_else(|_| broke())),
            Self::Known(answer) => Poll::Ready(answer.take().unwrap_or_else(broke)),
            Self::Never => Poll::Pending,
        }
    }
}

/// What the gate has of a call until its guest has seen the answer. Dropped before that, the guest has let go of the call.
pub(crate) struct Unseen(Kept);

enum Kept {
    /// The answer of then, and the clock as it came.
    Told(Arc<RunContext>, Millis),
    /// There will be none.
    Nothing,
    /// A call, or an answer that the guest did not see before.
    Call(CallHandle),
    /// The same of a call for a letter, which goes back if it is not seen: first the guest has let go of the call.
    Letter(CallHandle, Letterbox),
}

impl Unseen {
    pub(super) fn nothing() -> Self {
        Self(Kept::Nothing)
    }

    pub(super) fn told(run: &Arc<RunContext>, at: Millis) -> Self {
        Self(Kept::Told(Arc::clone(run), at))
    }

    pub(super) fn call(handle: CallHandle) -> Self {
        Self(Kept::Call(handle))
    }

    pub(super) fn letter(handle: CallHandle, letter: Letterbox) -> Self {
        Self(Kept::Letter(handle, letter))
    }

    /// When its answer came, if it has.
    pub(crate) fn came(&self) -> Option<Millis> {
        match &self.0 {
            Kept::Nothing => None,
            Kept::Told(_, at) => Some(*at),
            Kept::Call(call) | Kept::Letter(call, _) => call.came.get().copied(),
        }
    }

    /// The guest has the answer. One that has not come it cannot have seen: it lets go of the call then.
    pub(crate) fn seen(self) {
        match self.0 {
            Kept::Nothing => {}
            Kept::Told(run, at) => drop(run.clock.advance(at)),
            Kept::Call(mut handle) => drop(handle.seen()),
            Kept::Letter(mut handle, letter) => {
                if handle.seen() {
                    letter.seen();
                }
            }
        }
    }
}

impl Gate {
    /// Decides on a call now, in the order in which the guest asks, or answers it from the past. `body` carries it on, in a task of its own.
    pub(super) fn in_flight<T, E, B, F>(&self, run: &Arc<RunContext>, asking: CallRequest, body: B) -> Begun<T, E>
    where
        B: FnOnce(InFlightCall, Turn) -> F,
        F: Future<Output = (Result<T, E>, Millis)> + Send + 'static,
        T: Recordable + Send + 'static,
        E: Fault,
    {
        let number = match self.recall(run, &asking.what) {
            Recall::Recordable(again) => return again.begun(run),
            Recall::Live(number) => number,
        };
        match self.begin_call(run, number, asking) {
            Ok((call, turn)) => call.launch(turn, body),
            Err(error) => Begun::now(run.last_call(), Err(error.into())),
        }
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
        // The disk is at it while the task comes to its turn.
        let intent = matches!((durability, &turn), (Durability::WriteAhead, Turn::Now(_)));
        let intent = intent.then(|| gate.journal.flush());
        Ok((InFlightCall { detached, gains, durability, intent, effect, blocks, name, ..admitted }, turn))
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
            intent: None,
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
    _act: OngoingAct,
    /// What people see of it meanwhile.
    waiting: Waiting,
    /// Of a call that reaches outside: filled once the guest has let go of it for good.
    detached: Option<Arc<OnceLock<OngoingAct>>>,
    /// Of a call for a letter: filled once the guest has let go of it.
    going_back: Option<Arc<OnceLock<OngoingAct>>>,
    /// How often its run had gained labels when it was admitted.
    gains: u32,
    pub(super) cancel: CancellationToken,
    pub(super) call: CallId,
    /// When it was admitted.
    pub(super) at: Millis,
    pub(super) effect: Effect,
    pub(super) durability: Durability,
    /// That its intent is on disk, if it was written when the kernel said yes.
    pub(super) intent: Option<Flushed>,
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
    /// When its answer came.
    came: Arc<OnceLock<Millis>>,
    detached: Option<Arc<OnceLock<OngoingAct>>>,
    gains: u32,
    /// Until the guest has seen its answer or let go of it.
    _unseen: OngoingAct,
    /// Of a call for a letter, likewise. That it did is not written down here.
    going_back: Option<Arc<OnceLock<OngoingAct>>>,
}

impl InFlightCall {
    /// Begins its body in a task of its own.
    pub(super) fn launch<T, E, B, F>(self, turn: Turn, body: B) -> Begun<T, E>
    where
        B: FnOnce(Self, Turn) -> F,
        F: Future<Output = (Result<T, E>, Millis)> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let handle = self.handle();
        let (call, stands) = (handle.call, handle.blocks);
        let coming = handle.begin(body(self, turn));
        Begun::later(call, stands, Unseen::call(handle), coming)
    }

    /// The guest's end of it.
    pub(super) fn handle(&self) -> CallHandle {
        CallHandle {
            _unseen: Acts::begin(&self.run.unseen),
            gate: self.gate.clone(),
            run: Arc::clone(&self.run),
            call: self.call,
            cancel: self.cancel.clone(),
            blocks: self.blocks,
            seen: false,
            came: Arc::default(),
            detached: self.detached.clone(),
            gains: self.gains,
            going_back: self.going_back.clone(),
        }
    }

    /// It is for a letter; what is given is filled when the guest lets go of it. Ask before it is launched.
    pub(super) fn for_letter(&mut self) -> Arc<OnceLock<OngoingAct>> {
        Arc::clone(self.going_back.get_or_insert_default())
    }

    /// Writes its intent down, if it has one and that was not done when the kernel said yes.
    pub(super) fn asked(&mut self, permit: &Permit) {
        let intent = matches!(self.durability, Durability::Intent | Durability::WriteAhead);
        let Some(CallRequest { what, contents, .. }) = self.asking.take_if(|_| intent) else { return };
        let (held, basis) = (*permit.held(), permit.basis());
        // When the guest asked: that is what its clock showed from then on.
        let entry = Entry::Asked { call: self.call, at: self.at, what, held, basis };
        self.run.wrote(&contents);
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
        let asked = settle::bytes(&contents);
        let (outcome, basis, below) = (settle::outcome(&result, &mut contents), permit.basis(), self.below);
        let told = settle::bytes(&contents).saturating_sub(asked);
        let written = permit.held()[Resource::Written].saturating_add(told);
        let cost = cost.map_or(Cost::Unmade(written), |spent| Cost::Made(spent.with(Resource::Written, written)));
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
            let called = [Entry::Called { call: self.call, at, what, outcome, basis }];
            self.gate.0.journal.append(&self.run.trail, &called, Extras::default());
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
        self.gate.0.time(self.gate.0.clock.now().max(self.at))
    }
}

impl CallHandle {
    /// Of a call whose answer came then and that the guest has not seen yet.
    pub(super) fn of_known(gate: &Gate, run: &Arc<RunContext>, call: CallId, at: Millis) -> Self {
        let (gate, cancel, gains) = (gate.clone(), run.cancelled.child_token(), run.gains());
        let (blocks, seen, detached, going_back) = (false, false, None, None);
        let (_unseen, came) = (Acts::begin(&run.unseen), Arc::new(OnceLock::from(at)));
        Self { gate, run: Arc::clone(run), call, cancel, blocks, seen, came, detached, gains, going_back, _unseen }
    }

    /// The same of a call for a letter; what is given is filled when the guest lets go of it.
    pub(super) fn for_letter(&mut self) -> Arc<OnceLock<OngoingAct>> {
        Arc::clone(self.going_back.get_or_insert_default())
    }

    /// Begins its body in a task of its own.
    pub(super) fn begin<T, E, F>(&self, body: F) -> Coming<T, E>
    where
        F: Future<Output = (Result<T, E>, Millis)> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let came = Arc::clone(&self.came);
        tokio::spawn(async move {
            let (answer, at) = body.await;
            // A body ends once; a guest that has gone does not want its answer, which is settled and written down.
            let _ = came.set(at);
            let _ = sender.send(answer);
        });
        Coming::Live(answer)
    }

    /// The guest has its answer: its clock moves, and the journal knows the order in which answers were seen. False if there is none.
    fn seen(&mut self) -> bool {
        let Some(at) = self.came.get() else { return false };
        self.seen = true;
        self.run.clock.advance(*at);
        self.note(false);
        true
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
