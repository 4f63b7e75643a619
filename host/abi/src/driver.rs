//! What a driver is given and gives back: the answer and its true cost, or the batch that the gate commits with the entry that tells of it.
//! Plain data; nothing here acts.

use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::Call;
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::Bar;
use agentry_store::Batch;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::bindings::agentry::agent::types::Error;

/// What makes a repeated request the same one, for a server that looks at it (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A call that policy let through and that a driver's own guard did not.
#[derive(Clone, Debug)]
pub struct Barred {
    /// The call.
    pub what: Call,
    /// What was in its way.
    pub bar: Bar,
}

/// What an act gave and what it cost.
#[derive(Debug)]
pub struct Completed<T, E = Error> {
    /// The answer that the guest gets.
    pub result: Result<T, E>,
    /// The true cost. What was held beyond it goes back.
    pub spent: Amounts,
    /// The labels of what the answer tells, beside those that policy gives the place: the run gains them before it sees it.
    pub labels: Labels,
    /// Who keeps less in files than before, and how much.
    pub freed: Vec<(String, u64)>,
    /// What a run below this one took of its accounts already: it is written down as this call's, and not taken again.
    pub below: Amounts,
    /// For the admin alone: what somebody outside said of it.
    pub note: Option<String>,
    /// What the driver's own guard found in its way: then nothing was done, and the call counts as refused.
    pub barred: Option<Box<Barred>>,
}

impl<T, E> Completed<T, E> {
    /// An answer that tells of nothing that is labelled.
    pub fn of(result: Result<T, E>, spent: Amounts) -> Self {
        Self { result, spent, labels: Labels::NONE, freed: Vec::new(), below: Amounts::ZERO, note: None, barred: None }
    }

    /// The same act, with what the admin is to know of it.
    #[must_use]
    pub fn noting(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    /// The same act, if something of the host was in its way.
    #[must_use]
    pub fn barred(self, barred: Option<Barred>) -> Self {
        Self { barred: barred.map(Box::new), ..self }
    }

    /// The same act, which changed what agents keep in files.
    #[must_use]
    pub fn keeping(self, kept: Kept) -> Self {
        Self { spent: self.spent.with(Resource::Storage, kept.grown), freed: kept.freed, ..self }
    }

    /// The same answer, which tells of something that has these labels.
    #[must_use]
    pub fn labelled(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }
}

/// What a guest is told: written down as it is, and read again when its run is executed again.
pub trait Recordable: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Recordable for T {}

/// What a change does to what agents keep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes that the agent keeps more.
    pub grown: u64,
    /// Who keeps less, and how much.
    pub freed: Vec<(String, u64)>,
}

/// What a write would do, and what its answer tells.
#[derive(Debug)]
pub struct Write<T> {
    /// The batch to commit and the answer that the guest gets then.
    pub result: Result<(Batch, T), Error>,
    /// The labels of what the answer tells, a no included: the version of an entry tells of what stood there before.
    pub labels: Labels,
}

impl<T> From<Result<(Batch, T), Error>> for Write<T> {
    /// A write whose answer tells of nothing that is labelled.
    fn from(result: Result<(Batch, T), Error>) -> Self {
        Self { result, labels: Labels::NONE }
    }
}

/// Bytes as an answer: the same in the journal as a list of bytes, encoded at once instead of one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Bytes).map(Self)
    }
}
