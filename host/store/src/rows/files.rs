//! Who keeps which file of a root, and how much, as it stands in the store: under the digest of where the file lies.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Key, Store, StoreError, Value, keys};

/// The version byte of a row.
const FORMAT: u8 = 1;

/// What stands in the store of one file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it lies, for people: the key is a digest.
    pub place: String,
    /// Agents and how many bytes each keeps. One, but while the file is written, or when a host died then.
    pub owners: Vec<(String, u64)>,
}

impl Row {
    /// The bytes that this agent keeps.
    pub fn of(&self, agent: &str) -> u64 {
        let own = self.owners.iter().filter(|(owner, _)| owner == agent);
        own.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// As it is stored.
    pub fn encode(&self) -> Value {
        postcard::to_extend(self, vec![FORMAT]).expect("a row has no part that cannot be encoded, and memory grows")
    }
}

/// Who keeps a file, and how much, of a row of the store; nobody, if it does not decode.
pub fn owners(row: &[u8]) -> Vec<(String, u64)> {
    decode(row).map(|row| row.owners).unwrap_or_default()
}

/// The key of what lies at this absolute path.
pub fn key(place: &str) -> Key {
    keys::file_usage(&Sha256::digest(place.as_bytes()).into())
}

/// The row of this key; an empty one if there is none.
///
/// # Errors
/// When the store cannot be read or the row does not decode.
pub fn read(store: &dyn Store, key: &Key) -> Result<Row, StoreError> {
    store.get(key)?.as_deref().map_or(Ok(Row::default()), decode)
}

fn decode(bytes: &[u8]) -> Result<Row, StoreError> {
    let damaged = || StoreError::Damaged { why: "the owner of a file that does not decode".to_owned() };
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}
