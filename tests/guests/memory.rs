//! Keeps a thousand small entries and reads them back, page by page.
//! Justification: memory as an honest agent uses it.

use agentry::Failure;
use agentry::memory::namespace;

#[agentry::agent]
async fn run(entries: u32) -> Result<(u32, Vec<String>), Failure> {
    let notes = namespace("agent/test/memory");
    for count in 0..entries {
        notes.put_json(&format!("entry-{count:05}"), &count)?;
    }
    let mut keys = Vec::new();
    for entry in notes.list("entry-") {
        keys.push(entry?.key);
    }
    for key in &keys {
        notes.delete(key)?;
    }
    let gone = notes.get("entry-00000")?.is_none();
    keys.truncate(2);
    Ok((u32::from(gone), keys))
}
