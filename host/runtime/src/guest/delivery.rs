//! Lets what comes to a guest through one at a time, and only while it waits: so the order in which it saw answers is one order, and
//! can be written down and repeated. It decides nothing about what comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use agentry_abi::port::Delivery;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// A guest that polls instead of waiting is never at rest; after so many turns without a rest something is let through all the same.
const RESTLESS_MAX: u32 = 1024;

/// One run's.
#[derive(Debug, Default)]
pub(crate) struct DeliveryQueue {
    /// Somebody turns it; else everything goes through at once.
    turned: AtomicBool,
    queue: Mutex<Queue>,
    /// Calls in which the guest stands: it sees nothing meanwhile.
    standing: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Delivery, Waker)>,
    /// What may pass now.
    open: Option<Delivery>,
    restless: u32,
}

impl DeliveryQueue {
    /// From now on somebody calls [`DeliveryQueue::rest`] whenever the guest has been polled.
    pub(crate) fn attend(&self) {
        self.turned.store(true, Ordering::Release);
    }

    /// Passes, or joins the queue. Whoever leaves without having passed must say so by [`DeliveryQueue::leave`].
    pub(crate) fn poll(&self, delivery: Delivery, context: &Context<'_>) -> Poll<()> {
        if !self.turned.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut queue = self.queue.lock();
        if queue.open == Some(delivery) {
            queue.remove(delivery);
            return Poll::Ready(());
        }
        match queue.waiting.iter_mut().find(|(waits, _)| *waits == delivery) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => queue.waiting.push_back((delivery, context.waker().clone())),
        }
        Poll::Pending
    }

    /// Waits until it may be seen.
    pub(crate) async fn pass(&self, delivery: Delivery) {
        let mut passing = Passing { deliveries: self, delivery, passed: false };
        std::future::poll_fn(|context| self.poll(delivery, context)).await;
        passing.passed = true;
    }

    /// Nobody wants to see it any more.
    pub(crate) fn leave(&self, delivery: Delivery) {
        self.queue.lock().remove(delivery);
    }

    /// The guest stands in a call until what is returned is dropped.
    pub(crate) fn stand(&self) -> InCall<'_> {
        self.standing.fetch_add(1, Ordering::AcqRel);
        InCall(self)
    }

    /// True if the guest stands in a call.
    pub(crate) fn stands(&self) -> bool {
        self.standing.load(Ordering::Acquire) > 0
    }

    /// True if nothing waits to be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().waiting.is_empty()
    }

    /// The guest has been polled and waits; `rings` says that it is to be polled again of itself. Opens for what `next` chooses of those
    /// that wait, which are given in the order in which they came.
    pub(crate) fn rest(&self, rings: bool, next: impl FnOnce(&[Delivery]) -> Option<Delivery>) {
        if self.stands() {
            return;
        }
        let mut queue = self.queue.lock();
        if rings {
            queue.restless = queue.restless.saturating_add(1);
            if queue.restless < RESTLESS_MAX || queue.waiting.is_empty() {
                return;
            }
        }
        queue.restless = 0;
        if let Some(unseen) = queue.open.take() {
            // It was let through and did not come: the guest does not read it now.
            queue.remove(unseen);
        }
        let waiting: Vec<Delivery> = queue.waiting.iter().map(|(delivery, _)| *delivery).collect();
        let chosen = next(&waiting);
        queue.open = chosen;
        let waker = queue.waiting.iter().find(|(waits, _)| Some(*waits) == chosen).map(|(_, waker)| waker.clone());
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Queue {
    fn remove(&mut self, delivery: Delivery) {
        self.waiting.retain(|(waits, _)| *waits != delivery);
        self.open.take_if(|open| *open == delivery);
    }
}

struct Passing<'a> {
    deliveries: &'a DeliveryQueue,
    delivery: Delivery,
    passed: bool,
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        if !self.passed {
            self.deliveries.leave(self.delivery);
        }
    }
}

/// See [`DeliveryQueue::stand`].
pub(crate) struct InCall<'a>(&'a DeliveryQueue);

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Hears whether a future asks to be polled again while it is polled.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag {
    rang: AtomicBool,
    outer: AtomicWaker,
}

impl WakeFlag {
    /// Passes rings on to this one, and forgets that it rang.
    pub(crate) fn hang(&self, outer: &Waker) {
        self.outer.register(outer);
        self.rang.store(false, Ordering::Release);
    }

    /// True if it has rung since.
    pub(crate) fn rang(&self) -> bool {
        self.rang.load(Ordering::Acquire)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.outer.wake();
    }
}

#[cfg(test)]
mod tests {
    use agentry_kernel::call::CallId;

    use super::*;

    const ONE: Delivery = Delivery::Answer(CallId(1));
    const TWO: Delivery = Delivery::Answer(CallId(2));

    fn polls(deliveries: &DeliveryQueue, delivery: Delivery) -> bool {
        deliveries.poll(delivery, &Context::from_waker(Waker::noop())).is_ready()
    }

    fn rest(deliveries: &DeliveryQueue) {
        deliveries.rest(false, |waiting| waiting.first().copied());
    }

    #[test]
    fn answers_are_seen_one_at_a_time_and_only_at_rest() {
        let deliveries = DeliveryQueue::default();
        assert!(polls(&deliveries, ONE), "nobody turns it");
        deliveries.attend();
        assert!(!polls(&deliveries, TWO) && !polls(&deliveries, ONE));
        deliveries.rest(true, |waiting| waiting.first().copied());
        assert!(!polls(&deliveries, TWO), "the guest does not rest");
        rest(&deliveries);
        assert!(!polls(&deliveries, ONE) && polls(&deliveries, TWO), "who came first is seen first");
        let standing = deliveries.stand();
        rest(&deliveries);
        assert!(!polls(&deliveries, ONE), "the guest stands in a call");
        drop(standing);
        rest(&deliveries);
        assert!(polls(&deliveries, ONE));
    }

    #[test]
    fn an_answer_that_nobody_reads_does_not_stand_in_the_way() {
        let deliveries = DeliveryQueue::default();
        deliveries.attend();
        assert!(!polls(&deliveries, ONE) && !polls(&deliveries, TWO));
        rest(&deliveries);
        rest(&deliveries);
        assert!(polls(&deliveries, TWO));
        assert!(!polls(&deliveries, ONE), "it stands at the end again");
        deliveries.leave(ONE);
        rest(&deliveries);
        assert!(!polls(&deliveries, ONE), "it came anew");
    }

    #[test]
    fn a_guest_that_never_rests_still_sees_something() {
        let deliveries = DeliveryQueue::default();
        deliveries.attend();
        assert!(!polls(&deliveries, ONE));
        (0..RESTLESS_MAX).for_each(|_| deliveries.rest(true, |waiting| waiting.first().copied()));
        assert!(polls(&deliveries, ONE));
    }
}
