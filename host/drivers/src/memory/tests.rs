//! Entries, versions and pages, on a real store.

use std::path::Path;

use agentry_store::RedbStore;

use super::*;
use crate::fixture::{NOW, with_permit, with_permit_that_carries};

const HOME: &str = "agent/scribe/todo";

struct Desk {
    memory: Memory,
    store: Arc<RedbStore>,
}

impl Desk {
    fn open(home: &Path) -> Self {
        let store = Arc::new(RedbStore::open(home).expect("a temporary directory can be written"));
        Self { memory: Memory::new(Arc::clone(&store) as _), store }
    }

    async fn put(&self, key: &str, value: Value, options: WriteOptions) -> Result<u64, Error> {
        let put = |permit: &_| self.memory.put(permit, &author(), (HOME, key), &value, &options);
        let (batch, version) = with_permit(put).result?;
        self.store.commit(batch).await.map_err(|error| fault::stored(&error))?;
        Ok(version)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let delete = |permit: &_| self.memory.delete(permit, &author(), (HOME, key), false);
        let (batch, ()) = with_permit(delete).result?;
        self.store.commit(batch).await.map_err(|error| fault::stored(&error))
    }

    fn get(&self, key: &str, now: Millis) -> Option<Entry> {
        with_permit(|permit| self.memory.get(permit, HOME, key, now)).result.expect("the store can be read")
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Error> {
        with_permit(|permit| self.memory.list(permit, (HOME, prefix), after, limit, NOW)).result
    }
}

fn author() -> Author {
    Author { agent: "scribe".to_owned(), run: RunId(1), now: NOW }
}

fn options(expect: Expectation) -> WriteOptions {
    WriteOptions { expect, ttl_s: None, tags: vec!["mine".to_owned()], indexed: false }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn an_entry_carries_who_wrote_it_and_when() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    assert_eq!(desk.get("milk", NOW), None);
    assert_eq!(desk.put("milk", text("buy"), options(Expectation::Absent)).await, Ok(1));
    let entry = desk.get("milk", NOW).expect("it was just written");
    assert_eq!((entry.value, entry.version, entry.author.as_str()), (text("buy"), 1, "scribe"));
    assert_eq!((entry.run, entry.written_ms, entry.tags), (RunId(1).to_string(), NOW.0, vec!["mine".to_owned()]));
}

#[tokio::test]
async fn a_version_never_comes_twice_even_after_a_deletion() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    desk.put("k", text("a"), options(Expectation::Anything)).await.unwrap();
    desk.delete("k").await.unwrap();
    assert_eq!(desk.get("k", NOW), None);
    assert!(matches!(desk.delete("k").await, Err(Error::NotFound(_))));
    assert!(matches!(desk.put("k", text("b"), options(Expectation::Version(1))).await, Err(Error::Conflict(_))));
    assert_eq!(desk.put("k", text("b"), options(Expectation::Absent)).await, Ok(2));
    assert!(matches!(desk.put("k", text("c"), options(Expectation::Version(1))).await, Err(Error::Conflict(_))));
    assert_eq!(desk.put("k", text("c"), options(Expectation::Version(2))).await, Ok(3));
}

#[tokio::test]
async fn two_writers_that_read_the_same_version_do_not_both_win() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    let anything = options(Expectation::Anything);
    let write = || {
        with_permit(|permit| desk.memory.put(permit, &author(), (HOME, "k"), &text("x"), &anything)).result.unwrap().0
    };
    let (one, other) = (write(), write());
    assert_eq!(desk.store.commit(one).await, Ok(()));
    assert_eq!(desk.store.commit(other).await, Err(agentry_store::StoreError::Conflict));
}

#[tokio::test]
async fn an_entry_is_gone_when_its_time_is_over() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    let short = WriteOptions { ttl_s: Some(2), ..options(Expectation::Anything) };
    desk.put("k", text("a"), short).await.unwrap();
    assert!(desk.get("k", NOW.plus(1999)).is_some());
    assert_eq!(desk.get("k", NOW.plus(2000)), None);
}

#[tokio::test]
async fn what_is_too_large_or_not_json_is_invalid() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    let long = "k".repeat(NAME_MAX_BYTES + 1);
    let tags = |tags: Vec<String>| WriteOptions { tags, ..options(Expectation::Anything) };
    let anything = || options(Expectation::Anything);
    let bad = [
        ("", text("a"), anything()),
        (long.as_str(), text("a"), anything()),
        ("k", Value::Bytes(vec![0; MEMORY_VALUE_MAX_BYTES + 1]), anything()),
        ("k", Value::Json("{\"a\":1,\"a\":2}".to_owned()), anything()),
        ("k", Value::Json("{".to_owned()), anything()),
        ("k", text("a"), tags(vec!["t".to_owned(); MEMORY_TAGS_MAX + 1])),
        ("k", text("a"), tags(vec!["t".repeat(MEMORY_TAG_MAX_BYTES + 1)])),
        ("k", text("a"), WriteOptions { ttl_s: Some(0), ..anything() }),
    ];
    for (key, value, options) in bad {
        assert!(matches!(desk.put(key, value, options).await, Err(Error::Invalid(_))));
    }
    assert!(matches!(desk.list("", None, 0), Err(Error::Invalid(_))));
    let most = Value::Bytes(vec![7; MEMORY_VALUE_MAX_BYTES]);
    assert_eq!(desk.put("k", most.clone(), anything()).await, Ok(1));
    assert_eq!(desk.get("k", NOW).map(|entry| entry.value), Some(most));
}

#[tokio::test]
async fn a_listing_goes_on_where_the_last_page_ended() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    for number in 0..7 {
        desk.put(&format!("a{number}"), text("x"), options(Expectation::Anything)).await.unwrap();
    }
    desk.put("b", text("x"), options(Expectation::Anything)).await.unwrap();
    desk.delete("a3").await.unwrap();
    let (mut keys, mut after, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let page = desk.list("a", after.as_deref(), 3).unwrap();
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        pages += 1;
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!((keys, pages), (["a0", "a1", "a2", "a4", "a5", "a6"].map(str::to_owned).to_vec(), 2));
    let neighbour =
        with_permit(|permit| desk.memory.list(permit, ("agent/scribe", ""), None, 256, NOW)).result.unwrap();
    assert_eq!(neighbour.entries, [], "a namespace does not reach into a longer one");
}

#[tokio::test]
async fn a_page_stays_under_its_size() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    for number in 0..5 {
        let value = Value::Bytes(vec![number; MEMORY_VALUE_MAX_BYTES]);
        desk.put(&format!("k{number}"), value, options(Expectation::Anything)).await.unwrap();
    }
    let page = desk.list("", None, 256).unwrap();
    assert_eq!((page.entries.len(), page.next.as_deref()), (3, Some("k2")));
    let rest = desk.list("", page.next.as_deref(), 256).unwrap();
    assert_eq!((rest.entries.len(), rest.next), (2, None));
}

#[tokio::test]
async fn what_stands_at_a_key_carries_the_labels_of_all_who_wrote_there() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::open(home.path());
    let secret = Labels::of(["secret"]);
    let anything = options(Expectation::Anything);
    let put = |permit: &_| desk.memory.put(permit, &author(), (HOME, "k"), &text("x"), &anything);
    let first = with_permit_that_carries(&secret, put);
    assert_eq!(first.labels, Labels::NONE, "nothing stood there before");
    desk.store.commit(first.result.unwrap().0).await.unwrap();
    let read = || with_permit(|permit| desk.memory.get(permit, HOME, "k", NOW));
    assert_eq!(read().labels, secret);
    assert_eq!(read().result.unwrap().unwrap().labels, ["secret"]);
    assert_eq!(with_permit(put).labels, secret, "a version tells of what stood there before");
    desk.put("k", text("clean"), options(Expectation::Anything)).await.unwrap();
    assert_eq!(read().labels, secret, "writing over it launders nothing");
    let late = options(Expectation::Absent);
    let conflict = with_permit(|permit| desk.memory.put(permit, &author(), (HOME, "k"), &text("y"), &late));
    assert!(matches!(conflict, Write { result: Err(Error::Conflict(_)), labels } if labels == secret));
    desk.delete("k").await.unwrap();
    assert_eq!((read().result, read().labels), (Ok(None), secret.clone()), "nor does removing it");
    let page = with_permit(|permit| desk.memory.list(permit, (HOME, ""), None, 9, NOW));
    assert_eq!(page.labels, secret);
}

#[test]
fn a_row_of_before_labels_is_read() {
    let mut old = vec![1, 7, 1, 0, 6];
    old.extend_from_slice(b"scribe\x01\x05\x00\x00\x01\x04mine\x00hello");
    let (entry, labels) = entry::entry("k", &old, &Labels::NONE, NOW).unwrap();
    let entry = entry.expect("it stands");
    assert_eq!((entry.version, entry.value, entry.tags), (7, text("hello"), vec!["mine".to_owned()]));
    assert_eq!(labels, Labels::NONE);
    assert_eq!(entry::entry("k", &[1, 8, 0], &Labels::NONE, NOW), Ok((None, Labels::NONE)));
}
