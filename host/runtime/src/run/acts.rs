//! How many acts of a run are in flight. It knows nothing of what they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the acts of a run, so that its end can wait for the last one.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    count: AtomicUsize,
    idle: Notify,
}

/// One act, until it is dropped.
#[derive(Debug)]
pub(crate) struct OngoingAct(Arc<Acts>);

impl Acts {
    pub(crate) fn begin(acts: &Arc<Self>) -> OngoingAct {
        acts.count.fetch_add(1, Ordering::AcqRel);
        OngoingAct(Arc::clone(acts))
    }

    /// How many are in flight.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns when no act is in flight.
    pub(crate) async fn idle(&self) {
        loop {
            let mut notified = std::pin::pin!(self.idle.notified());
            notified.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for OngoingAct {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
