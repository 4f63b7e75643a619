//! Memory: namespaces of versioned entries in the store. It reads at once, and gives writes as batches that the gate
//! commits together with their journal entry; it never commits by itself.
//!
//! A version never comes twice, also not after a deletion: what is deleted leaves its version behind, so that nobody who
//! writes with `if-version` mistakes a new entry for the one that was read.
//!
//! What stands at a key carries the labels of every run that wrote there, and gives them to every run that it tells something:
//! to a reader, and to a writer whose answer is the next version or that it came too late.

mod entry;

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::memory::{Entry, Expectation, Page, Value, WriteOptions};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Write};
use agentry_abi::fault;
use agentry_kernel::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::json;
use agentry_kernel::kernel::Permit;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::NAME_MAX_BYTES;
use agentry_kernel::time::Millis;
use agentry_store::limits::{
    MEMORY_PAGE_MAX, MEMORY_PAGE_MAX_BYTES, MEMORY_SCAN_MAX, MEMORY_TAG_MAX_BYTES, MEMORY_TAGS_MAX,
    MEMORY_VALUE_MAX_BYTES,
};
use agentry_store::rows::memory::{HEAD_MAX_BYTES, LENGTH_MAX_BYTES, Live, Row, decode, encode, owner};
use agentry_store::{Batch, Expect, Range, Store, StoreError, Value as Bytes, keys};

use self::entry::{body, kind};

const _: () = assert!(2 * NAME_MAX_BYTES + 16 <= agentry_store::KEY_MAX_BYTES);

/// The driver; cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<dyn Store>);

/// Who writes, and when by the run's clock.
#[derive(Clone, Debug)]
pub struct Author {
    /// The agent's name.
    pub agent: String,
    /// Its run.
    pub run: RunId,
    /// The run's time.
    pub now: Millis,
}

impl Memory {
    /// Memory in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The entry; none if there is none, or its time is over.
    ///
    /// # Errors
    /// `invalid` for a name that cannot be one; `unavailable` if the store cannot be read.
    pub fn get(&self, permit: &Permit, namespace: &str, key: &str, now: Millis) -> Completed<Option<Entry>> {
        told(self.look_up(permit, namespace, key, now))
    }

    fn look_up(
        &self,
        permit: &Permit,
        namespace: &str,
        key: &str,
        now: Millis,
    ) -> Result<(Option<Entry>, Labels), Error> {
        check_names(namespace, key)?;
        let Some(bytes) = self.read(&keys::memory(namespace, key))? else { return Ok((None, Labels::NONE)) };
        entry::entry(key, &bytes, permit.brings(), now)
    }

    /// The batch that writes this value, and the version that it will have.
    ///
    /// # Errors
    /// `invalid` if something is over its maximum or is not the JSON that it says it is; `conflict` if what is expected
    /// does not hold.
    pub fn put(
        &self,
        permit: &Permit,
        author: &Author,
        (namespace, key): (&str, &str),
        value: &Value,
        options: &WriteOptions,
    ) -> Write<u64> {
        let checked = check_names(namespace, key).and_then(|()| check_value(value));
        let checked = checked.and_then(|()| check_options(options, author.now));
        match checked.and_then(|expires| Ok((expires, self.place(namespace, key, author.now)?))) {
            Ok((expires, place)) => {
                let labels = place.labels.clone();
                Write { result: place.put(permit, author, value, options, expires), labels }
            }
            Err(error) => Err(error).into(),
        }
    }

    /// The most that writing this would add to what the agent keeps. It tells nobody what stands there: it is asked before
    /// the kernel is, and only bounds what the kernel holds.
    ///
    /// # Errors
    /// `unavailable` if the store cannot be read.
    pub fn growth(
        &self,
        agent: &str,
        place: (&str, &str),
        value: &Value,
        options: &WriteOptions,
    ) -> Result<u64, Error> {
        if check_names(place.0, place.1).is_err() {
            return Ok(0);
        }
        let place = keys::memory(place.0, place.1);
        let own = self.read(&place)?.and_then(|row| owner(&place, &row)).filter(|(author, _)| author == agent);
        let tags = options.tags.iter().take(MEMORY_TAGS_MAX).map(|tag| tag.len() + LENGTH_MAX_BYTES).sum::<usize>();
        let row = HEAD_MAX_BYTES + agent.len() + tags + body(value).len();
        let after = u64::try_from(place.len().saturating_add(row)).unwrap_or(u64::MAX);
        Ok(after.saturating_sub(own.map_or(0, |(_, bytes)| bytes)))
    }

    /// The batch that removes the entry. `hard` will also take it out of history and index, when there are some.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn delete(&self, permit: &Permit, author: &Author, (namespace, key): (&str, &str), _hard: bool) -> Write<()> {
        match check_names(namespace, key).and_then(|()| self.place(namespace, key, author.now)) {
            Ok(place) => {
                let labels = place.labels.clone();
                Write { result: place.delete(permit), labels }
            }
            Err(error) => Err(error).into(),
        }
    }

    /// Entries in key order, from behind `after`.
    ///
    /// # Errors
    /// `invalid` for a name that cannot be one or a `limit` of 0; `unavailable` if the store cannot be read.
    pub fn list(
        &self,
        permit: &Permit,
        (namespace, prefix): (&str, &str),
        after: Option<&str>,
        limit: u32,
        now: Millis,
    ) -> Completed<Page> {
        told(self.page(permit.brings(), (namespace, prefix), after, limit, now))
    }

    fn page(
        &self,
        labels: &Labels,
        (namespace, prefix): (&str, &str),
        after: Option<&str>,
        limit: u32,
        now: Millis,
    ) -> Result<(Page, Labels), Error> {
        check_name("namespace", namespace)?;
        for (what, name) in [("prefix", prefix), ("after", after.unwrap_or_default())] {
            if name.len() > NAME_MAX_BYTES {
                return Err(Error::Invalid(format!("{what} is over {NAME_MAX_BYTES} bytes")));
            }
        }
        let limit = usize::try_from(limit).unwrap_or(MEMORY_PAGE_MAX).min(MEMORY_PAGE_MAX);
        if limit == 0 {
            return Err(Error::Invalid("limit is 0".to_owned()));
        }
        let mut range = Range::of(&keys::memory(namespace, prefix));
        if let Some(after) = after {
            range = range.after(&keys::memory(namespace, after));
        }
        self.collect(range, keys::memory(namespace, "").len(), limit, labels, now)
    }

    /// Reads rows until the page is full. `head` is the length of what stands before the key itself.
    fn collect(
        &self,
        mut range: Range,
        head: usize,
        limit: usize,
        everywhere: &Labels,
        now: Millis,
    ) -> Result<(Page, Labels), Error> {
        let mut labels = Labels::NONE;
        let mut page = Page { entries: Vec::new(), next: None };
        let (mut bytes, mut read) = (0, 0);
        while read < MEMORY_SCAN_MAX {
            let part = agentry_store::Page { rows: limit - page.entries.len() + 1, bytes: MEMORY_PAGE_MAX_BYTES };
            let rows = self.0.scan(&range, part).map_err(|error| fault::stored(&error))?;
            let Some((last, _)) = rows.last() else {
                page.next = None;
                return Ok((page, labels));
            };
            range = range.after(last);
            for (place, row) in rows {
                let full = page.entries.len() == limit
                    || (!page.entries.is_empty() && bytes + row.len() > MEMORY_PAGE_MAX_BYTES);
                if full {
                    return Ok((page, labels));
                }
                let key = String::from_utf8_lossy(place.get(head..).unwrap_or_default()).into_owned();
                read += 1;
                let (entry, told) = entry::entry(&key, &row, everywhere, now)?;
                labels = labels.and(&told);
                if let Some(entry) = entry {
                    bytes += row.len();
                    page.entries.push(entry);
                }
                page.next = Some(key);
            }
        }
        Ok((page, labels))
    }

    /// The change by which a person takes labels off an entry; and those that it takes off.
    ///
    /// # Errors
    /// When the store cannot be read, or what stands there does not decode.
    pub fn removal(&self, namespace: &str, key: &str, labels: &Labels) -> Result<(Batch, Labels), StoreError> {
        let place = keys::memory(namespace, key);
        let Some(old) = self.0.get(&place)? else { return Ok((Batch::default(), Labels::NONE)) };
        let (mut row, body) = decode(&old)?;
        let taken = Labels::of(row.labels.iter().filter(|name| labels.has(name)));
        row.labels = row.labels.without(labels);
        let bytes = encode(&row, body);
        let mut batch = Batch::default();
        batch.expect(place.clone(), Expect::Equals(old.clone()));
        batch.put(place, bytes);
        Ok((batch, taken))
    }

    /// What stands at a key and what a new write must build on.
    fn place(&self, namespace: &str, key: &str, now: Millis) -> Result<EntryPlace, Error> {
        let key = keys::memory(namespace, key);
        let old = self.read(&key)?;
        let Some(bytes) = old.as_deref() else {
            return Ok(EntryPlace { key, old, last: 0, current: None, labels: Labels::NONE });
        };
        let (row, _) = decode(bytes).map_err(|error| fault::stored(&error))?;
        let stands = row.live.as_ref().is_some_and(|live| live.stands(now));
        let current = stands.then_some(row.version);
        Ok(EntryPlace { key, last: row.version, current, labels: row.labels, old })
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(key).map_err(|error| fault::stored(&error))
    }
}

/// What stands at a key.
struct EntryPlace {
    key: agentry_store::Key,
    old: Option<Bytes>,
    /// The last version that there was.
    last: u64,
    /// The version that stands now.
    current: Option<u64>,
    labels: Labels,
}

impl EntryPlace {
    fn put(
        self,
        permit: &Permit,
        author: &Author,
        value: &Value,
        options: &WriteOptions,
        expires: Option<Millis>,
    ) -> Result<(Batch, u64), Error> {
        let holds = match options.expect {
            Expectation::Anything => true,
            Expectation::Absent => self.current.is_none(),
            Expectation::Version(version) => self.current == Some(version),
        };
        if !holds {
            return Err(Error::Conflict(match self.current {
                Some(version) => format!("the entry has version {version}"),
                None => "there is no such entry".to_owned(),
            }));
        }
        let last = || Error::Conflict("the entry has its last version".to_owned());
        let version = self.last.checked_add(1).ok_or_else(last)?;
        let live = Live {
            kind: kind(value),
            author: author.agent.clone(),
            run: author.run,
            written: author.now,
            expires,
            tags: options.tags.clone(),
            indexed: options.indexed,
        };
        let row = Row { version, labels: self.labels.and(permit.carries()), live: Some(live) };
        let bytes = encode(&row, body(value));
        Ok((self.replace(bytes), version))
    }

    fn delete(self, permit: &Permit) -> Result<(Batch, ()), Error> {
        let Some(version) = self.current else {
            return Err(Error::NotFound("there is no such entry".to_owned()));
        };
        let row = Row { version, labels: self.labels.and(permit.carries()), live: None };
        let bytes = encode(&row, b"");
        Ok((self.replace(bytes), ()))
    }

    /// Only if nobody else has written in between.
    fn replace(self, new: Bytes) -> Batch {
        let mut batch = Batch::default();
        batch.expect(self.key.clone(), self.old.map_or(Expect::Absent, Expect::Equals));
        batch.put(self.key, new);
        batch
    }
}

/// What was read, with the labels of what it tells of.
fn told<T>(read: Result<(T, Labels), Error>) -> Completed<T> {
    match read {
        Ok((value, labels)) => Completed::of(Ok(value), Amounts::ZERO).labelled(labels),
        Err(error) => Completed::of(Err(error), Amounts::ZERO),
    }
}

fn check_names(namespace: &str, key: &str) -> Result<(), Error> {
    check_name("namespace", namespace)?;
    check_name("key", key)
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_MAX_BYTES {
        return Err(Error::Invalid(format!("a {what} has 1 to {NAME_MAX_BYTES} bytes")));
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), Error> {
    if body(value).len() > MEMORY_VALUE_MAX_BYTES {
        return Err(Error::Invalid(format!("the value is over {MEMORY_VALUE_MAX_BYTES} bytes")));
    }
    match value {
        Value::Json(text) => json::check(text).map_err(|why| Error::Invalid(format!("the value is not JSON: {why}"))),
        Value::Text(_) | Value::Bytes(_) => Ok(()),
    }
}

/// When the entry's time is over, if ever.
fn check_options(options: &WriteOptions, now: Millis) -> Result<Option<Millis>, Error> {
    if options.tags.len() > MEMORY_TAGS_MAX {
        return Err(Error::Invalid(format!("more than {MEMORY_TAGS_MAX} tags")));
    }
    if options.tags.iter().any(|tag| tag.is_empty() || tag.len() > MEMORY_TAG_MAX_BYTES) {
        return Err(Error::Invalid(format!("a tag has 1 to {MEMORY_TAG_MAX_BYTES} bytes")));
    }
    match options.ttl_s {
        Some(0) => Err(Error::Invalid("ttl-s is 0".to_owned())),
        ttl => Ok(ttl.map(|seconds| now.plus(seconds.saturating_mul(1000)))),
    }
}

#[cfg(test)]
mod tests;
