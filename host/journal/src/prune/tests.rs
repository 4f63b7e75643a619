//! A home that is pruned: what goes, what stays, that the chain holds and finds whoever removes something by himself.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use agentry_kernel::journal::Status;
use agentry_kernel::labels::Labels;
use agentry_kernel::retention::Keep;
use agentry_store::content::Content;
use agentry_store::ids::SegmentId;
use agentry_store::rows::memory::{Kind, Live, Row};
use agentry_store::rows::run::RunRecord;
use agentry_store::rows::{memory, run};
use agentry_store::{Range, RedbStore, scan_all};

use super::*;
use crate::audit::{Audit, verify};
use crate::fixture::{Host, NOW, host};
use crate::segment::Stub;

const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;

fn everything() -> Retention {
    Retention { ended_ms: 0, keep: Keep::default() }
}

/// Runs from 1, of which each says its own word and a common one; the last one goes on.
async fn home(place: &Path, runs: u64) -> Host {
    let host = host(place).await;
    for id in 1..=runs {
        let trail = host.run(id);
        host.says(&trail, Content::of(format!("word {id}")));
        host.journal.flush().await.unwrap();
        host.says(&trail, Content::of(*b"common"));
        if id < runs {
            host.end(&trail, Content::of(format!("\"output {id}\"")));
        }
        host.journal.durable(&trail).await.unwrap();
    }
    host
}

async fn pruned(host: &Host, retention: Retention) -> Pruned {
    pruned_until(host, retention, |_| true).await.unwrap()
}

async fn pruned_until(
    host: &Host,
    retention: Retention,
    goes_on: impl Fn(&Pruned) -> bool + Send + 'static,
) -> Result<Pruned, PruneError> {
    let journal = host.journal.clone();
    let work = move || {
        let now = Millis(NOW.0 + YEAR_MS);
        let how = Pruning { retention: &retention, host: journal.at().host, now, rests: 0, goes_on: &goes_on };
        let look = look(&**journal.store(), &how);
        let pruned = prune(&journal, &how)?;
        assert_eq!(look.unwrap(), pruned, "what was said before went");
        Ok(pruned)
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn audited(host: &Host) -> Audit {
    verify(&**host.journal.store(), &[]).unwrap()
}

fn has(host: &Host, content: &[u8]) -> bool {
    host.history.blob(&crate::digest(content)).unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_go_and_the_chain_the_records_and_what_others_name_stay() {
    let place = tempfile::tempdir().unwrap();
    let host = home(place.path(), 5).await;
    let site = host.journal.store().get(&keys::books(host.journal.at().host, keys::SITE)).unwrap();
    let before = audited(&host);
    let went = pruned(&host, everything()).await;
    assert_eq!((went.runs, went.kept), (4, 0), "{went:?}");
    let after = audited(&host);
    assert_eq!(after.broken, None);
    assert_eq!((after.pruned, after.pruned_runs), (went.segments, 4));
    assert!(after.segments > before.segments && after.head != before.head, "it says so in the log");
    // What the run that goes on names stays; each other word is gone with its run, and nothing waits to be looked at again.
    assert!(has(&host, b"common") && has(&host, b"word 5") && has(&host, b"{}"));
    assert!((1..=4).all(|id| !has(&host, format!("word {id}").as_bytes())));
    assert!(scan_all(&**host.journal.store(), Range::of(keys::ORPHANS)).next().is_none());
    for id in 1..=4 {
        let (record, receipt) = (host.history.record(RunId(id)).unwrap(), host.history.receipt(RunId(id)).unwrap());
        assert_eq!(record.map(|record| record.status), Some(Status::Done));
        assert!(receipt.is_some_and(|receipt| receipt.entries >= 4 && receipt.digest != Digest::default()));
        assert!(host.history.entries(RunId(id)).unwrap().is_empty());
        assert!(host.history.whole_run(&RunId(id).to_string()).is_err());
    }
    assert!(host.history.entries(RunId(5)).unwrap().len() >= 3);
    assert_eq!(host.journal.store().get(&keys::books(host.journal.at().host, keys::SITE)).unwrap(), site);
    assert_eq!(pruned(&host, everything()).await, Pruned::default(), "there is nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_kept_is_young_works_for_another_or_is_named_stays() {
    let place = tempfile::tempdir().unwrap();
    let host = home(place.path(), 5).await;
    let store = host.journal.store();
    // Run 2 failed, run 3 worked for it, and run 4 wrote an entry of memory.
    let mut batch = Batch::default();
    let record = |id| run::of(&**store, RunId(id)).unwrap().unwrap();
    RunRecord { status: Status::Failed, ..record(2) }.write(&mut batch);
    RunRecord { parent: Some((RunId(2), agentry_kernel::CallId(1))), ..record(3) }.write(&mut batch);
    let live = Live {
        kind: Kind::Text,
        author: "scribe".to_owned(),
        run: RunId(4),
        written: NOW,
        expires: None,
        tags: Vec::new(),
        indexed: false,
    };
    let entry = memory::encode(&Row { version: 1, labels: Labels::NONE, live: Some(live) }, b"x");
    batch.put(keys::memory("team", "k"), entry);
    store.commit(batch).await.unwrap();
    let young = Retention { ended_ms: 2 * YEAR_MS, keep: Keep::default() };
    assert_eq!(pruned(&host, young).await, Pruned::default());
    let mut keep = Keep::default();
    assert!(keep.add("failed"));
    let went = pruned(&host, Retention { ended_ms: 0, keep }).await;
    assert_eq!((went.runs, went.kept), (1, 3), "{went:?}");
    assert!(host.history.receipt(RunId(1)).unwrap().is_some());
    assert_eq!(audited(&host).broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_named_again_while_it_is_pruned_stays() {
    let place = tempfile::tempdir().unwrap();
    let host = home(place.path(), 4).await;
    let (journal, trail) = (host.journal.clone(), host.run(9));
    journal.durable(&trail).await.unwrap();
    let again = std::sync::Mutex::new(Some(move |host: &Host| host.says(&trail, Content::of(*b"word 2"))));
    let teller = Host { journal: host.journal.clone(), history: host.history.clone() };
    // In the middle of it: journals went, and contents are about to.
    let goes_on = move |pruned: &Pruned| {
        if pruned.runs == 3
            && let Some(say) = again.lock().unwrap().take()
        {
            say(&teller);
        }
        true
    };
    let journal = host.journal.clone();
    let work = move || {
        let retention = everything();
        let now = Millis(NOW.0 + YEAR_MS);
        let how = Pruning { retention: &retention, host: journal.at().host, now, rests: 0, goes_on: &goes_on };
        prune(&journal, &how).unwrap()
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    host.journal.flush().await.unwrap();
    assert!(has(&host, b"word 2") && !has(&host, b"word 1"));
    assert_eq!(audited(&host).broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruning_that_ends_anywhere_leaves_all_whole_and_the_next_one_goes_on() {
    let mut stops = BTreeSet::new();
    for stop in 0..12 {
        let place = tempfile::tempdir().unwrap();
        let host = home(place.path(), 6).await;
        let steps = AtomicU64::new(0);
        let journal = host.journal.clone();
        let work = move || {
            let retention = everything();
            let goes_on = |_: &Pruned| steps.fetch_add(1, Ordering::Relaxed) < stop;
            let now = Millis(NOW.0 + YEAR_MS);
            let how = Pruning { retention: &retention, host: journal.at().host, now, rests: 0, goes_on: &goes_on };
            prune(&journal, &how).is_err()
        };
        stops.insert(tokio::task::spawn_blocking(work).await.unwrap());
        assert_eq!(audited(&host).broken, None);
        assert!(has(&host, b"word 6") && has(&host, b"common"));
        pruned(&host, everything()).await;
        assert_eq!(audited(&host).broken, None);
        assert!(!has(&host, b"word 1") && has(&host, b"common"));
        drop(host);
        let store = RedbStore::open(place.path()).unwrap();
        assert_eq!(verify(&store, &[]).unwrap().pruned_runs, 5);
    }
    assert_eq!(stops.len(), 2, "some were stopped, and some came to their end");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_removes_a_segment_and_calls_it_pruned_is_found() {
    let place = tempfile::tempdir().unwrap();
    let host = home(place.path(), 4).await;
    let store = Arc::clone(host.journal.store());
    let fake = |number: u64| {
        let id = SegmentId { host: host.journal.at().host, number };
        let bytes = store.get(&keys::segment(id)).unwrap().unwrap();
        let link = crate::segment::link(&bytes).unwrap();
        let head = crate::Tip { next: id, head: link }.after(&bytes).head;
        let run = crate::segment::decode(&bytes).unwrap().0;
        let mut batch = Batch::default();
        batch.put(keys::segment(id), Stub { run, link, head }.encode());
        (batch, bytes, id)
    };
    let (batch, bytes, id) = fake(1);
    store.commit(batch).await.unwrap();
    let broken = audited(&host).broken.unwrap();
    assert!(broken.what.contains("nothing tells that it was pruned"), "{broken:?}");
    let mut back = Batch::default();
    back.put(keys::segment(id), bytes);
    store.commit(back).await.unwrap();
    assert_eq!(audited(&host).broken, None);
    pruned(&host, everything()).await;
    // A stub that says something else breaks the chain; one that stands for a segment of a run that is there is found as before.
    let stub = store.get(&keys::segment(id)).unwrap().unwrap();
    for byte in 1..stub.len() {
        let mut changed = stub.clone();
        changed[byte] ^= 1;
        let mut batch = Batch::default();
        batch.put(keys::segment(id), changed);
        store.commit(batch).await.unwrap();
        assert!(audited(&host).broken.is_some(), "byte {byte}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_while_a_past_is_copied_or_twice_at_once() {
    let place = tempfile::tempdir().unwrap();
    let host = home(place.path(), 3).await;
    let past = Arc::clone(host.journal.past());
    let copying = past.read().await;
    assert!(matches!(pruned_until(&host, everything(), |_| true).await, Err(PruneError::Busy)));
    drop(copying);
    assert_eq!(pruned(&host, everything()).await.runs, 2);
}
