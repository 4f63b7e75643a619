//! One turn of a guest on a worker thread. Fuel bounds its own instructions; this bounds what its calls add to them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// How long a guest may keep a worker thread from other runs: several times what its fuel for one turn lasts.
const SLICE_MAX: Duration = Duration::from_millis(10);

/// How long another thread is given to come.
const HANDING_OVER: Duration = Duration::from_millis(1);

/// The run has been stopped or its wall time is over, and the guest goes on calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub(crate) struct Overdue;

/// When the turn began.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    born: OnceLock<Instant>,
    /// Microseconds after `born`.
    began: AtomicU64,
}

impl Slice {
    /// A turn begins.
    pub(crate) fn begin(&self) {
        let now = Instant::now();
        let born = *self.born.get_or_init(|| now);
        self.began.store(micros(born, now), Ordering::Relaxed);
    }

    /// Lets another thread do the worker's other tasks if this turn has lasted too long. The guest goes on meanwhile.
    pub(crate) fn share(&self, now: Instant) {
        let Some(born) = self.born.get() else { return };
        let now = micros(*born, now);
        if Duration::from_micros(now.saturating_sub(self.began.load(Ordering::Relaxed))) <= SLICE_MAX {
            return;
        }
        self.began.store(now, Ordering::Relaxed);
        if Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread) {
            // The worker's tasks are taken over while this thread sleeps, and are not given back before the turn ends.
            tokio::task::block_in_place(|| std::thread::sleep(HANDING_OVER));
        }
    }
}

fn micros(born: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(born).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_go_on_while_a_guest_keeps_calling() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let (done, other_has_run) = std::sync::mpsc::channel();
        let greedy = runtime.spawn(async move {
            let slice = Slice::default();
            slice.begin();
            // On the same worker, and never polled if that is kept.
            tokio::spawn(async move { done.send(()) });
            for _ in 0..1000 {
                slice.share(Instant::now());
                if other_has_run.recv_timeout(Duration::from_millis(5)).is_ok() {
                    return true;
                }
            }
            false
        });
        assert!(runtime.block_on(greedy).expect("it does not panic"), "the other task waits for ever");
    }
}
