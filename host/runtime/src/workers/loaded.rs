//! The components that a worker was sent, and which of them it has loaded. It says nothing to a worker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use agentry_kernel::Digest;
use tokio::sync::Notify;

/// Components that were sent to a worker.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) components: HashMap<Digest, Arc<Loading>>,
    /// Bytes of their code, and of those that were forgotten before them, which runs may still be of.
    pub(super) code: (u64, u64),
}

/// A component on its way into a worker.
#[derive(Default)]
pub(super) struct Loading {
    pub(super) result: OnceLock<Result<(), (String, String)>>,
    pub(super) rings: Notify,
    /// Whether the worker has been told of so many others since that it does not have this one.
    forgotten: AtomicBool,
}

impl Loading {
    /// Whether it has to be sent again.
    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::SeqCst)
    }
}

impl Loaded {
    /// Forgets all of them, as the worker does at the next frame. Whoever waits for one has it sent again.
    pub(super) fn forget(&mut self) {
        for (_, loading) in self.components.drain() {
            loading.forgotten.store(true, Ordering::SeqCst);
            loading.rings.notify_waiters();
        }
        self.code = (0, self.code.0);
    }

    /// Whether it is to load one, and has not said that it has.
    pub(super) fn awaits(&self) -> bool {
        self.components.values().any(|loading| loading.result.get().is_none())
    }
}
