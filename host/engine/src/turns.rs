//! Whose turn it is on the threads that execute guests. Those that compute, or have the host work, without end stand in a line of their own,
//! and as many of them as there are threads stand among the others: so whoever does a little now and then waits for so many slices of theirs,
//! and not for one of each. It ends nobody, and no guest sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a guest may have its thread before it stands in line: several times what an agent needs between two questions to a model.
const CREDIT_MAX: Duration = Duration::from_millis(5);

/// What counts of a turn besides its processor time, at most: some round trips to the kernel. Whoever waits for an answer with its thread in its hand
/// takes the time of others as well; for how long a busy machine executes something else meanwhile is nobody's doing.
const WAITS_MAX: Duration = Duration::from_micros(250);

/// What it gets back, as a part of the time in which it waits for something else than its turn.
const CREDIT_PART: u32 = 50;

/// The turns of the guests of some threads.
#[derive(Debug)]
pub struct Turns {
    /// One for each thread, for those that stand in line.
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
        let mut woken = Arc::new(Woken::of(Waker::noop()));
        std::future::poll_fn(|context| {
            credit.rested(woken.at());
            if credit.spent {
                ready!(place.comes(context));
            }
            if !woken.waker.will_wake(context.waker()) {
                woken = Arc::new(Woken::of(context.waker()));
            }
            woken.begins();
            let (began, before) = (Instant::now(), executed());
            let polled = guest.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&woken))));
            let took = executed().saturating_sub(before);
            credit.take(counted(began.elapsed(), took));
            place.leave();
            if polled.is_ready() {
                // One that is over takes nobody's time any more.
                return polled;
            }
            if took > longest {
                overran.take().into_iter().for_each(|overran| overran());
            }
            if !woken.ends() {
                credit.rests();
            } else if !credit.spent || place.enters(context).is_ready() {
                context.waker().wake_by_ref();
            }
            polled
        })
        .await
    }
}

/// What counts of a turn in which so much time passed, of which the guest took so much processor time.
fn counted(passed: Duration, took: Duration) -> Duration {
    passed.min(took.saturating_add(WAITS_MAX))
}

/// For how long one guest may have its thread before it stands in line.
struct Credit {
    left: Duration,
    /// Since when it waits for something else than its turn.
    rests: Option<Instant>,
    spent: bool,
}

impl Credit {
    fn full() -> Self {
        Self { left: CREDIT_MAX, rests: None, spent: false }
    }

    fn take(&mut self, took: Duration) {
        self.spent |= took > self.left;
        self.left = self.left.saturating_sub(took);
    }

    fn rests(&mut self) {
        self.rests = Some(Instant::now());
    }

    /// It has rested until then, or until now. What it gets back counts once it is worth it: else one that rests for an instant stands among
    /// the others.
    fn rested(&mut self, until: Option<Instant>) {
        let Some(since) = self.rests.take() else { return };
        let rested = until.unwrap_or_else(Instant::now).saturating_duration_since(since);
        self.left = (self.left + rested / CREDIT_PART).min(CREDIT_MAX);
        self.spent &= self.left < CREDIT_MAX / 2;
    }
}

/// The place of one guest in the line.
struct Place {
    slots: Arc<Semaphore>,
    waits: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
    /// Its turn, from when it comes until it was taken: meanwhile it stands among the others.
    slot: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn of(slots: &Arc<Semaphore>) -> Self {
        Self { slots: Arc::clone(slots), waits: None, slot: None }
    }

    /// Ready when it is its turn, and it has stood among the others since then.
    fn comes(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let enters = self.slot.is_none() && self.waits.is_none();
        ready!(self.enters(context));
        if enters {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Stands in line, from where it comes to stand among the others.
    fn enters(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.slot.is_none() {
            let slots = &self.slots;
            let waits = self.waits.get_or_insert_with(|| {
                let slots = Arc::clone(slots);
                // It is never closed; if it were, nobody would have to wait.
                Box::pin(async move { slots.acquire_owned().await.ok() })
            });
            self.slot = ready!(waits.as_mut().poll(context));
            self.waits = None;
        }
        Poll::Ready(())
    }

    /// It took its turn, or goes without: whoever stands first in line is next.
    fn leave(&mut self) {
        (self.waits, self.slot) = (None, None);
    }
}

/// Wakes a task; while its guest is polled it remembers that instead, for then the guest does not rest, and may have to stand in line first.
struct Woken {
    waker: Waker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    polled: bool,
    at: Option<Instant>,
}

impl Woken {
    fn of(waker: &Waker) -> Self {
        Self { waker: waker.clone(), state: Mutex::default() }
    }

    /// When it was woken first since its guest was polled last.
    fn at(&self) -> Option<Instant> {
        self.state.lock().at
    }

    /// Its guest is polled now.
    fn begins(&self) {
        *self.state.lock() = State { polled: true, at: None };
    }

    /// Whether it was woken meanwhile: the task was not.
    fn ends(&self) -> bool {
        let mut state = self.state.lock();
        state.polled = false;
        state.at.is_some()
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled = {
            let mut state = self.state.lock();
            state.at.get_or_insert_with(Instant::now);
            state.polled
        };
        if !polled {
            self.waker.wake_by_ref();
        }
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

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
            computes_at_once(*took);
            yields().await;
        }
    }

    fn computes_at_once(took: Duration) {
        let until = executed() + took;
        while executed() < until {}
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

    /// Of a crowd on one thread, each computes `turns` times, ends its turn by what `rests` gives, and tells when it began one.
    async fn waits_behind<R: Future<Output = ()> + Send + 'static>(rests: fn() -> R) -> usize {
        const CROWD: usize = 20;
        let (turns, begun) = (Arc::new(Turns::of(1)), Arc::new(AtomicUsize::new(0)));
        let little = Arc::new(Notify::new());
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let (turns, begun, little) = (Arc::clone(&turns), Arc::clone(&begun), Arc::clone(&little));
                tokio::spawn(async move {
                    let guest = async move {
                        for _ in 0..3 {
                            // All have had one turn then, and spent what they had.
                            if begun.fetch_add(1, Ordering::SeqCst) == CROWD {
                                little.notify_one();
                            }
                            computes_at_once(CREDIT_MAX * 2);
                            rests().await;
                        }
                    };
                    turns.taken(guest, LONG, || ()).await;
                })
            })
            .collect();
        let waited = tokio::spawn({
            let (turns, begun) = (Arc::clone(&turns), Arc::clone(&begun));
            async move {
                let guest = async {
                    little.notified().await;
                    begun.load(Ordering::SeqCst) - CROWD
                };
                turns.taken(guest, LONG, || ()).await
            }
        });
        let waited = waited.await.unwrap();
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(begun.load(Ordering::SeqCst), CROWD * 3, "all go on");
        waited
    }

    #[tokio::test]
    async fn whoever_does_little_waits_for_a_turn_or_two_of_those_that_compute_without_end_and_not_for_one_of_each() {
        let waited = waits_behind(yields).await;
        assert!(waited <= 2, "{waited}");
    }

    #[tokio::test]
    async fn whoever_rests_for_an_instant_after_each_turn_stands_in_line_as_well() {
        // On another thread's time, as a timer of the kernel: that of a busy thread comes late.
        async fn instant() {
            let (wakes, woken) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1));
                let _ = wakes.send(());
            });
            woken.await.unwrap();
        }
        let waited = waits_behind(instant).await;
        assert!(waited <= 2, "{waited}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crowd_on_some_threads_goes_on_to_its_end_however_its_guests_wake_and_end_each_other() {
        let turns = Arc::new(Turns::of(2));
        let crowd = (0..64).map(|number| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let guest = async {
                    for turn in 0..20_u32 {
                        computes_at_once(CREDIT_MAX / 4);
                        match (number + turn) % 3 {
                            0 => yields().await,
                            1 => tokio::time::sleep(Duration::from_micros(50)).await,
                            _ => tokio::task::yield_now().await,
                        }
                    }
                };
                // A quarter of them is ended where it stands.
                let patience = if number % 4 == 0 { Duration::from_millis(20) } else { LONG };
                let _ = tokio::time::timeout(patience, turns.taken(guest, LONG, || ())).await;
            })
        });
        for one in crowd.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(turns.slots.available_permits(), 2);
    }

    #[test]
    fn a_turn_counts_by_what_was_executed_and_a_little_of_what_was_waited_for() {
        let ms = Duration::from_millis;
        assert_eq!(counted(ms(3), ms(3)), ms(3));
        assert_eq!(counted(WAITS_MAX / 2, Duration::ZERO), WAITS_MAX / 2);
        assert_eq!(counted(ms(400), ms(1)), ms(1) + WAITS_MAX, "the machine executed something else");
    }

    #[test]
    fn what_a_guest_may_take_at_once_comes_back_while_it_rests_and_is_bounded() {
        let mut credit = Credit::full();
        credit.take(CREDIT_MAX);
        assert!(!credit.spent);
        credit.take(CREDIT_MAX);
        assert!(credit.spent);
        let rested = |credit: &mut Credit, part: u32| {
            credit.rests = Some(Instant::now() - CREDIT_MAX * CREDIT_PART / part);
            credit.rested(None);
        };
        rested(&mut credit, 4);
        assert!(credit.spent, "too little to be worth it");
        rested(&mut credit, 4);
        assert!(!credit.spent);
        for _ in 0..4 {
            rested(&mut credit, 1);
        }
        assert_eq!(credit.left, CREDIT_MAX);
    }
}
