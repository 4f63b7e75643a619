//! Labels of files: what a run wrote carries what the run held, also for agents that come later. They stand in the store, beside the
//! files, by where these really lie: a directory that two roots name has one set of labels.
//!
//! A place only gains labels. Writing over a file or removing it takes none off, and each directory above has them too: a listing tells
//! of what lies below. Only a person or a named rule takes one off.

use std::sync::Arc;

use agentry_kernel::labels::Labels;
use agentry_store::{Batch, Expect, Key, Store, StoreError, Value, keys};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Root;

/// How often a change is tried that others get in the way of.
const TRIES_MAX: usize = 16;

/// The version byte of a row.
const FORMAT: u8 = 1;

/// The labels of all that lies in roots; cheap to clone.
#[derive(Clone)]
pub struct Marks(Arc<dyn Store>);

/// What stands in the store of one place.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// Where it lies, for people: the key is a digest.
    place: String,
    labels: Labels,
}

impl Marks {
    /// In this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The labels of what a read tells of this file or directory. What cannot be read has every label there is.
    pub fn of(&self, root: &Root, path: &str) -> Labels {
        self.labels(&place(root, path)).unwrap_or_else(|_| Labels::every())
    }

    /// Adds labels to a file and to each directory above it. They are on disk when this returns: let the file follow.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn add(&self, root: &Root, path: &str, labels: &Labels) -> Result<(), StoreError> {
        if labels.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES_MAX {
            let mut batch = Batch::default();
            let levels = path.match_indices('/').map(|(end, _)| &path[..end]);
            for level in [path, ""].into_iter().chain(levels) {
                self.change(&place(root, level), &mut batch, |held| held.and(labels))?;
            }
            if batch.writes.is_empty() {
                return Ok(());
            }
            match self.0.commit(batch).await {
                Err(StoreError::Conflict) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict)
    }

    /// The change that takes labels off one place, whose path is absolute; and those that it takes off.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn removal(&self, place: &str, labels: &Labels) -> Result<(Batch, Labels), StoreError> {
        let before = self.labels(place)?;
        let mut batch = Batch::default();
        self.change(place, &mut batch, |held| held.without(labels))?;
        Ok((batch, Labels::of(before.iter().filter(|name| labels.has(name)))))
    }

    fn change(&self, place: &str, batch: &mut Batch, change: impl Fn(&Labels) -> Labels) -> Result<(), StoreError> {
        let key = key(place);
        let old = self.0.get(&key)?;
        let before = old.as_deref().map_or(Ok(Labels::NONE), decode)?;
        let after = change(&before);
        if after != before {
            batch.expect(key.clone(), old.map_or(Expect::Absent, Expect::Equals));
            batch.put(key, encode(&Mark { place: place.to_owned(), labels: after }));
        }
        Ok(())
    }

    fn labels(&self, place: &str) -> Result<Labels, StoreError> {
        self.0.get(&key(place))?.as_deref().map_or(Ok(Labels::NONE), decode)
    }
}

/// Where it lies: absolute, without links.
pub(super) fn place(root: &Root, path: &str) -> String {
    let top = root.lies_at().display();
    if path.is_empty() { top.to_string() } else { format!("{top}/{path}") }
}

fn key(place: &str) -> Key {
    keys::mark(&Sha256::digest(place.as_bytes()).into())
}

fn encode(mark: &Mark) -> Value {
    postcard::to_extend(mark, vec![FORMAT]).expect("a mark has no part that cannot be encoded, and memory grows")
}

fn decode(bytes: &[u8]) -> Result<Labels, StoreError> {
    let damaged = || StoreError::Damaged { why: "labels of a file that do not decode".to_owned() };
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes::<Mark>(rest).map(|mark| mark.labels).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use agentry_store::RedbStore;

    use super::*;
    use crate::files::Files;

    fn secret() -> Labels {
        Labels::of(["secret"])
    }

    fn files(roots: &[(&str, &std::path::Path)]) -> Files {
        let roots = roots.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf()));
        Files::open(&roots.collect()).unwrap()
    }

    #[tokio::test]
    async fn a_file_and_all_above_it_carry_labels_under_whatever_name_the_directory_has() {
        let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let marks = Marks::new(Arc::new(RedbStore::open(home.path()).unwrap()));
        std::fs::create_dir(out.path().join("a")).unwrap();
        let files = files(&[("out", out.path()), ("in", out.path()), ("deep", &out.path().join("a"))]);
        let root = |name: &str| files.find(name).unwrap();
        marks.add(&root("out"), "a/b.txt", &secret()).await.unwrap();
        for (name, path) in [("in", "a/b.txt"), ("deep", "b.txt"), ("out", "a"), ("out", ""), ("deep", "")] {
            assert_eq!(marks.of(&root(name), path), secret(), "{name}:{path}");
        }
        assert_eq!(marks.of(&root("out"), "a/c.txt"), Labels::NONE);
    }

    #[tokio::test]
    async fn a_label_is_taken_off_by_name_and_what_is_damaged_has_every_label() {
        let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
        let marks = Marks::new(Arc::clone(&store));
        let files = files(&[("out", out.path())]);
        let root = files.find("out").unwrap();
        marks.add(&root, "x", &Labels::of(["secret", "untrusted"])).await.unwrap();
        let (batch, taken) = marks.removal(&place(&root, "x"), &Labels::of(["secret", "public"])).unwrap();
        assert_eq!(taken, secret());
        store.commit(batch).await.unwrap();
        assert_eq!(marks.of(&root, "x"), Labels::of(["untrusted"]));
        let mut damaged = Batch::default();
        damaged.put(key(&place(&root, "x")), vec![9]);
        store.commit(damaged).await.unwrap();
        assert_eq!(marks.of(&root, "x"), Labels::every());
    }
}
