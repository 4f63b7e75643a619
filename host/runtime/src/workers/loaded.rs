//! The components that a worker was sent, and which of them it has loaded. It says nothing to a worker.

use std::collections::HashMap;
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
}

impl Loaded {
    /// Whether it is to load one, and has not said that it has.
    pub(super) fn awaits(&self) -> bool {
        self.components.values().any(|loading| loading.result.get().is_none())
    }
}
