//! Runs that others want begun: commands over the control socket, triggers. A host takes them while it serves; any other takes none.

use std::path::PathBuf;
use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_store::limits::{CONTROL_WATCHERS_MAX, RUNS_ORDERED_MAX};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::exec::errors::RunError;
use crate::run::cause::Began;
use crate::run::events::Observer;

/// One run that is to begin, and who hears of it.
pub struct Order {
    /// The run.
    pub what: What,
    /// Told when it is over, or did not begin; dropped if the host stops before it has begun.
    pub over: oneshot::Sender<Over>,
}

/// The run.
pub struct What {
    /// The component's file.
    pub component: PathBuf,
    /// The input JSON.
    pub input: Vec<u8>,
    /// Who watches it.
    pub observer: Observer,
    /// What started it by itself, if something did.
    pub began: Option<Began>,
}

/// What came of one.
pub type Over = Result<RunId, RunError>;

/// Where a host takes orders.
pub struct Orders {
    open: Mutex<Option<mpsc::Sender<Order>>>,
    watchers: Arc<Semaphore>,
}

/// Why an order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// This host takes none, or none any more.
    NotServing,
    /// So many wait already.
    Full,
}

impl Default for Orders {
    fn default() -> Self {
        Self { open: Mutex::default(), watchers: Arc::new(Semaphore::new(CONTROL_WATCHERS_MAX)) }
    }
}

impl Orders {
    /// From now on orders are taken, and come out here.
    pub fn open(&self) -> mpsc::Receiver<Order> {
        let (sender, receiver) = mpsc::channel(RUNS_ORDERED_MAX);
        *self.open.lock() = Some(sender);
        receiver
    }

    /// From now on none is taken.
    pub fn close(&self) {
        *self.open.lock() = None;
    }

    /// True while this host serves.
    pub fn are_taken(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Hands one in.
    pub fn place(&self, order: Order) -> Result<(), NotTaken> {
        let open = self.open.lock();
        let open = open.as_ref().ok_or(NotTaken::NotServing)?;
        open.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotTaken::Full,
            mpsc::error::TrySendError::Closed(_) => NotTaken::NotServing,
        })
    }

    /// Room for one more who watches; none if there are too many.
    pub fn watch(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watchers).try_acquire_owned().ok()
    }
}
