//! Uses names and values of every wrong size in memory, and tells what each try gave.
//! Justification: what a guest can name has a maximum, and is refused as `invalid` and not by a trap.

use std::collections::BTreeMap;

use agentry::Failure;
use agentry::memory::{Value, WriteOptions, namespace};

#[agentry::agent]
async fn run() -> Result<BTreeMap<&'static str, String>, Failure> {
    let notes = namespace("agent/test/notes");
    let told = |result: Result<u64, agentry::Error>| match result {
        Ok(version) => format!("version {version}"),
        Err(error) => error.to_string(),
    };
    let tagged = WriteOptions { tags: vec!["x".repeat(100); 100], ..WriteOptions::default() };
    Ok(BTreeMap::from([
        ("empty key", told(notes.put_text("", "x"))),
        ("long key", told(notes.put_text(&"k".repeat(100_000), "x"))),
        ("key with a line break", told(notes.put_text("a\nb\0c", "x"))),
        ("long value", told(notes.put_text("long", "x".repeat(2 * 1024 * 1024)))),
        ("json that is none", told(notes.put("json", &Value::Json("{".into()), &WriteOptions::default()))),
        ("many tags", told(notes.put("tags", &Value::Text("x".into()), &tagged))),
        ("foreign namespace", told(namespace("agent/other/notes").put_text("a", "x"))),
        ("parent namespace", told(namespace("agent/test/../other").put_text("a", "x"))),
        ("empty namespace", told(namespace("").put_text("a", "x"))),
    ]))
}
