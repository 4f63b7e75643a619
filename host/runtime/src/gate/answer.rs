//! The guest's end of a call in flight: its answer on the way, and that the guest has seen it or has let go of the call. It decides nothing, and
//! lets nothing through to a guest: the guest's side does.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use agentry_abi::fault::{self, Fault};
use agentry_journal::Extras;
use agentry_kernel::call::CallId;
use agentry_kernel::journal::Entry;
use agentry_kernel::time::Millis;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Gate;
use super::in_flight::InFlightCall;
use super::mail::Letterbox;
use crate::run::acts::{Acts, OngoingAct};
use crate::run::context::RunContext;

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

/// The guest's end of a call in flight.
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

impl CallHandle {
    /// Of a call that was admitted.
    pub(super) fn of(call: &InFlightCall) -> Self {
        Self {
            _unseen: Acts::begin(&call.run.unseen),
            gate: call.gate.clone(),
            run: Arc::clone(&call.run),
            call: call.call,
            cancel: call.cancel.clone(),
            blocks: call.blocks,
            seen: false,
            came: Arc::default(),
            detached: call.detached.clone(),
            gains: call.gains,
            going_back: call.going_back.clone(),
        }
    }

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
