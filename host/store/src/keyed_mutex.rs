//! Locks by name: those who change one thing that many change go one after the other, instead of getting in each other's way and trying again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// A lock for each thing, by its name; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KeyedMutex(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl KeyedMutex {
    /// Waits until nobody has the lock of this name, and has it until what is returned is dropped. Name what policy names: a lock stays.
    pub async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.0.lock().entry(name.to_owned()).or_default());
        lock.lock_owned().await
    }
}
