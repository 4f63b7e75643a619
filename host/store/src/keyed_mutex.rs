//! Locks by name: those who change one thing that many change go one after the other, instead of getting in each other's way and trying again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// A lane for each thing, by its name; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KeyedMutex(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl KeyedMutex {
    /// Waits until whoever is in the lane has left it, and has it until what is returned is dropped. Name what policy names: a lane stays.
    pub async fn enter(&self, name: &str) -> OwnedMutexGuard<()> {
        let lane = Arc::clone(self.0.lock().entry(name.to_owned()).or_default());
        lane.lock_owned().await
    }
}
