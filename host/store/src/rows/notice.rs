//! A notice of an agent to people, as it is stored and listed. Only the newest are kept.

use std::sync::Arc;

use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::limits::NOTICES_KEPT_MAX;
use crate::{Batch, Page, Range, Store, StoreError, keys};

/// The version byte of a stored notice.
const FORMAT: u8 = 1;

const PAGE: Page = Page { rows: 256, bytes: 4 * 1024 * 1024 };

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
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let notice = bytes.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        notice.ok_or_else(|| StoreError::Damaged { why: "a notice that does not decode".to_owned() })
    }
}

/// The newest notices, newest first.
///
/// # Errors
/// When the store cannot be read or one does not decode.
pub fn notices(store: &dyn Store, limit: usize) -> Result<Vec<Notice>, StoreError> {
    let page = Page { rows: limit, bytes: usize::MAX };
    let rows = store.scan(&Range::of(keys::NOTICES).reversed(), page)?;
    rows.iter().map(|(_, row)| Notice::decode(row)).collect()
}

/// Drops all but the newest; how many there are.
pub async fn recover(store: &Arc<dyn Store>) -> Result<usize, StoreError> {
    let mut found = Vec::new();
    let mut range = Range::of(keys::NOTICES);
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { break };
        range = range.after(last);
        found.extend(rows.into_iter().map(|(key, _)| key));
    }
    let old = found.len().saturating_sub(NOTICES_KEPT_MAX);
    let mut batch = Batch::default();
    found.drain(..old).for_each(|key| batch.remove(key));
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok(found.len())
}
