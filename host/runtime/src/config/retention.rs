//! `[retention]` of `agentry.toml`: how long journals of runs that are over are kept, and whose for ever. Without it, all are.

use agentry_config::ConfigError;
use agentry_config::reader::{Table, near_or_all};
use agentry_kernel::budget::words::milliseconds;
use agentry_kernel::retention::{Keep, Retention};

pub(super) const RETENTION_KEYS: [&str; 2] = ["ended", "keep"];

/// What the file says.
///
/// # Errors
/// The first mistake, with its line.
pub(super) fn parse(root: &Table<'_>) -> Result<Option<Retention>, ConfigError> {
    let Some(table) = root.get_table("retention")? else { return Ok(None) };
    table.only(&RETENTION_KEYS)?;
    let Some(ended_ms) = milliseconds(table.needs_text("ended")?) else {
        return Err(table.mistake_in("ended", "this is no length of time", "write a number and s, m, h or d: \"90d\""));
    };
    let mut keep = Keep::default();
    let words = table.texts("keep")?;
    if words.is_empty() && table.value("keep").is_some() {
        return Err(table.mistake_in("keep", "this keeps nothing", "leave it out, or say what stays: [\"failed\"]"));
    }
    for word in words {
        if !keep.add(word) {
            let hint = near_or_all(word, &Keep::WORDS);
            return Err(table.mistake_in("keep", format!("`{word}` is no way for a run to end"), hint));
        }
    }
    Ok(Some(Retention { ended_ms, keep }))
}
