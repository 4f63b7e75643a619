//! One guest, as the side of the engine knows it: its port, its clock, its turns, and the order in which it sees what comes. It decides
//! nothing, and knows nothing of a run but what the port tells.

pub(crate) mod delivery;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker, ready};

use agentry_abi::clock::RunClock;
use agentry_abi::fault;
use agentry_abi::port::{Answer, Beginning, Delivery, Next, Passed, Port, Reply, Request, Rest, Syscall};
use agentry_engine::charges::{self, Charges, Price};
use agentry_kernel::call::CallId;
use agentry_kernel::time::Millis;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::delivery::{DeliveryQueue, WakeFlag};

/// One guest, for all that works for it.
pub(crate) struct Guest {
    /// The other side.
    pub(crate) port: Arc<dyn Port>,
    /// The time that it sees. It moves with what crosses the port, and when the guest waits by itself.
    pub(crate) clock: RunClock,
    /// Cancelled when it is stopped.
    pub(crate) stop: CancellationToken,
    /// What comes to it, one at a time.
    pub(crate) deliveries: DeliveryQueue,
    /// When its wall time ends, by its clock.
    pub(crate) until: Millis,
    /// The same by a clock that nobody can set; none if nothing ends it.
    pub(crate) deadline: Option<Instant>,
    /// Bytes of its linear memories.
    memory: Arc<AtomicU64>,
    has_past: bool,
    /// What its monotonic clock shows as it begins, in nanoseconds.
    pub(crate) clock_from: u64,
    /// What the host's work for it comes to; none if it does not pay for that.
    charges: Option<Charges>,
}

/// The run has been stopped or its wall time is over, and the guest goes on calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub(crate) struct Overdue;

impl Guest {
    /// A guest that is about to begin.
    pub(crate) fn new(
        port: Arc<dyn Port>,
        stop: CancellationToken,
        deadline: Option<Instant>,
        beginning: &Beginning,
    ) -> Self {
        Self {
            port,
            clock: RunClock::at(beginning.now),
            stop,
            deliveries: DeliveryQueue::default(),
            until: beginning.deadline,
            deadline,
            memory: Arc::default(),
            has_past: beginning.has_past,
            clock_from: beginning.clock_from,
            charges: beginning.pays_for_work.then(Charges::default),
        }
    }

    /// Where its memory is counted.
    pub(crate) fn memory(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.memory)
    }

    /// What the host's work for it comes to; none if it does not pay for that.
    pub(crate) fn charges(&self) -> Option<&Charges> {
        self.charges.as_ref()
    }

    /// The host does so much for it.
    pub(crate) fn charge(&self, price: Price, count: usize) {
        if let Some(charges) = &self.charges {
            charges.add(price, u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Fuel that it has left, if the engine has counted it down to so much.
    pub(crate) fn fuel_left(&self, counted: u64) -> u64 {
        self.charges.as_ref().map_or(counted, |charges| charges.left(counted))
    }

    /// Looked at as each call begins: a guest that keeps calling is not heard once its time is up.
    ///
    /// # Errors
    /// If the run has been stopped or its wall time is over: then the guest gets no answer, it ends.
    pub(crate) fn keep_pace(&self) -> Result<(), Overdue> {
        if self.is_over() { Err(Overdue) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// A syscall of it.
    #[inline]
    pub(crate) fn pass(&self, asked: impl Into<Request>) -> Passed {
        let asked = asked.into();
        self.charge(charges::SYSCALL, 1);
        self.carry(&asked);
        let passed = self.port.pass(asked);
        // Most calls do not move it.
        if passed.clock > self.clock.now() {
            self.clock.advance(passed.clock);
        }
        passed
    }

    /// What crosses the port, in bytes.
    fn carry(&self, what: &impl Serialize) {
        if let Some(charges) = &self.charges {
            // What cannot be measured cannot cross either.
            let bytes = postcard::experimental::serialized_size(what).unwrap_or(0);
            charges.add(charges::BYTE, u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// An answer that it gets where it stands.
    pub(crate) fn now<S: Syscall>(&self, answer: Answer) -> Result<S::Reply, S::Fault> {
        match answer {
            Answer::Now(reply) => self.read::<S>(reply),
            Answer::Later { .. } => Err(fault::broke().into()),
        }
    }

    /// An answer, when the guest may see it. Dropping this lets go of the call.
    pub(crate) fn answer<S: Syscall>(
        self: &Arc<Self>,
        answer: Answer,
    ) -> impl Future<Output = Result<S::Reply, S::Fault>> + Send + use<S> {
        let guest = Arc::clone(self);
        // Before it is polled: whoever drops it then lets go of the call as well.
        let answer = match answer {
            Answer::Now(reply) => Ok((guest, reply)),
            Answer::Later { call, stands, coming } => Err((UnseenAnswer { guest, call, seen: false }, stands, coming)),
        };
        async move {
            let (mut unseen, stands, coming) = match answer {
                Ok((guest, reply)) => return guest.read::<S>(reply),
                Err(later) => later,
            };
            let reply = {
                let _standing = stands.then(|| unseen.guest.deliveries.stand());
                coming.await
            };
            if unseen.guest.is_over() {
                // What comes of a call because the run is over is not seen: the guest ends where it stands.
                return std::future::pending().await;
            }
            if !stands {
                unseen.guest.deliveries.pass(Delivery::Answer(unseen.call)).await;
            }
            unseen.seen();
            unseen.guest.read::<S>(reply)
        }
    }

    /// An answer to this syscall. One to another syscall is a fault of the other side.
    fn read<S: Syscall>(&self, reply: Reply) -> Result<S::Reply, S::Fault> {
        self.carry(&reply);
        S::read(reply).unwrap_or_else(|| Err(fault::broke().into()))
    }

    /// Polls `guest` only while it may have a turn, and lets answers through to it one at a time: wrap the whole of it in this.
    pub(crate) async fn paced<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        let flag = Arc::new(WakeFlag::default());
        let waker = Waker::from(Arc::clone(&flag));
        self.deliveries.attend();
        std::future::poll_fn(|context| {
            ready!(self.port.poll_turn(context));
            flag.hang(context.waker());
            let polled = guest.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                self.rest(flag.rang());
            }
            polled
        })
        .await
    }

    fn rest(&self, rings: bool) {
        self.port.waits(Rest {
            rests: !rings,
            has_seen_all: !self.deliveries.stands() && self.deliveries.is_empty(),
            memory_bytes: self.memory.load(Ordering::Relaxed),
        });
        self.deliveries.rest(rings, |waiting| {
            let next = if self.has_past { self.port.next(!rings, waiting) } else { Next::First };
            match next {
                Next::First => waiting.first().copied(),
                Next::This(delivery) => Some(delivery),
                Next::Nothing => None,
            }
        });
    }
}

/// A call whose answer the guest has yet to see.
struct UnseenAnswer {
    guest: Arc<Guest>,
    call: CallId,
    seen: bool,
}

impl UnseenAnswer {
    fn seen(&mut self) {
        self.seen = true;
        let now = self.guest.port.seen(self.call);
        self.guest.clock.advance(now);
    }
}

impl Drop for UnseenAnswer {
    fn drop(&mut self) {
        if !self.seen {
            self.guest.port.dropped(self.call);
        }
    }
}
