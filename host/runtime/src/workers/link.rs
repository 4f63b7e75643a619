//! One run as its worker speaks for it: what that says goes to the run's port, and what comes of it goes back. Nothing here waits for a worker,
//! and nothing that one says reaches another run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use agentry_abi::port::{self, Answer, Beginning, Ended, How, Port, Reply, Rest, Untrue};
use agentry_abi::wire::{Batch, Came, Down, Handle, Later, Passed, Said};
use agentry_kernel::call::CallId;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::limits::{FAILURE_MAX_BYTES, QUICK_LEASE_MS};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::Outbox;

/// One run's.
pub(super) struct Link {
    run: Handle,
    port: Arc<dyn Port>,
    outbox: Arc<Outbox>,
    began: (Instant, Millis),
    /// The time that its worker was told last, by which it answers some calls itself, and when.
    leased: Mutex<Option<(Millis, Instant)>>,
    /// When its wall time ends, by its clock.
    deadline: Millis,
    /// Cancelled when the run is stopped, and when its wall time ends by a clock that nobody can set.
    stop: CancellationToken,
    until: Option<Instant>,
    /// Linear memory that its guest may have, in bytes.
    memory_bytes: u64,
    /// Cancelled when a turn of its guest took its worker for too long.
    overran: CancellationToken,
    /// True while its guest can have no turn before something is said to its worker of it.
    rests: AtomicBool,
    /// Nobody waits for it any more, whatever its worker still says.
    over: AtomicBool,
    ended: Mutex<Option<oneshot::Sender<Ended>>>,
    /// What is awaited for it.
    tasks: Mutex<HashMap<Awaited, AbortHandle>>,
    /// Rung when the guest has heard of a stream, and is to be told of what comes next.
    heard: Mutex<HashMap<CallId, Arc<Notify>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Awaited {
    Answer(CallId),
    Pieces(CallId),
    Turn,
}

/// Its clock may be ahead of what has passed by as much: both sides count in milliseconds, from slightly different instants.
const AHEAD_MAX_MS: u64 = 1_000;

impl Link {
    /// A run that is about to begin, and where its end is told.
    pub(super) fn new(
        run: Handle,
        port: Arc<dyn Port>,
        (outbox, stop): (&Arc<Outbox>, &CancellationToken),
        beginning: &Beginning,
    ) -> (Self, oneshot::Receiver<Ended>) {
        let (ended, ends) = oneshot::channel();
        let link = Self {
            run,
            port,
            outbox: Arc::clone(outbox),
            began: (Instant::now(), beginning.now),
            leased: Mutex::default(),
            deadline: beginning.deadline,
            stop: stop.clone(),
            until: beginning.left.map(|left| Instant::now() + left),
            memory_bytes: beginning.memory_bytes,
            overran: CancellationToken::new(),
            rests: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ended: Mutex::new(Some(ended)),
            tasks: Mutex::default(),
            heard: Mutex::default(),
        };
        (link, ends)
    }

    /// What its worker says; what it gets at once.
    ///
    /// # Errors
    /// If it cannot be true, whatever the run did: it is its worker that says so.
    pub(super) fn hear(self: &Arc<Self>, said: Said) -> Result<Option<Down>, Untrue> {
        if self.over.load(Ordering::SeqCst) || (self.is_over() && said.waits()) {
            return Ok(said.waits().then_some(Down::Over));
        }
        let port = &self.port;
        if !matches!(said, Said::Next { .. }) {
            self.rests.store(matches!(said, Said::Waits(Rest { rests: true, .. })), Ordering::SeqCst);
        }
        match said {
            Said::Overran => self.overran.cancel(),
            Said::Pass(request) => self.pass(port.pass(*request)),
            Said::Seen(call) => {
                self.forget(Awaited::Answer(call));
                return Ok(Some(Down::Clock(port.seen(call))));
            }
            Said::Saw(call) => {
                self.forget(Awaited::Answer(call));
                port.seen(call);
            }
            Said::Hear(call) => {
                let heard = port.hear(call);
                let goes_on = heard.as_ref().is_ok_and(|pieces| !pieces.is_empty());
                let more = goes_on && port.poll_pieces(call, &mut now()).is_ready();
                if let Some(rings) = self.heard.lock().get(&call).filter(|_| goes_on && !more) {
                    rings.notify_one();
                }
                return Ok(Some(Down::Heard(heard, more)));
            }
            Said::Next { rests, waiting } => return Ok(Some(Down::Next(port.next(rests, &waiting)))),
            Said::Turn => return Ok(Some(Down::Turn(self.turn()))),
            Said::Repeats => return Ok(Some(Down::Repeats(port.repeats()))),
            Said::Dropped(call) => {
                self.forget(Awaited::Answer(call));
                port.dropped(call);
            }
            Said::Unheard(call) => {
                self.forget(Awaited::Pieces(call));
                port.unheard(call);
            }
            Said::Waits(rest) => port.waits(rest),
            Said::Slept(until) => port.slept(self.believed(until)),
            Said::Answered(batch) => self.answered(batch)?,
            Said::Ended(ended) => {
                self.close();
                if let Some(tell) = self.ended.lock().take() {
                    let _ = tell.send(bounded(*ended));
                }
            }
        }
        Ok(None)
    }

    /// Writes down what its worker answered by itself, as far as anybody waits for the run.
    fn answered(&self, batch: Batch) -> Result<(), Untrue> {
        // Whatever its machine's clock does: from what it was told on, no more time has passed there than here.
        let leased = *self.leased.lock();
        let (told, at) = leased.ok_or(Untrue::Unasked)?;
        let passed = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let latest = told.plus(passed.min(QUICK_LEASE_MS));
        for quick in batch {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            self.port.answered(quick, latest)?;
        }
        Ok(())
    }

    /// Its guest takes its worker for too long at a time, or may be what keeps it from saying anything.
    pub(super) fn overran(&self) -> &CancellationToken {
        &self.overran
    }

    /// True if its guest cannot be what its worker does: it waits for something that was not said yet.
    pub(super) fn rests(&self) -> bool {
        self.rests.load(Ordering::SeqCst)
    }

    /// Linear memory that its guest may have, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// True if the run has been stopped, or its wall time is over.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.until.is_some_and(|until| until <= Instant::now())
    }

    /// From here on nothing that its worker says of it is heard.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.tasks.lock().drain().for_each(|(_, task)| task.abort());
        self.heard.lock().clear();
    }

    /// Tells what came of a request, and then what it is still to bring, in this order.
    fn pass(self: &Arc<Self>, passed: port::Passed) {
        let port::Passed { answer, clock, pieces, fuel_given } = passed;
        let (answer, coming) = match answer {
            Answer::Now(reply) => (Ok(reply), None),
            Answer::Later { call, stands, mut coming } => match coming.as_mut().poll(&mut now()) {
                Poll::Ready(reply) => {
                    // It is its turn now.
                    let came = Some(Box::new(Came { reply, at: self.port.came(call), turn: false }));
                    (Err(Later { call, stands, came }), None)
                }
                Poll::Pending => (Err(Later { call, stands, came: None }), Some((call, coming))),
            },
        };
        let pieces = pieces.map(|call| (call, self.port.poll_pieces(call, &mut now()).is_ready()));
        let lease = self.port.lease();
        *self.leased.lock() = lease.map(|told| (told, Instant::now()));
        self.send(&Down::Passed(Box::new(Passed { answer, clock, pieces, fuel_given, lease })));
        if let Some((call, coming)) = coming {
            let link = Arc::clone(self);
            self.begin(Awaited::Answer(call), async move {
                let reply = coming.await;
                // What comes of a call because its run is over the guest does not see: it ends.
                if link.is_over() {
                    return;
                }
                link.bring(call, reply);
            });
        }
        if let Some((call, there)) = pieces {
            self.listen(call, there);
        }
    }

    /// Brings the answer of a call, and with it what its worker would ask for next: the guest's clock once it has seen it, and a turn.
    fn bring(&self, call: CallId, reply: Reply) {
        let came = Came { reply, at: self.port.came(call), turn: self.port.poll_turn(&mut now()).is_ready() };
        self.send(&Down::Answer(self.run, call, Box::new(came)));
    }

    /// Tells the worker whenever there is something to hear of this call, once until it has heard that; it was told already of what is `there`.
    fn listen(self: &Arc<Self>, call: CallId, there: bool) {
        let (link, rings) = (Arc::clone(self), Arc::new(Notify::new()));
        self.heard.lock().insert(call, Arc::clone(&rings));
        self.begin(Awaited::Pieces(call), async move {
            if there {
                rings.notified().await;
            }
            loop {
                std::future::poll_fn(|context| link.port.poll_pieces(call, context)).await;
                link.send(&Down::Pieces(link.run, call));
                rings.notified().await;
            }
        });
    }

    /// Whether it may have turns; if not, it is told when it may ask again.
    fn turn(self: &Arc<Self>) -> bool {
        self.forget(Awaited::Turn);
        if self.port.poll_turn(&mut now()).is_ready() {
            return true;
        }
        let link = Arc::clone(self);
        self.begin(Awaited::Turn, async move {
            std::future::poll_fn(|context| link.port.poll_turn(context)).await;
            link.send(&Down::Opens(link.run));
        });
        false
    }

    /// No guest has waited for longer than time has passed, and none beyond its deadline.
    fn believed(&self, until: Millis) -> Millis {
        let (began, at) = self.began;
        let passed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let latest = if self.port.repeats() { self.deadline } else { at.plus(passed.saturating_add(AHEAD_MAX_MS)) };
        until.min(latest).min(self.deadline)
    }

    fn begin(&self, awaited: Awaited, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task).abort_handle();
        let before = self.tasks.lock().insert(awaited, task);
        before.into_iter().for_each(|task| task.abort());
        if self.over.load(Ordering::SeqCst) {
            self.forget(awaited);
        }
    }

    fn forget(&self, awaited: Awaited) {
        let task = self.tasks.lock().remove(&awaited);
        task.into_iter().for_each(|task| task.abort());
    }

    fn send(&self, frame: &Down) {
        self.rests.store(false, Ordering::SeqCst);
        // What is longer than a frame may be, no answer is: it would have been refused before.
        let _ = self.outbox.send(frame, None);
    }
}

/// For looking at what is there now, without waiting for it.
fn now() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// As much of a worker's words as a report has room for.
fn bounded(ended: Ended) -> Ended {
    let how = match ended.how {
        How::Trap(why) => How::Trap(cut(why, FAILURE_MAX_BYTES)),
        How::Engine(why) => How::Engine(cut(why, FAILURE_MAX_BYTES)),
        how => how,
    };
    Ended { how, last_words: ended.last_words.map(|words| cut(words, FAILURE_MAX_BYTES)), ..ended }
}
