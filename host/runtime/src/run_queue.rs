//! The bounded queue of runs that commands over the control socket and triggers want begun. A host takes from it while it serves; any other
//! host refuses to queue.

use std::path::PathBuf;
use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_store::keyed_mutex::KeyedMutex;
use agentry_store::limits::{CONTROL_WATCHERS_MAX, RUNS_ORDERED_MAX};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::exec::errors::RunError;
use crate::run::cause::Began;
use crate::run::events::Observer;

/// A run in the queue, and who hears of its end.
pub struct QueuedRun {
    /// What is to be run.
    pub request: RunRequest,
    /// Told when it has ended, or did not begin; dropped if the host stops before it has begun.
    pub done: oneshot::Sender<RunOutcome>,
}

/// What is to be run.
pub struct RunRequest {
    /// The component's file.
    pub component: PathBuf,
    /// The input JSON.
    pub input: Vec<u8>,
    /// Who watches it.
    pub observer: Observer,
    /// What started it by itself, if something did.
    pub began: Option<Began>,
    /// Its id, if that stands somewhere already; it is nobody else's.
    pub id: Option<RunId>,
}

/// What came of a request. Not the kernel's [`Outcome`](agentry_kernel::journal::Outcome), which is of a call.
pub type RunOutcome = Result<RunId, RunError>;

/// The queue of a host; closed unless it serves.
pub struct RunQueue {
    open: Mutex<Option<mpsc::Sender<QueuedRun>>>,
    /// Where it comes out, until somebody takes from it.
    waiting: Mutex<Option<mpsc::Receiver<QueuedRun>>>,
    watchers: Arc<Semaphore>,
    /// Of two who order under one key, one after the other.
    keys: KeyedMutex,
}

/// Why a run is not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// This host does not serve, or not any more.
    NotServing,
    /// As many wait as may.
    Full,
}

impl Default for RunQueue {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            waiting: Mutex::default(),
            watchers: Arc::new(Semaphore::new(CONTROL_WATCHERS_MAX)),
            keys: KeyedMutex::default(),
        }
    }
}

impl RunQueue {
    /// Opens it: from now on it keeps what is queued.
    pub fn open(&self) {
        let (sender, receiver) = mpsc::channel(RUNS_ORDERED_MAX);
        (*self.open.lock(), *self.waiting.lock()) = (Some(sender), Some(receiver));
    }

    /// Where what is queued comes out, opened now if it was not.
    pub fn taken(&self) -> mpsc::Receiver<QueuedRun> {
        loop {
            if let Some(receiver) = self.waiting.lock().take() {
                return receiver;
            }
            self.open();
        }
    }

    /// Closes it: from now on nothing is queued.
    pub fn close(&self) {
        *self.open.lock() = None;
    }

    /// True while this host serves.
    pub fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Whoever orders a run under a key is alone with it until what is returned is dropped.
    pub async fn alone(&self, key: &str) -> OwnedMutexGuard<()> {
        // A lock stays, so there are no more of them than that.
        let lock = key.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        self.keys.lock(&lock.to_string()).await
    }

    /// Queues a run.
    ///
    /// # Errors
    /// If it is closed or full.
    pub fn push(&self, run: QueuedRun) -> Result<(), NotQueued> {
        let open = self.open.lock();
        let open = open.as_ref().ok_or(NotQueued::NotServing)?;
        open.try_send(run).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotQueued::Full,
            mpsc::error::TrySendError::Closed(_) => NotQueued::NotServing,
        })
    }

    /// How many runs wait for their turn to begin.
    pub fn waiting(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.max_capacity().saturating_sub(open.capacity()))
    }

    /// Room for one more who watches, when one of them has gone.
    pub async fn watch(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watchers).acquire_owned().await.ok()
    }
}
