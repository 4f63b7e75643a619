//! The store as one epoch of a host writes it: no batch is applied once a later epoch of that host has begun, whoever commits it. It changes nothing else.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::ids::HostEpoch;
use super::rows::host::HostRow;
use super::{Batch, Expect, Key, Measured, Page, Range, Row, Store, StoreError, Value, keys};

/// A store in which every batch expects that its host's epoch still holds, and is answered [`StoreError::Fenced`] if not.
pub struct FencedStore {
    store: Arc<dyn Store>,
    key: Key,
    row: Value,
}

impl FencedStore {
    /// The store for the host of this name, which has taken this epoch.
    pub fn new(store: Arc<dyn Store>, name: &str, at: HostEpoch) -> Self {
        let row = HostRow { name: name.to_owned(), epoch: at.epoch }.encode();
        Self { store, key: keys::host(at.host), row }
    }
}

impl Store for FencedStore {
    fn commit(&self, mut batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        // First, so that what else does not hold is not told instead.
        batch.expect.insert(0, (self.key.clone(), Expect::Epoch(self.row.clone())));
        self.store.commit(batch)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.store.get(key)
    }

    fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        self.store.get_each(keys)
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.store.has(key)
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
        self.store.scan(range, page)
    }

    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        self.store.measure(range)
    }

    fn snapshot(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.store.snapshot()
    }
}
