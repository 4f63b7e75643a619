//! Long-term and shared memory, as `wit/memory.wit` defines it.

use futures::stream::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::agentry::agent::memory as wit;
use crate::call::Call;
use crate::host;
use crate::types::Error;

pub use wit::{Change, Entry, Expectation, Hit, Page, Query, Value, WriteOptions};

/// Entries that one page of a listing holds at most.
const PAGE_ENTRIES: u32 = 256;

/// A namespace, such as `agent/me/notes`. Naming one asks for nothing; its calls do.
///
/// ```no_run
/// # fn remember() -> Result<(), agentry::Failure> {
/// let notes = agentry::memory::namespace("agent/me/notes");
/// notes.put_json("colour", &"red")?;
/// let colour: Option<String> = notes.get_json("colour")?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn namespace(name: impl Into<String>) -> Namespace {
    Namespace { name: name.into() }
}

/// A namespace by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The entry, or none.
    ///
    /// # Errors
    /// `denied` if the agent may not read here.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        host::quick(|| wit::get(&self.name, key))
    }

    /// What the entry holds, as a type, or none.
    ///
    /// # Errors
    /// `invalid` if the entry is not JSON of this type.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.get(key)?.map(|entry| entry.json()).transpose()
    }

    /// Writes, whatever there was, and gives the new version.
    ///
    /// # Errors
    /// `denied` if the agent may not write here.
    pub fn put_text(&self, key: &str, text: impl Into<String>) -> Result<u64, Error> {
        self.put(key, &Value::Text(text.into()), &WriteOptions::default())
    }

    /// Writes a value as JSON, whatever there was, and gives the new version.
    ///
    /// # Errors
    /// `denied` if the agent may not write here.
    pub fn put_json<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<u64, Error> {
        self.put(key, &json(value)?, &WriteOptions::default())
    }

    /// Writes a value as JSON if there is still the version that was read; 0 for no entry.
    ///
    /// # Errors
    /// `conflict` if there is another version by now.
    pub fn replace_json<T: Serialize + ?Sized>(&self, key: &str, value: &T, version: u64) -> Result<u64, Error> {
        let expect = match version {
            0 => Expectation::Absent,
            version => Expectation::Version(version),
        };
        let options = WriteOptions { expect, ..WriteOptions::default() };
        self.put(key, &json(value)?, &options)
    }

    /// Writes and gives the new version.
    ///
    /// # Errors
    /// `conflict` if what `options` expect does not hold; nothing is written then.
    pub fn put(&self, key: &str, value: &Value, options: &WriteOptions) -> Result<u64, Error> {
        host::quick(|| wit::put(&self.name, key, value, options))
    }

    /// Removes the entry.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        host::quick(|| wit::delete(&self.name, key, false))
    }

    /// Removes the entry and every trace of it in indexes and history.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn purge(&self, key: &str) -> Result<(), Error> {
        host::quick(|| wit::delete(&self.name, key, true))
    }

    /// Entries whose keys begin with `prefix`, in key order, page by page as the iterator is read.
    pub fn list(&self, prefix: impl Into<String>) -> Entries {
        Entries {
            namespace: self.name.clone(),
            prefix: prefix.into(),
            after: None,
            page: Vec::new().into_iter(),
            ended: false,
        }
    }

    /// Earlier versions, newest first.
    ///
    /// # Errors
    /// `denied` if the agent may not read here.
    pub fn history(&self, key: &str) -> Result<Vec<Entry>, Error> {
        host::quick(|| wit::history(&self.name, key))
    }

    /// Writes an earlier version again, as a new one.
    ///
    /// # Errors
    /// `not-found` if there is no such version.
    pub fn rollback(&self, key: &str, version: u64) -> Result<u64, Error> {
        host::quick(|| wit::rollback(&self.name, key, version))
    }

    /// Entries that match best.
    pub fn search(&self, query: &Query) -> Call<Vec<Hit>> {
        host::long(|| wit::search(&self.name, query))
    }

    /// Changes as they happen, from now on.
    ///
    /// # Errors
    /// `denied` if the agent may not read here.
    pub fn watch(&self, prefix: &str) -> Result<impl Stream<Item = Change> + use<>, Error> {
        Ok(host::quick(|| wit::watch(&self.name, prefix))?.into_stream())
    }
}

/// Entries of a listing, read page by page.
#[derive(Debug)]
pub struct Entries {
    namespace: String,
    prefix: String,
    after: Option<String>,
    page: std::vec::IntoIter<Entry>,
    ended: bool,
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            if self.ended {
                return None;
            }
            let after = self.after.take();
            match host::quick(|| wit::list(&self.namespace, &self.prefix, after.as_deref(), PAGE_ENTRIES)) {
                Ok(page) => {
                    self.ended = page.next.is_none();
                    self.after = page.next;
                    self.page = page.entries.into_iter();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Entry {
    /// What the entry holds, as text; none if it holds bytes.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Json(text) => Some(text),
            Value::Bytes(_) => None,
        }
    }

    /// What the entry holds, as a type.
    ///
    /// # Errors
    /// `invalid` if it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let text = self.text().ok_or_else(|| Error::Invalid(format!("entry `{}` holds bytes, not JSON", self.key)))?;
        serde_json::from_str(text).map_err(|error| Error::Invalid(format!("entry `{}`: {error}", self.key)))
    }
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { expect: Expectation::Anything, ttl_s: None, tags: Vec::new(), indexed: true }
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    serde_json::to_string(value).map(Value::Json).map_err(|error| Error::Invalid(format!("value: {error}")))
}
