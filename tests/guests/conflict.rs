//! Writes an entry over a version that is not there any more.
//! Justification: a conflict writes nothing, and says so.

use agentry::Failure;
use agentry::memory::namespace;

#[agentry::agent]
async fn run() -> Result<(bool, bool, u64), Failure> {
    let notes = namespace("agent/test/conflict");
    let first = notes.put_json("key", &1)?;
    let second = notes.replace_json("key", &2, first)?;
    let stale = notes.replace_json("key", &3, first).is_err_and(|error| error.is_conflict());
    let absent = notes.replace_json("key", &4, 0).is_err_and(|error| error.is_conflict());
    let kept: u64 = notes.get_json("key")?.unwrap_or_default();
    notes.replace_json("key", &kept, second)?;
    Ok((stale, absent, kept))
}
