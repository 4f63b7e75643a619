//! What stands of a run that has left memory in good order, so that nobody reads its journal before it goes on: what it holds and what
//! brings it back. A run that its host lost has none of it.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Wake;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::store::{Batch, Key, Page, Range, Store, StoreError, keys};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// The row of a run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// The agent on whose books it holds.
    pub payer: String,
    /// What it holds there.
    pub holds: Amounts,
    /// What brings it back; none if it goes on when its host does, or with the run above it.
    pub wake: Option<Wake>,
    /// The agents whose letters do.
    pub readers: Vec<String>,
}

impl Rest {
    /// What such a row says; nothing of a run that has not left memory in good order.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn decode(row: &[u8]) -> Result<Option<Self>, StoreError> {
        if row.is_empty() {
            return Ok(None);
        }
        let rest = row.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        rest.map(Some).ok_or_else(|| StoreError::Damaged { why: "a run that rests and does not decode".to_owned() })
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Of a run; none if it has ended, lives or was lost.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, run: RunId) -> Result<Option<Self>, StoreError> {
        store.get(&keys::open(run))?.map_or(Ok(None), |row| Self::decode(&row))
    }

    /// Where those look for it who bring it back.
    pub fn places(&self, run: RunId) -> Vec<Key> {
        let Some(wake) = self.wake else { return Vec::new() };
        let readers = self.readers.iter().map(|agent| keys::reader(agent, run));
        readers.chain([keys::wake(wake.at, run)]).collect()
    }
}

/// Puts into the batch that brings a run back at once, or the one above it with which it goes on, if it rests. The batch holds only while that is so.
///
/// # Errors
/// When the store cannot be read.
pub fn hasten(store: &dyn Store, run: RunId, batch: &mut Batch) -> Result<(), StoreError> {
    let mut next = Some(run);
    while let Some(run) = next {
        let key = keys::open(run);
        let Some(row) = store.get(&key)? else { return Ok(()) };
        let rest = Rest::decode(&row)?;
        batch.expect(key, crate::store::Expect::Equals(row));
        match rest {
            Some(Rest { wake: Some(_), .. }) => {
                batch.put(keys::wake(Millis(0), run), Vec::new());
                return Ok(());
            }
            Some(Rest { wake: None, .. }) => {
                next = super::record::of(store, run)?.and_then(|record| record.parent.map(|(above, _)| above))
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

/// True if a run of this agent rests until a letter comes.
///
/// # Errors
/// When the store cannot be read.
pub fn reads(store: &dyn Store, agent: &str) -> Result<bool, StoreError> {
    Ok(!store.scan(&Range::of(&keys::readers(agent)), Page { rows: 1, bytes: 1 })?.is_empty())
}
