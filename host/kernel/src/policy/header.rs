//! What every policy file begins with: which version of the language, which layer, and whether it is in force.

use alloc::format;

use toml::de::DeTable;

use super::condition::unknown;
use super::document::{Document, quoted};
use super::grant::required;

/// The version of this language.
const FORMAT: u64 = 1;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// The rights of one agent.
    Grant,
    /// What bounds all of them.
    Site,
}

/// The layer, and whether the file only records what it would deny. What is not a file of this version is not read
/// further.
pub(super) fn read(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<(Layer, bool)> {
    match document.number(table, "format", "1") {
        Some((FORMAT, _)) => {}
        Some((other, place)) => {
            document.mistake(place, format!("format {other} is not known"), "this version reads `format = 1`");
            return None;
        }
        None if table.contains_key("format") => return None,
        None => {
            document.mistake(0..0, "`format` is missing", "begin the file with `format = 1`");
            return None;
        }
    }
    let of_site = ["ceiling", "forbid", "require", "label"].iter().any(|key| table.contains_key(*key));
    let layer = if of_site { "\"site\"" } else { "\"grant\"" };
    let layer = match required(document, (table, &(0..0)), "layer", layer)? {
        ("grant", _) => Layer::Grant,
        ("site", _) => Layer::Site,
        (other, place) => {
            let hint = "\"grant\" for the rights of one agent, \"site\" for what bounds all of them";
            document.mistake(place, format!("unknown layer {}", quoted(other)), hint);
            return None;
        }
    };
    let observed = match document.string(table, "mode", "\"enforce\"") {
        Some(("observe", _)) => true,
        Some(("enforce", _)) | None => false,
        Some((mode, place)) => {
            unknown(document, place, "mode", mode, &["enforce", "observe"]);
            false
        }
    };
    Some((layer, observed))
}
