//! One run's end of the journal: how far the disk is behind, and whether something was lost.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use agentry_kernel::call::RunId;
use agentry_kernel::journal::FORMAT;
use agentry_store::StoreError;
use futures::task::AtomicWaker;

use super::segment::FORMAT5;
use super::{BACKLOG_MAX_BYTES, PACE_BYTES};

/// See [`super`]: it bounds the memory that a run's journal takes.
#[derive(Debug)]
pub struct Trail {
    run: RunId,
    format: u8,
    unwritten: AtomicUsize,
    lost: OnceLock<StoreError>,
    closed: AtomicBool,
    caught_up: AtomicWaker,
}

impl Trail {
    /// Of a run of which nothing is written yet.
    pub fn new(run: RunId) -> Self {
        Self::of(run, FORMAT)
    }

    /// That of a run whose past lacks contents which an export of an older version left out.
    pub fn lacking(run: RunId) -> Self {
        Self::of(run, FORMAT5)
    }

    fn of(run: RunId, format: u8) -> Self {
        Self {
            run,
            format,
            unwritten: AtomicUsize::new(0),
            lost: OnceLock::new(),
            closed: AtomicBool::new(false),
            caught_up: AtomicWaker::new(),
        }
    }

    /// Whose it is.
    #[inline]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The version in which its segments are written.
    pub(crate) fn format(&self) -> u8 {
        self.format
    }

    /// Its run leaves memory: nothing that happens to it from now on is written.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// True once its run has left memory.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why nothing more of this run can be written, if so.
    pub fn broken(&self) -> Option<StoreError> {
        self.lost.get().cloned()
    }

    /// True if something of the run was lost: it is over then.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Bytes that are in memory only.
    #[inline]
    pub fn backlog(&self) -> usize {
        self.unwritten.load(Ordering::Acquire)
    }

    /// True if the run must be told to come back.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.backlog() > BACKLOG_MAX_BYTES
    }

    /// So much more waits for the disk.
    #[inline]
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

    /// Ready while the disk keeps up with what the run's guest causes to be written: ask before each turn of it. Used by one task at a time.
    pub fn poll_pace(&self, context: &Context<'_>) -> Poll<()> {
        if self.backlog() > PACE_BYTES {
            self.caught_up.register(context.waker());
            if self.backlog() > PACE_BYTES {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_guest_that_outruns_the_disk_is_held_back() {
        let trail = std::sync::Arc::new(Trail::new(RunId(1)));
        trail.wrote(PACE_BYTES + 1);
        let guest = tokio::spawn({
            let trail = std::sync::Arc::clone(&trail);
            async move {
                poll_fn(|context| trail.poll_pace(context)).await;
                "polled"
            }
        });
        tokio::task::yield_now().await;
        assert!(!guest.is_finished());
        trail.written(PACE_BYTES, &Ok(()));
        assert_eq!(guest.await.ok(), Some("polled"));
    }
}
