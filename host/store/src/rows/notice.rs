//! A notice of an agent to people, as it is stored and listed. Only the newest are kept.

use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::limits::KEPT_HEAD_BYTES;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{Page, Range, Store, StoreError, keys, scan_all};

/// The version byte of a stored notice.
const FORMAT: u8 = 2;

/// Version 1 did not know who keeps it.
const FORMAT1: u8 = 1;

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub at: Millis,
    /// Whose.
    pub run: RunId,
    /// Which call of it.
    pub call: CallId,
    /// The agent's name.
    pub agent: String,
    /// As the agent wrote it: escape it before it reaches a terminal.
    pub text: String,
}

impl Notice {
    /// As it is stored, on the storage of this agent: its own, or the one that pays for it.
    pub fn encode(&self, owner: &str) -> Vec<u8> {
        postcard::to_extend(&(self, owner), vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// The notice, and who keeps it; one of version 1 is its agent's.
    fn decode(bytes: &[u8]) -> Result<(Self, String), StoreError> {
        let notice = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok(),
            Some((&FORMAT1, rest)) => {
                let notice: Option<Self> = postcard::from_bytes(rest).ok();
                notice.map(|notice| (notice.clone(), notice.agent))
            }
            _ => None,
        };
        notice.ok_or_else(|| StoreError::Damaged { why: "a notice that does not decode".to_owned() })
    }
}

/// Who keeps a notice, and what it takes.
pub fn owner(row: &[u8]) -> Option<(String, u64)> {
    let (notice, owner) = Notice::decode(row).ok()?;
    Some((owner, KEPT_HEAD_BYTES.saturating_add(notice.text.len() as u64)))
}

/// The newest notices, newest first.
///
/// # Errors
/// When the store cannot be read or one does not decode.
pub fn notices(store: &dyn Store, limit: usize) -> Result<Vec<Notice>, StoreError> {
    let page = Page { rows: limit, bytes: usize::MAX };
    let rows = store.scan(&Range::of(keys::NOTICES).reversed(), page)?;
    rows.iter().map(|(_, row)| Notice::decode(row).map(|(notice, _)| notice)).collect()
}

/// How many there are.
///
/// # Errors
/// When the store cannot be read.
pub fn count(store: &dyn Store) -> Result<usize, StoreError> {
    scan_all(store, Range::of(keys::NOTICES)).try_fold(0, |count, row| row.map(|_| count + 1))
}
