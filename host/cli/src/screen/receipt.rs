//! What is left of a run's journal that was pruned, the same on every screen.

use agentry_store::rows::receipt::Receipt;
use serde_json::{Value, json};

use super::{DIM, styled, units};

/// In a line.
pub fn line(receipt: &Receipt) -> String {
    let day = units::moment(receipt.at.0);
    let what = [units::entries(receipt.entries), units::bytes(receipt.bytes)].join(", ");
    format!("its journal was pruned {day} UTC: {what}, {}", receipt.digest)
}

/// Says of how many runs the journals went: what they called, nobody answers for.
pub fn tell_pruned(runs: u64) {
    if runs > 0 {
        let runs = units::plural(runs, "run");
        let told = format_args!("the journals of {runs} were pruned, and their calls with them");
        super::tell(&format!("{}\n", styled(DIM, told)));
    }
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
