//! Memory: namespaces of versioned entries in the store. It reads at once, and gives writes as batches that the gate
//! commits together with their journal entry; it never commits by itself.
//!
//! A version never comes twice, also not after a deletion: what is deleted leaves its version behind, so that nobody who
//! writes with `if-version` mistakes a new entry for the one that was read.

mod json;
mod row;

use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::kernel::Permit;
use agentry_kernel::limits::NAME_MAX_BYTES;
use agentry_kernel::time::Millis;

use self::row::{Live, Row, body, kind};
use crate::gate::fault;
use crate::limits::{
    MEMORY_PAGE_MAX, MEMORY_PAGE_MAX_BYTES, MEMORY_SCAN_MAX, MEMORY_TAG_MAX_BYTES, MEMORY_TAGS_MAX,
    MEMORY_VALUE_MAX_BYTES,
};
use crate::store::{self, Batch, Expect, Range, Store, Value as Bytes, keys};
use crate::syscalls::bindings::agentry::agent::memory::{Entry, Expectation, Page, Value, WriteOptions};
use crate::syscalls::bindings::agentry::agent::types::Error;

const _: () = assert!(2 * NAME_MAX_BYTES + 16 <= store::KEY_MAX_BYTES);

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
    pub fn get(&self, _: &Permit, namespace: &str, key: &str, now: Millis) -> Result<Option<Entry>, Error> {
        check_names(namespace, key)?;
        let Some(bytes) = self.read(&keys::memory(namespace, key))? else { return Ok(None) };
        row::entry(key, &bytes, now)
    }

    /// The batch that writes this value, and the version that it will have.
    ///
    /// # Errors
    /// `invalid` if something is over its maximum or is not the JSON that it says it is; `conflict` if what is expected
    /// does not hold.
    pub fn put(
        &self,
        _: &Permit,
        author: &Author,
        namespace: &str,
        key: &str,
        value: &Value,
        options: &WriteOptions,
    ) -> Result<(Batch, u64), Error> {
        check_names(namespace, key)?;
        check_value(value)?;
        let expires = check_options(options, author.now)?;
        let place = keys::memory(namespace, key);
        let old = self.read(&place)?;
        let (before, current) = standing(old.as_deref(), author.now)?;
        let holds = match options.expect {
            Expectation::Anything => true,
            Expectation::Absent => current.is_none(),
            Expectation::Version(version) => current == Some(version),
        };
        if !holds {
            return Err(Error::Conflict(match current {
                Some(version) => format!("the entry has version {version}"),
                None => "there is no such entry".to_owned(),
            }));
        }
        let version =
            before.checked_add(1).ok_or_else(|| Error::Conflict("the entry has its last version".to_owned()))?;
        let live = Live {
            kind: kind(value),
            author: author.agent.clone(),
            run: author.run,
            written: author.now,
            expires,
            labels: Vec::new(),
            tags: options.tags.clone(),
            indexed: options.indexed,
        };
        let bytes = row::encode(&Row { version, live: Some(live) }, body(value));
        Ok((replace(place, old, bytes), version))
    }

    /// The batch that removes the entry. `hard` will also take it out of history and index, when there are some.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn delete(
        &self,
        _: &Permit,
        author: &Author,
        namespace: &str,
        key: &str,
        _hard: bool,
    ) -> Result<(Batch, ()), Error> {
        check_names(namespace, key)?;
        let place = keys::memory(namespace, key);
        let old = self.read(&place)?;
        let (version, current) = standing(old.as_deref(), author.now)?;
        if current.is_none() {
            return Err(Error::NotFound("there is no such entry".to_owned()));
        }
        let bytes = row::encode(&Row { version, live: None }, b"");
        Ok((replace(place, old, bytes), ()))
    }

    /// Entries in key order, from behind `after`.
    ///
    /// # Errors
    /// `invalid` for a name that cannot be one or a `limit` of 0; `unavailable` if the store cannot be read.
    pub fn list(
        &self,
        _: &Permit,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        now: Millis,
    ) -> Result<Page, Error> {
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
        self.collect(range, keys::memory(namespace, "").len(), limit, now)
    }

    /// Reads rows until the page is full. `head` is the length of what stands before the key itself.
    fn collect(&self, mut range: Range, head: usize, limit: usize, now: Millis) -> Result<Page, Error> {
        let mut page = Page { entries: Vec::new(), next: None };
        let (mut bytes, mut read) = (0, 0);
        while read < MEMORY_SCAN_MAX {
            let part = store::Page { rows: limit - page.entries.len() + 1, bytes: MEMORY_PAGE_MAX_BYTES };
            let rows = self.0.scan(&range, part).map_err(|error| fault::stored(&error))?;
            let Some((last, _)) = rows.last() else {
                page.next = None;
                return Ok(page);
            };
            range = range.after(last);
            for (place, row) in rows {
                let full = page.entries.len() == limit
                    || (!page.entries.is_empty() && bytes + row.len() > MEMORY_PAGE_MAX_BYTES);
                if full {
                    return Ok(page);
                }
                let key = String::from_utf8_lossy(place.get(head..).unwrap_or_default()).into_owned();
                read += 1;
                if let Some(entry) = row::entry(&key, &row, now)? {
                    bytes += row.len();
                    page.entries.push(entry);
                }
                page.next = Some(key);
            }
        }
        Ok(page)
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(key).map_err(|error| fault::stored(&error))
    }
}

/// The last version that there was, and the version that stands now.
fn standing(bytes: Option<&[u8]>, now: Millis) -> Result<(u64, Option<u64>), Error> {
    let Some(bytes) = bytes else { return Ok((0, None)) };
    let (row, _) = row::decode(bytes)?;
    let stands = row.live.as_ref().is_some_and(|live| live.stands(now));
    Ok((row.version, stands.then_some(row.version)))
}

/// Only if nobody else has written in between.
fn replace(key: store::Key, old: Option<Bytes>, new: Bytes) -> Batch {
    let mut batch = Batch::default();
    batch.expect(key.clone(), old.map_or(Expect::Absent, Expect::Equals));
    batch.put(key, new);
    batch
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
