//! Calls that a worker has answered by itself, as they cross. What holds more than a batch may is no frame at all, so that a worker cannot have the
//! kernel process make room for it; it is taken apart here and believed nowhere.

use std::fmt;

use agentry_store::limits::{QUICK_CALLS_MAX, QUICK_CALLS_MAX_BYTES};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::port::Quick;

/// In the order in which the guest made them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    calls: Vec<Quick>,
    bytes: usize,
}

impl Batch {
    /// One more; given back if there is no room for it.
    ///
    /// # Errors
    /// The call, which is to be passed.
    pub fn push(&mut self, quick: Quick) -> Result<(), Quick> {
        let bytes = self.bytes.saturating_add(quick.call.bytes());
        if self.calls.len() >= QUICK_CALLS_MAX || bytes > QUICK_CALLS_MAX_BYTES {
            return Err(quick);
        }
        self.bytes = bytes;
        self.calls.push(quick);
        Ok(())
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl IntoIterator for Batch {
    type Item = Quick;
    type IntoIter = std::vec::IntoIter<Quick>;

    fn into_iter(self) -> Self::IntoIter {
        self.calls.into_iter()
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.calls.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Bounded)
    }
}

/// Reads no more than a batch may hold.
struct Bounded;

impl<'de> Visitor<'de> for Bounded {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of calls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut calls: A) -> Result<Batch, A::Error> {
        let mut batch = Batch::default();
        while let Some(quick) = calls.next_element()? {
            batch.push(quick).map_err(|_| Error::custom("more than a batch may hold"))?;
        }
        Ok(batch)
    }
}
