//! Which agent owns the bytes of which file: what an agent writes under a root is its storage until it is deleted or somebody writes over
//! it. It stands in the store, beside the files, by where these really lie, so that it outlives hosts and the names of roots.
//!
//! An owner is entered before its file is written, and the owners that it replaces are taken out after: a host that dies in between
//! leaves too much counted, never too little. Changes of one file come one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentry_store::rows::files::{Row, key, read};
use agentry_store::{Batch, Key, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use agentry_abi::driver::Kept;

use super::Root;
use super::marks::place;

/// Who keeps what lies in roots; cheap to clone.
#[derive(Clone)]
pub struct StorageUsage {
    store: Arc<dyn Store>,
    turns: Arc<Mutex<HashMap<Key, Weak<Semaphore>>>>,
}

/// A change of a file on its way: nobody else changes that file meanwhile.
pub struct Change {
    store: Arc<dyn Store>,
    key: Key,
    before: Row,
    agent: String,
    /// What the agent will keep, if it writes.
    bytes: Option<u64>,
    _turn: OwnedSemaphorePermit,
}

impl StorageUsage {
    /// In this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, turns: Arc::default() }
    }

    /// The most that writing so much would add to what the agent keeps. It tells nobody what stands there: it is asked before the
    /// kernel is, and only bounds what the kernel holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn growth(&self, agent: &str, root: &Root, path: &str, length: usize) -> Result<u64, StoreError> {
        let own = read(&*self.store, &key(&place(root, path)))?.of(agent);
        Ok(size(path, length).saturating_sub(own))
    }

    /// Waits until nobody else changes this file; `length` is that of the new content, none if it is deleted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn change(
        &self,
        agent: &str,
        root: &Root,
        path: &str,
        length: Option<usize>,
    ) -> Result<Change, StoreError> {
        let place = place(root, path);
        let key = key(&place);
        let turn = self.turn(&key).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let before = Row { place, ..read(&*self.store, &key)? };
        let bytes = length.map(|length| size(path, length));
        Ok(Change { store: Arc::clone(&self.store), key, before, agent: agent.to_owned(), bytes, _turn: turn })
    }

    fn turn(&self, key: &Key) -> Arc<Semaphore> {
        let mut turns = self.turns.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Semaphore::new(1));
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl Change {
    /// What the agent keeps more once it is done.
    pub fn grows(&self) -> u64 {
        self.bytes.unwrap_or(0).saturating_sub(self.before.of(&self.agent))
    }

    /// Counts the new content beside the old: on disk when this returns, let the file follow.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn begin(&self) -> Result<(), StoreError> {
        let Some(bytes) = self.bytes else { return Ok(()) };
        let own = bytes.max(self.before.of(&self.agent));
        let others = self.before.owners.iter().filter(|(agent, _)| *agent != self.agent);
        self.stand(others.cloned().chain([(self.agent.clone(), own)]).collect(), &self.before.owners).await
    }

    /// The file is as it was to be: the old content counts for nobody any more.
    pub async fn done(self) -> Kept {
        let owners: Vec<_> = self.bytes.into_iter().map(|bytes| (self.agent.clone(), bytes)).collect();
        let grown = self.grows();
        if self.stand(owners, &[]).await.is_err() {
            // What stands in the store is what counts: too much until the file is written again.
            return Kept { grown, freed: Vec::new() };
        }
        let kept = |agent: &String| if *agent == self.agent { self.bytes.unwrap_or(0) } else { 0 };
        let freed = self.before.owners.iter().map(|(agent, bytes)| (agent.clone(), bytes.saturating_sub(kept(agent))));
        Kept { grown, freed: freed.filter(|(_, bytes)| *bytes > 0).collect() }
    }

    /// The file is as it was before.
    pub async fn undone(self) -> Kept {
        let grown = self.grows();
        let undone = match self.bytes {
            Some(_) => self.stand(self.before.owners.clone(), &[]).await,
            None => Ok(()),
        };
        Kept { grown: if undone.is_ok() { 0 } else { grown }, freed: Vec::new() }
    }

    /// Writes the owners down, unless `these` stand there.
    async fn stand(&self, owners: Vec<(String, u64)>, these: &[(String, u64)]) -> Result<(), StoreError> {
        if owners == these && !these.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        if owners.is_empty() {
            batch.remove(self.key.clone());
        } else {
            batch.put(self.key.clone(), Row { place: self.before.place.clone(), owners }.encode());
        }
        self.store.commit(batch).await
    }
}

/// What a file takes: its name counts too, so that empty ones are not free.
fn size(path: &str, length: usize) -> u64 {
    u64::try_from(path.len().saturating_add(length)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use agentry_store::rows::files::owners;
    use agentry_store::{Page, Range, RedbStore, keys};

    use super::*;
    use crate::files::Files;

    struct Place {
        _home: tempfile::TempDir,
        out: tempfile::TempDir,
        files: Files,
        usage: StorageUsage,
    }

    impl Place {
        fn new() -> Self {
            let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let usage = StorageUsage::new(Arc::new(RedbStore::open(home.path()).unwrap()));
            let roots = ["out", "also"].map(|name| (name.to_owned(), out.path().to_path_buf()));
            Self { _home: home, files: Files::open(&roots.into()).unwrap(), out, usage }
        }

        async fn change(&self, agent: &str, root: &str, length: Option<usize>) -> Change {
            self.usage.change(agent, &self.files.find(root).unwrap(), "a", length).await.unwrap()
        }

        async fn write(&self, agent: &str, root: &str, length: usize) -> Kept {
            let change = self.change(agent, root, Some(length)).await;
            change.begin().await.unwrap();
            change.done().await
        }

        fn counted(&self) -> Vec<(String, u64)> {
            let page = Page { rows: 10, bytes: usize::MAX };
            let rows = self.usage.store.scan(&Range::of(keys::FILE_USAGE), page).unwrap();
            rows.iter().flat_map(|(_, row)| owners(row)).collect()
        }
    }

    fn kept(grown: u64, freed: &[(&str, u64)]) -> Kept {
        Kept { grown, freed: freed.iter().map(|(agent, bytes)| ((*agent).to_owned(), *bytes)).collect() }
    }

    #[tokio::test]
    async fn a_file_is_kept_by_whoever_wrote_it_last_under_whatever_name_its_directory_has() {
        let place = Place::new();
        assert_eq!(place.write("scribe", "out", 99).await, kept(100, &[]));
        assert_eq!(place.write("scribe", "also", 149).await, kept(50, &[]));
        assert_eq!(place.write("scribe", "out", 9).await, kept(0, &[("scribe", 140)]));
        assert_eq!(place.write("porter", "also", 4).await, kept(5, &[("scribe", 10)]));
        assert_eq!(place.counted(), [("porter".to_owned(), 5)]);
        let gone = place.change("scribe", "out", None).await;
        gone.begin().await.unwrap();
        assert_eq!(gone.done().await, kept(0, &[("porter", 5)]));
        assert_eq!(place.counted(), []);
        drop(place.out);
    }

    #[tokio::test]
    async fn a_write_that_failed_changes_nothing_and_one_that_broke_off_counts_twice() {
        let place = Place::new();
        place.write("scribe", "out", 9).await;
        let failed = place.change("porter", "out", Some(99)).await;
        failed.begin().await.unwrap();
        assert_eq!(place.counted(), [("scribe".to_owned(), 10), ("porter".to_owned(), 100)]);
        assert_eq!(failed.undone().await, kept(0, &[]));
        assert_eq!(place.counted(), [("scribe".to_owned(), 10)]);
        let lost = place.change("porter", "out", Some(99)).await;
        lost.begin().await.unwrap();
        drop(lost);
        assert_eq!(place.write("porter", "out", 9).await, kept(0, &[("scribe", 10), ("porter", 90)]));
        assert_eq!(place.counted(), [("porter".to_owned(), 10)]);
    }

    #[tokio::test]
    async fn changes_of_one_file_come_one_after_the_other() {
        let place = Place::new();
        let first = place.change("scribe", "out", Some(1)).await;
        let root = place.files.find("also").unwrap();
        let mut second = Box::pin(place.usage.change("porter", &root, "a", Some(1)));
        assert!(futures::poll!(&mut second).is_pending());
        let other = place.usage.change("porter", &root, "b", Some(1));
        assert!(other.await.is_ok(), "another file waits for nobody");
        drop(first);
        assert!(second.await.is_ok());
        assert!(place.usage.turns.lock().len() <= 2, "those that nobody needs are forgotten");
    }
}
