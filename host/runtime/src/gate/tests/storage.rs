//! What agents keep, at the door: a level that overwriting and deleting move, and that is right after a crash.

use std::collections::BTreeMap;

use agentry_abi::bindings::agentry::agent::memory::{Expectation, Value, WriteOptions};
use agentry_drivers::files::{Files, StorageUsage};
use agentry_drivers::memory::{Author, Memory};
use agentry_kernel::Digest;
use agentry_store::rows::usage;
use agentry_store::{Page, Range, RedbStore, Store};

use super::*;

const NAMESPACE: &str = "agent/scribe/todo";
const KIB: usize = 1024;

fn memory(host: &Host) -> Memory {
    Memory::new(Arc::clone(host.gate.journal().store()))
}

fn author(run: &RunContext) -> Author {
    Author { agent: run.agent.clone(), run: run.id, now: NOW }
}

fn put(
    host: &Host,
    run: &Arc<RunContext>,
    key: &str,
    bytes: usize,
) -> impl Future<Output = Result<u64, Error>> + Send + use<> {
    let (memory, author, key) = (memory(host), author(run), key.to_owned());
    let options = WriteOptions { expect: Expectation::Anything, ttl_s: None, tags: Vec::new(), indexed: false };
    let value = Value::Bytes(vec![7; bytes]);
    let grows = memory.growth(&author.agent, (NAMESPACE, &key), &value, &options).expect("the store can be read");
    let what = Call::MemoryPut {
        namespace: NAMESPACE.to_owned(),
        key: key.clone(),
        content: Digest::default(),
        bytes: bytes as u64,
        grows,
    };
    host.gate.pass_store(run, what, move |permit| memory.put(permit, &author, (NAMESPACE, &key), &value, &options))
}

async fn delete(host: &Host, run: &Arc<RunContext>, key: &'static str) {
    let (memory, author) = (memory(host), author(run));
    let what = Call::MemoryDelete { namespace: NAMESPACE.to_owned(), key: key.to_owned() };
    let gone = host.gate.pass_store(run, what, move |permit| memory.delete(permit, &author, (NAMESPACE, key), false));
    assert_eq!(gone.await, Ok(()));
}

/// What stands in the store by its author, and all of it under no name.
fn kept(store: &Arc<dyn Store>) -> BTreeMap<String, u64> {
    let mut kept = BTreeMap::new();
    for table in usage::kept() {
        let page = Page { rows: 20_000, bytes: usize::MAX };
        let rows = store.scan(&Range::of(table.prefix), page).expect("it can be read");
        for (author, bytes) in rows.iter().flat_map(|(place, row)| usage::owners(place, row)) {
            *kept.entry(keys::SITE.to_owned()).or_default() += bytes;
            *kept.entry(author).or_default() += bytes;
        }
    }
    kept
}

/// The accounts say what stands in the store.
pub(super) fn check(host: &Host) -> BTreeMap<String, u64> {
    let kept = kept(host.gate.journal().store());
    let level = |agent: &str| kept.get(agent).copied().unwrap_or(0);
    let found = host.gate.kernel(|kernel| {
        let of = |agent| kernel.account(agent).map_or(0, |account| account.spent[Resource::Storage]);
        (of("scribe"), of("porter"), kernel.site_books().day.spent[Resource::Storage])
    });
    assert_eq!(found, (level("scribe"), level("porter"), level(keys::SITE)));
    kept
}

pub(super) fn porter(host: &Host) -> Arc<RunContext> {
    let porter = Arc::new(RunContext::new(RunId(2), "porter", NOW, Observer::nobody()));
    let mut begins = opening();
    begins.start.agent = "porter".to_owned();
    host.gate.begin(&porter, begins).expect("the run is granted");
    porter
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_counts_the_difference_and_what_is_gone_comes_back_to_its_author() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (scribe, porter) = (host.run(1), porter(&host));
    assert_eq!(put(&host, &scribe, "a", 900 * KIB).await, Ok(1));
    let full = check(&host)["scribe"];
    let before = host.books();
    assert!(matches!(put(&host, &scribe, "b", 124 * KIB).await, Err(Error::Exhausted(_))));
    assert_eq!((host.books(), check(&host)["scribe"]), (before, full));
    assert_eq!(put(&host, &scribe, "a", 1000 * KIB).await, Ok(2), "100 KiB more");
    assert_eq!(check(&host)["scribe"], full + 100 * KIB as u64);
    assert_eq!(put(&host, &porter, "a", 10 * KIB).await, Ok(3));
    assert_eq!(check(&host).get("scribe"), None, "it is the porter's now");
    assert_eq!(put(&host, &scribe, "b", 600 * KIB).await, Ok(1));
    delete(&host, &scribe, "a").await;
    delete(&host, &scribe, "b").await;
    assert_eq!(check(&host), BTreeMap::new());
    let held = host.gate.kernel(|kernel| kernel.site_books().day.held[Resource::Storage]);
    assert_eq!(held, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writes_at_once_as_many_are_kept_as_fit() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let writes: Vec<_> = (0..40).map(|key| put(&host, &run, &format!("k{key}"), 100 * KIB)).collect();
    let written = futures::future::join_all(writes).await.into_iter().filter(Result::is_ok).count();
    assert!((9..=10).contains(&written), "{written} of 40 fit into a MiB");
    assert!(check(&host)["scribe"] <= 1024 * KIB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_counted_anew_after_a_crash_and_in_a_store_of_version_1() {
    let home = tempfile::tempdir().unwrap();
    {
        let host = host(home.path()).await;
        let (scribe, porter) = (host.run(1), porter(&host));
        assert_eq!(put(&host, &scribe, "a", 300 * KIB).await, Ok(1));
        assert_eq!(put(&host, &porter, "b", 10 * KIB).await, Ok(1));
        host.gate.journal().flush().await.unwrap();
        // And as one that is killed while it writes a file.
        let files = Files::open(&[("docs".to_owned(), home.path().to_path_buf())].into()).expect("it is a directory");
        let usage = StorageUsage::new(Arc::clone(host.gate.journal().store()));
        let root = files.find("docs").expect("it was opened");
        usage.change("scribe", &root, "a", Some(99)).await.unwrap().begin().await.unwrap();
        // As a host leaves it that is killed between a write and the accounts that tell of it.
        for place in ["crashed", "old"] {
            std::fs::create_dir(home.path().join(place)).unwrap();
            for file in ["store.redb", "store.wal"] {
                std::fs::copy(home.path().join(file), home.path().join(place).join(file)).unwrap();
            }
        }
    }
    for place in ["crashed", "old"] {
        let store = RedbStore::open(&home.path().join(place)).expect("it is a store");
        let mut batch = agentry_store::Batch::default();
        batch.put(
            keys::books(HostId::FIRST, "scribe"),
            agentry_store::rows::run::encode(&agentry_kernel::budget::Books::default()),
        );
        batch.remove(keys::books(HostId::FIRST, keys::SITE));
        if place == "old" {
            batch.put(keys::books(HostId::FIRST, "porter"), [&[1; 1][..], &[0; 19]].concat());
            batch.remove(keys::open(RunId(1)));
            batch.remove(keys::open(RunId(2)));
        }
        store.commit(batch).await.unwrap();
        drop(store);
        let host = host(&home.path().join(place)).await;
        assert_eq!(check(&host).len(), 3, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_is_asked_is_written_once_and_a_run_that_goes_on_has_paid_for_it() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let written = || host.gate.kernel(|kernel| kernel.account("scribe").map_or(0, |day| day.spent[Resource::Written]));
    let ask = |messages: &[&str]| {
        let contents = messages.iter().map(|text| Content::of((*text).to_owned())).collect();
        let asking = CallRequest::with(ask("small", 20), contents);
        host.gate.pass::<_, Error, _, _, _>(&run, asking, |permit, _| async move {
            Completed::of(Ok(permit.held()[Resource::Written]), tokens(7))
        })
    };
    let (long, longer, short) = ("a".repeat(4000), "b".repeat(9000), "c".repeat(10));
    assert_eq!(ask(&[&long, &short]).await, Ok(4010), "it is held");
    assert_eq!(written(), 4010);
    // A conversation is sent again with each question; a name of what is short takes more than to write it.
    assert_eq!(ask(&[&long, &short, &longer]).await, Ok(9010));
    assert_eq!(written(), 13_020);
    let line = |text: &str| {
        let line = Content::of(text.to_owned());
        let what = Call::LogEvent { line: line.digest, bytes: line.bytes.len() as u64 };
        host.gate.call_now(&run, CallRequest::with(what, vec![line]), |_| Ok(()))
    };
    assert_eq!((line("one"), line("one")), (Ok(()), Ok(())));
    assert_eq!(written(), 13_026, "a line is written each time");
    let record = host.gate.end(&run, ending()).await.expect("the store can be written");
    assert_eq!((written(), record.spent[Resource::Written]), (13_030, 13_030), "and so is its output");
    let entries = host.history.entries(RunId(1)).unwrap();
    let past = agentry_kernel::journal::Unfinished::of(&entries[..entries.len() - 1]).expect("it has not ended");
    assert_eq!(past.spent[Resource::Written], 13_020, "of its log, the day alone knows how much it was");
}
