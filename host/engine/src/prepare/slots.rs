//! How many prepare at once: as many as there are cores, and as many more of those that have taken long. So a few components that are made to be
//! slow keep nobody waiting who has a quick one. It ends none of them: their limits do.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::PrepareError;

/// Longer than agents of any usual size take to be compiled.
const LONG: Duration = Duration::from_secs(10);

/// The slots of this process; who asks by one after the other does not wait.
pub(super) static SLOTS: LazyLock<Slots> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Slots::of(cores, LONG)
});

/// Slots of two kinds.
pub(super) struct Slots {
    quick: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// After this, whoever has one of the first kind takes one of the second, when there is one.
    after: Duration,
}

impl Slots {
    fn of(each: usize, after: Duration) -> Self {
        Self { quick: Arc::new(Semaphore::new(each)), long: Arc::new(Semaphore::new(each)), after }
    }

    /// Does this on a thread of its own when there is a slot: a thread that stays until its child has ended, since the child ends with it.
    /// What it asks now and then tells whether somebody waits for it still.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, PrepareError> + Send + 'static,
    ) -> Result<T, PrepareError> {
        let quick = Arc::clone(&self.quick).acquire_owned().await.expect("it is never closed");
        let (long, after) = (Arc::clone(&self.long), self.after);
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("preparing".to_owned()).spawn(move || {
            let (slot, begun) = (Mutex::new(Slot { held: quick, is_long: false }), Instant::now());
            let done = work(&|| {
                if begun.elapsed() >= after {
                    slot.lock().becomes_long(&long);
                }
                !tell.is_closed()
            });
            drop(slot);
            let _ = tell.send(done);
        });
        thread.map_err(|error| PrepareError::Child(error.to_string()))?;
        told.await.unwrap_or_else(|_| Err(PrepareError::Child("its thread has gone".to_owned())))
    }
}

struct Slot {
    held: OwnedSemaphorePermit,
    is_long: bool,
}

impl Slot {
    fn becomes_long(&mut self, long: &Arc<Semaphore>) {
        if !self.is_long
            && let Ok(held) = Arc::clone(long).try_acquire_owned()
        {
            (self.held, self.is_long) = (held, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn whoever_takes_long_keeps_nobody_waiting_who_does_not_and_two_of_them_wait_for_each_other() {
        let slots = Arc::new(Slots::of(1, Duration::from_millis(10)));
        let over = Arc::new(AtomicBool::new(false));
        let long = || {
            let (slots, over) = (Arc::clone(&slots), Arc::clone(&over));
            let work = move |goes_on: &dyn Fn() -> bool| {
                while !over.load(Ordering::SeqCst) && goes_on() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            };
            tokio::spawn(async move { slots.in_turn(work).await })
        };
        let first = long();
        while slots.long.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(slots.in_turn(|_| Ok(7)).await.ok(), Some(7), "the first goes on");
        let second = long();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(slots.quick.available_permits(), 0, "there is one slot for those that take long");
        over.store(true, Ordering::SeqCst);
        assert!(first.await.is_ok_and(|done| done.is_ok()) && second.await.is_ok_and(|done| done.is_ok()));
        assert_eq!((slots.quick.available_permits(), slots.long.available_permits()), (1, 1));
    }
}
