//! What is left of a run's journal that was pruned, the same on every screen.

use agentry_store::rows::receipt::Receipt;
use serde_json::{Value, json};

use super::units;

/// In a line.
pub fn line(receipt: &Receipt) -> String {
    let day = units::moment(receipt.at.0);
    let what = [units::count(receipt.entries) + " entries", units::bytes(receipt.bytes)].join(", ");
    format!("its journal was pruned {day} UTC: {what}, {}", receipt.digest)
}

/// For programs.
pub fn as_json(receipt: &Receipt) -> Value {
    let Receipt { at, segments, entries, bytes, digest } = receipt;
    json!({
        "at_ms": at.0,
        "segments": segments,
        "entries": entries,
        "bytes": bytes,
        "digest": digest.to_string(),
    })
}
