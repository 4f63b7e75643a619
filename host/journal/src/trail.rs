//! One run's end of the journal: how far the disk is behind, and whether something was lost.

use std::future::{Future, poll_fn};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use agentry_kernel::call::RunId;
use agentry_store::StoreError;
use futures::task::AtomicWaker;

use super::{BACKLOG_MAX_BYTES, PACE_BYTES};

/// See [`super`]: it bounds the memory that a run's journal takes.
#[derive(Debug)]
pub struct Trail {
    run: RunId,
    unwritten: AtomicUsize,
    lost: OnceLock<StoreError>,
    closed: AtomicBool,
    caught_up: AtomicWaker,
}

impl Trail {
    /// Of a run of which nothing is written yet.
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            unwritten: AtomicUsize::new(0),
            lost: OnceLock::new(),
            closed: AtomicBool::new(false),
            caught_up: AtomicWaker::new(),
        }
    }

    /// Whose it is.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Its run leaves memory: nothing that happens to it from now on is written.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// True once its run has left memory.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why nothing more of this run can be written, if so.
    pub fn broken(&self) -> Option<StoreError> {
        self.lost.get().cloned()
    }

    /// True if something of the run was lost: it is over then.
    pub fn is_broken(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Bytes that are in memory only.
    pub fn backlog(&self) -> usize {
        self.unwritten.load(Ordering::Acquire)
    }

    /// True if the run must be told to come back.
    pub fn is_full(&self) -> bool {
        self.backlog() > BACKLOG_MAX_BYTES
    }

    /// So much more waits for the disk.
    pub fn wrote(&self, bytes: usize) {
        self.unwritten.fetch_add(bytes, Ordering::AcqRel);
    }

    /// So much has reached the disk, or never will.
    pub fn written(&self, bytes: usize, result: &Result<(), StoreError>) {
        if let Err(error) = result {
            // The first loss is the reason; later ones follow from it.
            let _ = self.lost.set(error.clone());
        }
        self.unwritten.fetch_sub(bytes, Ordering::AcqRel);
        self.caught_up.wake();
    }

    /// Polls `guest` only while the disk keeps up with what it causes to be written. Used by one future at a time.
    pub async fn paced<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        poll_fn(|context| {
            if self.backlog() > PACE_BYTES {
                self.caught_up.register(context.waker());
                if self.backlog() > PACE_BYTES {
                    return Poll::Pending;
                }
            }
            guest.as_mut().poll(context)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guest_that_outruns_the_disk_is_held_back() {
        let trail = std::sync::Arc::new(Trail::new(RunId(1)));
        trail.wrote(PACE_BYTES + 1);
        let guest = tokio::spawn({
            let trail = std::sync::Arc::clone(&trail);
            async move { trail.paced(async { "polled" }).await }
        });
        tokio::task::yield_now().await;
        assert!(!guest.is_finished());
        trail.written(PACE_BYTES, &Ok(()));
        assert_eq!(guest.await.ok(), Some("polled"));
    }
}
