//! An entry of memory between its row and a guest: what is stored of a value, and what a reader sees of a row.

use agentry_abi::bindings::agentry::agent::memory::{Entry, Value};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_store::rows::memory::{Kind, Row, decode};

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

/// The entry as a guest sees it, with the labels of its place; none if it was deleted or its time is over. And what the answer
/// tells of, the entry or its absence, with the labels of whoever wrote there.
pub(super) fn entry(key: &str, bytes: &[u8], place: &Labels, now: Millis) -> Result<(Option<Entry>, Labels), Error> {
    let (Row { version, labels, live }, body) = decode(bytes).map_err(|error| fault::stored(&error))?;
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
