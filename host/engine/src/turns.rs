//! Whose turn it is on the threads that execute guests. Those that compute, or have the host work, without end take turns among themselves, so
//! that whoever does a little now and then waits for as many of them as there are threads and not for all. It ends nobody, and no guest sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Processor time that a guest may take at once before it takes turns with others that do: as an agent does between two questions to a model.
const CREDIT_MAX: Duration = Duration::from_millis(5);

/// What it gets back meanwhile, as a part of the time that passes: a guest that takes less than that of a thread never waits for those that do.
const CREDIT_PART: u32 = 10;

/// The turns of the guests of some threads.
#[derive(Debug)]
pub struct Turns {
    /// One for each thread, for those that take turns.
    slots: Arc<Semaphore>,
}

impl Turns {
    /// Of the guests of so many threads.
    pub fn of(threads: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(threads.max(1))) }
    }

    /// Polls a guest when it is its turn. A turn that took more processor time than `longest` is told once.
    pub async fn taken<T>(&self, guest: impl Future<Output = T>, longest: Duration, overran: impl FnOnce()) -> T {
        let (mut guest, mut overran) = (std::pin::pin!(guest), Some(overran));
        let (mut credit, mut place) = (Credit::full(), Place::of(&self.slots));
        std::future::poll_fn(|context| {
            let _slot = ready!(place.poll(&mut credit, context));
            let before = executed();
            let polled = guest.as_mut().poll(context);
            let took = executed().saturating_sub(before);
            credit.take(took);
            // One that is over takes nobody's time any more.
            if took > longest && polled.is_pending() {
                overran.take().into_iter().for_each(|overran| overran());
            }
            polled
        })
        .await
    }
}

/// The processor time that one guest may take before it takes turns.
struct Credit {
    left: Duration,
    /// When that was so.
    at: Instant,
    spent: bool,
}

impl Credit {
    fn full() -> Self {
        Self { left: CREDIT_MAX, at: Instant::now(), spent: false }
    }

    fn take(&mut self, took: Duration) {
        let now = Instant::now();
        let back = now.saturating_duration_since(self.at) / CREDIT_PART;
        let left = (self.left + back).min(CREDIT_MAX);
        self.spent = took > left;
        (self.left, self.at) = (left.saturating_sub(took), now);
    }
}

/// Where one guest waits for its turn.
struct Place {
    slots: Arc<Semaphore>,
    waits: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
}

impl Place {
    fn of(slots: &Arc<Semaphore>) -> Self {
        Self { slots: Arc::clone(slots), waits: None }
    }

    /// Ready with its turn, or without if it needs none. Whoever has begun to wait goes on with that: else it would stand in the way of others.
    fn poll(&mut self, credit: &mut Credit, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if self.waits.is_none() && !credit.spent {
            return Poll::Ready(None);
        }
        let slots = &self.slots;
        let waits = self.waits.get_or_insert_with(|| {
            let slots = Arc::clone(slots);
            // It is never closed; if it were, nobody would have to wait.
            Box::pin(async move { slots.acquire_owned().await.ok() })
        });
        let slot = ready!(waits.as_mut().poll(context));
        self.waits = None;
        Poll::Ready(slot)
    }
}

/// Processor time of this thread: what a busy machine does besides counts for nobody.
fn executed() -> Duration {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Gives its thread back and stands behind whoever waits for it, as the engine does at the end of a slice.
    async fn yields() {
        let mut again = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut again, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Computes for so long, turn by turn.
    async fn computes(turns: &[Duration]) {
        for took in turns {
            let until = executed() + *took;
            while executed() < until {}
            yields().await;
        }
    }

    #[tokio::test]
    async fn a_guest_that_takes_its_thread_for_too_long_is_told_of_once_and_one_that_gives_it_back_is_not() {
        let longest = Duration::from_millis(20);
        for (turns, told) in [(vec![longest * 2, longest / 8, longest * 2], 1), (vec![longest / 4; 8], 0)] {
            let mut said = 0;
            Turns::of(1).taken(computes(&turns), longest, || said += 1).await;
            assert_eq!(said, told, "{turns:?}");
        }
    }

    #[test]
    fn what_a_guest_may_take_at_once_comes_back_with_time_and_is_bounded() {
        let mut credit = Credit::full();
        credit.take(CREDIT_MAX);
        assert!(!credit.spent);
        credit.take(CREDIT_MAX * 2);
        assert!(credit.spent);
        credit.at -= CREDIT_MAX * CREDIT_PART * 4;
        credit.take(CREDIT_MAX);
        assert!(!credit.spent && credit.left <= CREDIT_MAX / 100);
    }
}
