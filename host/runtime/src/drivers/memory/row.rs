//! An entry as it stands in the store: a version byte, the head, then the value as it is.

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::{LABEL_MAX_BYTES, LABELS_MAX};
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::gate::fault;
use crate::store::{StoreError, keys};
use crate::syscalls::bindings::agentry::agent::memory::{Entry, Value};
use crate::syscalls::bindings::agentry::agent::types::Error;

/// The length of a text in a row, at most.
pub(super) const LENGTH_MAX_BYTES: usize = 3;

/// What stands in a row besides its author, its tags and its value, at most: numbers and all labels that there can be.
pub(super) const HEAD_MAX_BYTES: usize = 64 + LABELS_MAX * (LABEL_MAX_BYTES + LENGTH_MAX_BYTES);

/// 2 knows labels.
const FORMAT: u8 = 2;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The last version that there was.
    pub(super) version: u64,
    /// Of every run that wrote here: a version tells of those before it, and an entry that is gone tells that somebody removed it.
    pub(super) labels: Labels,
    /// None once it was deleted.
    pub(super) live: Option<Live>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) kind: Kind,
    pub(super) author: String,
    pub(super) run: RunId,
    pub(super) written: Millis,
    pub(super) expires: Option<Millis>,
    pub(super) tags: Vec<String>,
    pub(super) indexed: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Text,
    Json,
    Bytes,
}

impl Live {
    pub(super) fn stands(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

pub(super) fn kind(value: &Value) -> Kind {
    match value {
        Value::Text(_) => Kind::Text,
        Value::Json(_) => Kind::Json,
        Value::Bytes(_) => Kind::Bytes,
    }
}

pub(super) fn body(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) | Value::Json(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
    }
}

pub(super) fn encode(row: &Row, body: &[u8]) -> Vec<u8> {
    let head = postcard::to_extend(row, vec![FORMAT]);
    let mut bytes = head.expect("a row has no part that cannot be encoded, and memory grows");
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Row, &[u8]), Error> {
    let damaged = || fault::stored(&StoreError::Damaged { why: "an entry of memory that does not decode".to_owned() });
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
pub(super) fn author(place: &[u8], row: &[u8]) -> Option<String> {
    let memory = place.starts_with(keys::MEMORY);
    let (Row { live, .. }, _) = decode(row).ok().filter(|_| memory)?;
    Some(live?.author)
}

/// The entry as a guest sees it, with the labels of its place; none if it was deleted or its time is over. And what the answer
/// tells of, the entry or its absence, with the labels of whoever wrote there.
pub(super) fn entry(key: &str, bytes: &[u8], place: &Labels, now: Millis) -> Result<(Option<Entry>, Labels), Error> {
    let (Row { version, labels, live }, body) = decode(bytes)?;
    let Some(live) = live.filter(|live| live.stands(now)) else { return Ok((None, labels)) };
    let text = || String::from_utf8_lossy(body).into_owned();
    let value = match live.kind {
        Kind::Text => Value::Text(text()),
        Kind::Json => Value::Json(text()),
        Kind::Bytes => Value::Bytes(body.to_vec()),
    };
    let entry = Entry {
        key: key.to_owned(),
        value,
        version,
        author: live.author,
        run: live.run.to_string(),
        written_ms: live.written.0,
        labels: labels.and(place).iter().map(str::to_owned).collect(),
        tags: live.tags,
    };
    Ok((Some(entry), labels))
}
