//! A call in flight, whatever is done for it: admitted, then carried to its end in a task of its own, so that a guest that drops it neither stops
//! its settlement nor saves a cent. Here stands what all bodies share. It lets nothing through to a guest: the guest's side does.

use std::borrow::Cow;
use std::future::Future;
use std::sync::{Arc, OnceLock};

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
use tokio_util::sync::CancellationToken;

use super::again::{Number, Recall};
use super::answer::{Begun, CallHandle, Unseen};
use super::settle::Cost;
use super::{CallRequest, Gate, JournalMode, Turn, settle, told_no};
use crate::run::activity::Waiting;
use crate::run::acts::{Acts, OngoingAct};
use crate::run::context::RunContext;
use crate::run::events::Event;

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
    pub(super) detached: Option<Arc<OnceLock<OngoingAct>>>,
    /// Of a call for a letter: filled once the guest has let go of it.
    pub(super) going_back: Option<Arc<OnceLock<OngoingAct>>>,
    /// How often its run had gained labels when it was admitted.
    pub(super) gains: u32,
    pub(super) cancel: CancellationToken,
    pub(super) call: CallId,
    /// When it was admitted.
    pub(super) at: Millis,
    pub(super) effect: Effect,
    pub(super) durability: Durability,
    /// That its intent is on disk, if it was written when the kernel said yes.
    pub(super) intent: Option<Flushed>,
    /// True if the guest stands in it.
    pub(super) blocks: bool,
    /// What was asked, until it is written down.
    pub(super) asking: Option<CallRequest>,
    name: String,
    /// When a no came after a wait.
    pub(super) refused: Option<Millis>,
    /// What a run below took.
    pub(super) below: Amounts,
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
        let (call, stands, handle) = (self.call, self.blocks, CallHandle::of(&self));
        let coming = handle.begin(body(self, turn));
        Begun::later(call, stands, Unseen::call(handle), coming)
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
        // What it holds was taken when it joined the queue, and stands in the books since.
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
        self.gate.0.time(self.gate.0.clock.now().max(self.at))
    }
}

/// When the run's wall time is over.
pub(super) async fn past(run: &RunContext) {
    match run.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
