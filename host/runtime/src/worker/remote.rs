//! The port of a run whose far side is another process. It decides nothing and remembers no more than what the other side has said already, and
//! what it has answered itself and not reported yet.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use agentry_abi::bindings::agentry::agent::llm::Delta;
use agentry_abi::port::{Answer, Beginning, Delivery, Ended, Next, Passed, Port, Reply, Request, Rest};
use agentry_abi::wire::{self, Came, Down, Handle, Said, Up};
use agentry_kernel::call::CallId;
use agentry_kernel::time::Millis;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::quick::QuickCalls;

/// For how long a guest that computes has turns without asking: as long as a slice may last.
const LEASE: Duration = Duration::from_millis(10);

/// The port.
pub(super) struct Remote {
    line: Arc<Line>,
    run: Handle,
    stop: CancellationToken,
    side: Arc<Mutex<Side>>,
}

struct Side {
    clock: Millis,
    answers: HashMap<CallId, Awaited<Option<Came>>>,
    /// When answers came that the guest is about to see.
    about: HashMap<CallId, Millis>,
    pieces: HashMap<CallId, Awaited<bool>>,
    /// Waits for a turn.
    turn: Option<Waker>,
    /// When it was given turns, unless it has rested since.
    leased: Option<Instant>,
    /// How it waits, as the other side knows it.
    told: Option<Rest>,
    repeats: bool,
    quick: QuickCalls,
}

#[derive(Default)]
struct Awaited<T> {
    came: T,
    waker: Option<Waker>,
}

impl Remote {
    pub(super) fn new(line: Arc<Line>, run: Handle, stop: CancellationToken, beginning: &Beginning) -> Self {
        let side = Side {
            clock: beginning.now,
            answers: HashMap::new(),
            about: HashMap::new(),
            pieces: HashMap::new(),
            turn: None,
            leased: None,
            told: None,
            repeats: beginning.has_past,
            quick: QuickCalls::new(beginning.deadline),
        };
        Self { line, run, stop, side: Arc::new(Mutex::new(side)) }
    }

    /// The answer of a call has come.
    pub(super) fn answer(&self, call: CallId, came: Came) {
        let mut side = self.side.lock();
        if came.turn {
            side.leased = Some(Instant::now());
        }
        if let Some(slot) = side.answers.get_mut(&call) {
            slot.came = Some(came);
            wake(side, |side| side.answers.get_mut(&call)?.waker.take());
        }
    }

    /// There is something to hear of a call.
    pub(super) fn pieces(&self, call: CallId) {
        let mut side = self.side.lock();
        if let Some(slot) = side.pieces.get_mut(&call) {
            slot.came = true;
            wake(side, |side| side.pieces.get_mut(&call)?.waker.take());
        }
    }

    /// It may ask for turns again.
    pub(super) fn opens(&self) {
        wake(self.side.lock(), |side| side.turn.take());
    }

    /// It is to end.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Its guest is gone.
    pub(super) fn ended(&self, ended: Ended) {
        self.say(Said::Ended(Box::new(ended)));
    }

    /// A turn of its guest took too long.
    pub(super) fn overran(&self) {
        self.say(Said::Overran);
    }

    fn say(&self, said: Said) {
        self.line.say_behind(self.unreported(), &Up::Of(self.run, said));
    }

    /// What stands before all that is said next.
    fn unreported(&self) -> Option<Up> {
        let batch = self.side.lock().quick.take()?;
        Some(Up::Of(self.run, Said::Answered(batch)))
    }

    /// What the other side says; none if the run is over there.
    fn ask(&self, said: Said) -> Option<Down> {
        let down = self.line.ask(self.unreported(), &Up::Of(self.run, said));
        if down == Down::Over {
            self.stop.cancel();
            return None;
        }
        Some(down)
    }
}

impl Remote {
    /// What needs no other side.
    ///
    /// # Errors
    /// The request, if that is to be asked.
    #[expect(clippy::result_large_err, reason = "it is the request itself, which goes on")]
    fn answered_here(&self, request: Request) -> Result<Passed, Request> {
        let mut side = self.side.lock();
        let clock = side.clock;
        let (reply, clock) = side.quick.answer(request, clock)?;
        side.clock = clock;
        Ok(Passed { answer: Answer::Now(reply), clock, pieces: None, fuel_given: 0 })
    }
}

fn wake(mut side: parking_lot::MutexGuard<'_, Side>, whom: impl FnOnce(&mut Side) -> Option<Waker>) {
    let waker = whom(&mut side);
    drop(side);
    waker.into_iter().for_each(Waker::wake);
}

impl Port for Remote {
    fn pass(&self, request: Request) -> Passed {
        let request = match self.answered_here(request) {
            Ok(passed) => return passed,
            Err(request) => request,
        };
        let Some(Down::Passed(passed)) = self.ask(Said::Pass(Box::new(request))) else {
            // Nothing comes any more.
            let (call, coming) = (CallId(0), Box::pin(std::future::pending()));
            let answer = Answer::Later { call, stands: true, coming };
            return Passed { answer, clock: self.side.lock().clock, pieces: None, fuel_given: 0 };
        };
        let wire::Passed { answer, clock, pieces, fuel_given, lease } = *passed;
        let mut side = self.side.lock();
        side.clock = clock;
        side.quick.lease(lease);
        let pieces = pieces.map(|(call, came)| {
            side.pieces.insert(call, Awaited { came, waker: None });
            call
        });
        let answer = match answer {
            Ok(reply) => Answer::Now(reply),
            Err(wire::Later { call, stands, came }) => {
                side.answers.insert(call, Awaited { came: came.map(|came| *came), waker: None });
                let coming = Box::pin(RemoteAnswer { call, side: Arc::clone(&self.side) });
                Answer::Later { call, stands, coming }
            }
        };
        Passed { answer, clock, pieces, fuel_given }
    }

    fn seen(&self, call: CallId) -> Millis {
        let mut side = self.side.lock();
        side.answers.remove(&call);
        if let Some(at) = side.about.remove(&call) {
            side.clock = side.clock.max(at);
            let clock = side.clock;
            drop(side);
            self.say(Said::Saw(call));
            return clock;
        }
        drop(side);
        let clock = self.ask(Said::Seen(call));
        let mut side = self.side.lock();
        if let Some(Down::Clock(clock)) = clock {
            side.clock = clock;
        }
        side.clock
    }

    fn dropped(&self, call: CallId) {
        let mut side = self.side.lock();
        side.answers.remove(&call);
        side.about.remove(&call);
        drop(side);
        self.say(Said::Dropped(call));
    }

    fn poll_pieces(&self, call: CallId, context: &mut Context<'_>) -> Poll<()> {
        match self.side.lock().pieces.get_mut(&call) {
            Some(slot) if !slot.came => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(()),
        }
    }

    fn hear(&self, call: CallId) -> Result<Vec<Delta>, String> {
        if let Some(slot) = self.side.lock().pieces.get_mut(&call) {
            slot.came = false;
        }
        match self.ask(Said::Hear(call)) {
            Some(Down::Heard(heard, more)) => {
                if let Some(slot) = self.side.lock().pieces.get_mut(&call).filter(|_| more) {
                    slot.came = true;
                }
                heard
            }
            _ => Err("the run is over".to_owned()),
        }
    }

    fn unheard(&self, call: CallId) {
        self.side.lock().pieces.remove(&call);
        self.say(Said::Unheard(call));
    }

    fn next(&self, rests: bool, waiting: &[Delivery]) -> Next {
        match self.ask(Said::Next { rests, waiting: waiting.to_vec() }) {
            Some(Down::Next(next)) => next,
            _ => Next::Nothing,
        }
    }

    fn poll_turn(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.side.lock().leased.is_some_and(|leased| leased.elapsed() < LEASE) {
            return Poll::Ready(());
        }
        let given = matches!(self.ask(Said::Turn), Some(Down::Turn(true)));
        let mut side = self.side.lock();
        if given {
            side.leased = Some(Instant::now());
            return Poll::Ready(());
        }
        side.turn = Some(context.waker().clone());
        Poll::Pending
    }

    fn waits(&self, rest: Rest) {
        let mut side = self.side.lock();
        if rest.rests {
            // From here on the other side may hold it: it asks before it goes on.
            side.leased = None;
        } else if side.told == Some(rest) && side.quick.is_reported() {
            return;
        }
        side.told = Some(rest);
        drop(side);
        self.say(Said::Waits(rest));
    }

    fn slept(&self, until: Millis) {
        let mut side = self.side.lock();
        side.clock = side.clock.max(until);
        drop(side);
        self.say(Said::Slept(until));
    }

    fn repeats(&self) -> bool {
        // Once behind its past, it is behind it.
        if !self.side.lock().repeats {
            return false;
        }
        let repeats = matches!(self.ask(Said::Repeats), Some(Down::Repeats(true)));
        self.side.lock().repeats = repeats;
        repeats
    }
}

/// An answer on its way from the other side.
struct RemoteAnswer {
    call: CallId,
    side: Arc<Mutex<Side>>,
}

impl Future for RemoteAnswer {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut side = self.side.lock();
        let slot = side.answers.entry(self.call).or_default();
        match slot.came.take() {
            Some(Came { reply, at, turn: _ }) => {
                if let Some(at) = at {
                    side.about.insert(self.call, at);
                }
                Poll::Ready(reply)
            }
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
