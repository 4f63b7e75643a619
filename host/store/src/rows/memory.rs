//! An entry as it stands in the store: a version byte, the head, then the value as it is.

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::{LABEL_MAX_BYTES, LABELS_MAX};
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{StoreError, keys};

/// The length of a text in a row, at most.
pub const LENGTH_MAX_BYTES: usize = 3;

/// What stands in a row besides its author, its tags and its value, at most: numbers and all labels that there can be.
pub const HEAD_MAX_BYTES: usize = 64 + LABELS_MAX * (LABEL_MAX_BYTES + LENGTH_MAX_BYTES);

/// 2 knows labels.
const FORMAT: u8 = 2;

/// The head of a row; the value stands behind it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The last version that there was.
    pub version: u64,
    /// Of every run that wrote here: a version tells of those before it, and an entry that is gone tells that somebody removed it.
    pub labels: Labels,
    /// None once it was deleted.
    pub live: Option<Live>,
}

/// What is known of an entry that stands.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// What its bytes are.
    pub kind: Kind,
    /// The agent that wrote it last, which keeps it.
    pub author: String,
    /// In which run.
    pub run: RunId,
    /// When, by that run's clock.
    pub written: Millis,
    /// From then on it is gone.
    pub expires: Option<Millis>,
    /// As the agent gave them.
    pub tags: Vec<String>,
    /// Whether it is to be found by its text.
    pub indexed: bool,
}

/// A row as versions before labels wrote it.
#[derive(Deserialize)]
struct Unlabelled {
    version: u64,
    live: Option<LiveUnlabelled>,
}

#[derive(Deserialize)]
struct LiveUnlabelled {
    kind: Kind,
    author: String,
    run: RunId,
    written: Millis,
    expires: Option<Millis>,
    labels: Labels,
    tags: Vec<String>,
    indexed: bool,
}

impl From<Unlabelled> for Row {
    fn from(old: Unlabelled) -> Self {
        let labels = old.live.as_ref().map(|live| live.labels.clone()).unwrap_or_default();
        let live = old.live.map(|live| {
            let LiveUnlabelled { kind, author, run, written, expires, tags, indexed, .. } = live;
            Live { kind, author, run, written, expires, tags, indexed }
        });
        Self { version: old.version, labels, live }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// JSON, checked when it was written.
    Json,
    /// Anything.
    Bytes,
}

impl Live {
    /// True if its time is not over.
    pub fn stands(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// As it is stored: the version, the head, the value.
pub fn encode(row: &Row, body: &[u8]) -> Vec<u8> {
    let head = postcard::to_extend(row, vec![FORMAT]);
    let mut bytes = head.expect("a row has no part that cannot be encoded, and memory grows");
    bytes.extend_from_slice(body);
    bytes
}

/// The head of a row, and the value behind it.
///
/// # Errors
/// When it does not decode.
pub fn decode(bytes: &[u8]) -> Result<(Row, &[u8]), StoreError> {
    let damaged = || StoreError::Damaged { why: "an entry of memory that does not decode".to_owned() };
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::take_from_bytes(rest).map_err(|_| damaged()),
        Some((1, rest)) => {
            let old = postcard::take_from_bytes::<Unlabelled>(rest).map_err(|_| damaged())?;
            Ok((old.0.into(), old.1))
        }
        _ => Err(damaged()),
    }
}

/// Who wrote the row, if something stands in it.
fn author(place: &[u8], row: &[u8]) -> Option<String> {
    let memory = place.starts_with(keys::MEMORY);
    let (Row { live, .. }, _) = decode(row).ok().filter(|_| memory)?;
    Some(live?.author)
}

/// Who keeps a row, and what it takes in the store; nobody keeps what was deleted, or what is no row.
pub fn owner(place: &[u8], row: &[u8]) -> Option<(String, u64)> {
    let (author, bytes) = (author(place, row)?, place.len().saturating_add(row.len()));
    Some((author, u64::try_from(bytes).unwrap_or(u64::MAX)))
}
