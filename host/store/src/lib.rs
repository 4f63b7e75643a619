//! What outlives the host: a transactional, ordered key-value space. It knows bytes and nothing of their meaning.
//!
//! A batch takes its place in the order of commits at the moment [`Store::commit`] is called, not when the future is
//! first polled; dropping the future does not take it back. Batches are applied in that order, each whole or not at all.

pub mod content;
pub mod disk;
mod doomed;
mod fence;
pub mod ids;
pub mod keyed_mutex;
pub mod keys;
mod lease;
pub mod limits;
mod redb;
pub mod rows;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use self::doomed::DoomedContents;
pub use self::fence::FencedStore;
pub use self::redb::compact::{Compacted, compact};
pub use self::redb::{RedbStore, StoreReader};

/// A key, its prefix letter included: a namespace and a name of 1 KiB each, and what stands around them.
pub const KEY_MAX_BYTES: usize = 4 * 1024;

/// A value: the largest thing a guest can hand over in one call, with room to spare.
pub const VALUE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What may wait to be written. Callers are held back long before (`journal::Trail`), so this is for a disk that hangs.
pub const QUEUE_MAX_BYTES: usize = 512 * 1024 * 1024;

/// A key.
pub type Key = Vec<u8>;
/// A value.
pub type Value = Vec<u8>;
/// A key with its value.
pub type Row = (Key, Value);

/// What must hold for a batch to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent,
    /// The key has exactly this value.
    Equals(Value),
    /// The same of the row of a host: if not, a later epoch of it has begun, and the batch is [`StoreError::Fenced`].
    Epoch(Value),
}

/// Writes that happen together or not at all. An empty one is a barrier: it is answered after all before it.
#[derive(Default)]
pub struct Batch {
    /// Checked in the transaction, against all batches before this one.
    pub expect: Vec<(Key, Expect)>,
    /// In order; none removes the key.
    pub writes: Vec<Write>,
    /// Written where the key has no value yet: contents, whose names say what they are.
    pub contents: Vec<Row>,
    /// Writes that are known only when the batch's turn has come.
    pub late: Option<Deferred>,
    /// Called by the writer when the batch has been committed or has failed, before its future is answered.
    /// Not called by a store that was opened to be read.
    pub on_commit: Option<OnCommit>,
}

/// One write; none removes the key.
pub type Write = (Key, Option<Value>);

/// Writes that depend on what all batches before have written. The writer asks for them when it has come to the batch and all that the
/// batch expects holds; if the transaction fails then, so does the batch.
pub struct Deferred {
    /// At most so many, keys and values.
    pub bytes: usize,
    /// Gives them. Must return at once.
    pub writes: Box<dyn FnOnce() -> Vec<Write> + Send>,
}

/// Told how a batch ended. Must return at once.
pub type OnCommit = Box<dyn FnOnce(&Result<(), StoreError>) + Send>;

impl Batch {
    /// Also writes this.
    pub fn put(&mut self, key: Key, value: Value) {
        self.writes.push((key, Some(value)));
    }

    /// Also writes this, unless it is there.
    pub fn put_new(&mut self, key: Key, value: Value) {
        self.contents.push((key, value));
    }

    /// Also removes this.
    pub fn remove(&mut self, key: Key) {
        self.writes.push((key, None));
    }

    /// Only if this holds.
    pub fn expect(&mut self, key: Key, expect: Expect) {
        self.expect.push((key, expect));
    }

    /// Bytes of all keys and values.
    pub fn size(&self) -> usize {
        let writes = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let expects = self.expect.iter().map(|(key, expect)| match expect {
            Expect::Absent => key.len(),
            Expect::Equals(value) | Expect::Epoch(value) => key.len() + value.len(),
        });
        let contents = self.contents.iter().map(|(key, value)| key.len() + value.len());
        let late = self.late.as_ref().map_or(0, |late| late.bytes);
        writes.chain(expects).chain(contents).sum::<usize>() + late
    }

    /// The first key or value that is over its maximum.
    fn too_large(&self) -> Option<StoreError> {
        let over = |what, bytes: usize, max| (bytes > max).then_some(StoreError::TooLarge { what, bytes, max });
        let expects = self.expect.iter().map(|(key, _)| over("key", key.len(), KEY_MAX_BYTES));
        let writes = self.writes.iter().map(|(key, value)| {
            let bytes = value.as_ref().map_or(0, Vec::len);
            over("key", key.len(), KEY_MAX_BYTES).or_else(|| over("value", bytes, VALUE_MAX_BYTES))
        });
        let contents = self.contents.iter().map(|(key, value)| {
            over("key", key.len(), KEY_MAX_BYTES).or_else(|| over("value", value.len(), VALUE_MAX_BYTES))
        });
        expects.chain(writes).chain(contents).flatten().next()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.writes.len() + self.contents.len();
        write!(f, "Batch({} expectations, {writes} writes, {} bytes)", self.expect.len(), self.size())
    }
}

/// Keys from `from` up to but without `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub from: Key,
    /// Behind the last.
    pub to: Key,
    /// True to begin at the end.
    pub reverse: bool,
}

impl Range {
    /// All keys that begin with `prefix`.
    pub fn of(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while to.last() == Some(&u8::MAX) {
            to.pop();
        }
        match to.last_mut() {
            Some(last) => *last += 1,
            None => to = vec![u8::MAX; KEY_MAX_BYTES],
        }
        Self { from: prefix.to_vec(), to, reverse: false }
    }

    /// The same, from its end.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    /// What of it lies behind `key`.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut from = key.to_vec();
        from.push(0);
        self.from = self.from.max(from);
        self
    }

    /// What of it is left to be read once `key` was, in its own direction.
    #[must_use]
    pub fn beyond(mut self, key: &[u8]) -> Self {
        if !self.reverse {
            return self.after(key);
        }
        self.to = self.to.min(key.to_vec());
        self
    }
}

/// How much a scan may give at once; the first row is given whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows.
    pub rows: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

impl Page {
    /// Of what is read in parts to its end.
    pub const PART: Self = Self { rows: 256, bytes: 4 * 1024 * 1024 };
}

/// The transactional key-value space that everything durable stands in.
pub trait Store: Send + Sync {
    /// Takes the batch into the order of commits now, and tells when it is durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] or [`StoreError::Fenced`] if an expectation did not hold: the first one says which. Nothing of this batch was
    /// written then, whatever the error is.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The value of a key, as the last commit left it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError>;

    /// Whether a key has a value, without copying it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(key)?.is_some())
    }

    /// The values of several keys, each as [`Store::get`] gives it, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Rows of a range, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError>;

    /// What the rows of a range take; of a long one, those of its beginning.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        measure_by_reading(self, range)
    }

    /// All rows as they stand now, to be read while others write. Room that writers free meanwhile is not used again before it is let go of.
    ///
    /// # Errors
    /// When the store cannot be read, or is of a kind that has no such view.
    fn snapshot(&self) -> Result<Arc<dyn Store>, StoreError> {
        Err(StoreError::no_view())
    }
}

/// What rows take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// How many there are.
    pub rows: u64,
    /// Their keys and values.
    pub bytes: u64,
    /// What has not been looked at; none if all of it was.
    pub rest: Option<Range>,
}

/// What the rows of a range take, of those of its beginning that one part has: for stores that cannot tell without giving them.
///
/// # Errors
/// When the store cannot be read.
pub fn measure_by_reading(store: &(impl Store + ?Sized), range: &Range) -> Result<Measured, StoreError> {
    let mut measured = Measured::default();
    for (key, value) in store.scan(range, Page::PART)? {
        measured.rows += 1;
        measured.bytes += (key.len() + value.len()) as u64;
        measured.rest = Some(range.clone().after(&key));
    }
    Ok(measured)
}

/// What all rows of a range take.
///
/// # Errors
/// When the store cannot be read.
pub fn measure_all(store: &dyn Store, range: Range) -> Result<Measured, StoreError> {
    let (mut all, mut rest) = (Measured::default(), Some(range));
    while let Some(range) = rest {
        let Measured { rows, bytes, rest: left } = store.measure(&range)?;
        (all.rows, all.bytes, rest) = (all.rows + rows, all.bytes + bytes, left);
    }
    Ok(all)
}

/// Every row of a range, from its first, read in parts of [`Page::PART`]: a row is seen as it stands when its part is read. It ends behind
/// the first error.
pub fn scan_all(store: &dyn Store, range: Range) -> impl Iterator<Item = Result<Row, StoreError>> {
    let (mut rest, mut part) = (Some(range), Vec::new().into_iter());
    std::iter::from_fn(move || {
        if part.len() == 0 {
            let range = rest.take()?;
            match store.scan(&range, Page::PART) {
                Ok(rows) => {
                    rest = rows.last().map(|(last, _)| range.beyond(last));
                    part = rows.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
        part.next().map(Ok)
    })
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has it open.
    #[error(
        "another agentry is using {home} (pid {pid})\nhint: wait until it has ended; where several are to run at once, end it and start `agentry serve`, which takes them all; or give this one a home of its own with --home DIR"
    )]
    InUse {
        /// The directory.
        home: String,
        /// The process, as it said itself; `unknown` if it did not.
        pid: String,
    },
    /// It was written by a newer version.
    #[error(
        "the store {path} has format {found}, and this agentry knows formats up to {known}\nhint: use the agentry that wrote it, or a newer one, or another home with --home DIR"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// It is not ours.
    #[error("{path} is not an agentry store\nhint: give a home of its own with --home DIR")]
    Foreign {
        /// The file.
        path: String,
    },
    /// It was there, and nothing of it is left.
    #[error(
        "the store {path} is empty: what agents did, and what they spent, is gone\nhint: put the home back out of a backup: agentry restore BACKUP --to DIR; to begin anew without its past, remove the file"
    )]
    Emptied {
        /// The file.
        path: String,
    },
    /// It cannot be opened or made.
    #[error(
        "cannot open the store {path}: {why}\nhint: the home must be a directory that you can write to; choose another with --home DIR"
    )]
    NotOpened {
        /// The file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// There is no room.
    #[error(
        "the disk of the store is full: nothing of this was written\nhint: make room on the disk of the home directory; the store goes on by itself then"
    )]
    Full,
    /// The disk does not do what it should.
    #[error("the store cannot be written: {why}\nhint: check the disk of the home directory")]
    Io {
        /// What the system says.
        why: String,
    },
    /// What was read makes no sense.
    #[error(
        "the store is damaged: {why}\nhint: put the home back out of a backup: agentry restore BACKUP --to DIR; or choose another with --home DIR"
    )]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// An expectation did not hold.
    #[error("the entry changed since it was read")]
    Conflict,
    /// A later epoch of this host has begun: nothing of this one is written any more.
    #[error(
        "another host has been opened under the name of this one, in the same store: nothing of this one is written any more\nhint: end this one; hosts that are to share a store need a name each"
    )]
    Fenced,
    /// Every number of a host is taken.
    #[error(
        "the store knows as many hosts as it can\nhint: open this one under the name of one that is not used any more"
    )]
    TooManyHosts,
    /// A key or a value is over its maximum.
    #[error("a {what} of {bytes} bytes is over the maximum of {max}")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// The disk does not keep up.
    #[error("the disk does not keep up: {QUEUE_MAX_BYTES} bytes wait to be written")]
    Backlog,
    /// A host has it open, and could not be asked.
    #[error("{why}")]
    Host {
        /// What happened, with its hint.
        why: String,
    },
    /// It was opened to be read.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// It is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// This store is of a kind that has no view of one moment, or is one itself.
    pub fn no_view() -> Self {
        Self::Host { why: "this store has no view of one moment".to_owned() }
    }
}

#[cfg(test)]
mod tests;
