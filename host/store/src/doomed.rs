//! Contents that are about to go because nothing names them: whoever writes one once more saves it. It sees each batch of its host in the order of
//! commits, so that none is removed behind a batch that took it for there.

use std::collections::HashSet;
use std::sync::Arc;

use agentry_kernel::digest::Digest;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{Batch, Key, Measured, Page, Range, Row, Store, StoreError, Value, keys};

/// A store in which contents can be doomed. Without any, it changes nothing.
pub struct DoomedContents {
    store: Arc<dyn Store>,
    doomed: Mutex<HashSet<Digest>>,
}

impl DoomedContents {
    /// Over this store.
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, doomed: Mutex::default() }
    }

    /// From now on these are doomed, and no others.
    pub fn doom(&self, contents: HashSet<Digest>) {
        *self.doomed.lock() = contents;
    }

    /// Something names it.
    pub fn spare(&self, content: &Digest) {
        self.doomed.lock().remove(content);
    }

    /// Removes those of these that are still doomed, by this batch.
    pub fn remove(&self, contents: &[Digest], mut batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        // Under the lock: a batch that writes one of them stands before this one, and has saved it, or behind it, and writes it anew.
        let mut doomed = self.doomed.lock();
        contents.iter().filter(|content| doomed.remove(*content)).for_each(|content| batch.remove(keys::blob(content)));
        self.store.commit(batch)
    }
}

impl Store for DoomedContents {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut doomed = self.doomed.lock();
        if !doomed.is_empty() {
            let written = batch.writes.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
            for key in batch.contents.iter().map(|(key, _)| key).chain(written) {
                if key.starts_with(keys::CONTENTS)
                    && let Some(content) = keys::content_of(key)
                {
                    doomed.remove(&content);
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedbStore;
    use crate::content::Content;

    #[tokio::test]
    async fn whoever_writes_a_doomed_content_again_saves_it_before_and_after_it_went() {
        let home = tempfile::tempdir().unwrap();
        let store = DoomedContents::over(Arc::new(RedbStore::open(home.path()).unwrap()));
        let contents = ["one", "two", "three"].map(Content::of);
        let write = |content: &Content| {
            let mut batch = Batch::default();
            batch.put_new(keys::blob(&content.digest), content.bytes.clone());
            store.commit(batch)
        };
        for content in &contents {
            write(content).await.unwrap();
        }
        let digests = contents.each_ref().map(|content| content.digest);
        store.doom(digests.into_iter().collect());
        let before = write(&contents[0]);
        let removed = store.remove(&digests, Batch::default());
        let after = write(&contents[1]);
        for done in [before, removed, after] {
            done.await.unwrap();
        }
        let there = digests.map(|digest| store.has(&keys::blob(&digest)).unwrap());
        assert_eq!(there, [true, true, false]);
    }
}
