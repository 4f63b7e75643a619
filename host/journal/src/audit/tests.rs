//! Tampering with a real store: each change is found, at its place.

use std::path::Path;
use std::sync::Arc;

use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::BasisId;
use agentry_kernel::{Amounts, Call, Millis};
use agentry_store::content::Content;
use agentry_store::{Batch, RedbStore, Store};

use super::*;
use crate::fixture::host;
use crate::{Extras, Journal, Trail};

/// A segment of the first host.
fn at(number: u64) -> SegmentId {
    SegmentId { host: HostId::FIRST, number }
}

fn tip_of(store: &RedbStore) -> Tip {
    Tip::read(store, HostId::FIRST).unwrap().unwrap()
}

/// Some runs, one segment each call, and what is audited of them.
async fn log(home: &Path) -> RedbStore {
    {
        let host = host(home).await;
        for id in 1..=3 {
            let run = host.run(id);
            for word in ["one", "two"] {
                host.says(&run, Content::of(format!("{id} {word}")));
                host.journal.flush().await.unwrap();
            }
            host.end(&run, Content::of(*b"\"ok\""));
            host.journal.durable(&run).await.unwrap();
        }
    }
    RedbStore::open(home).unwrap()
}

async fn write(store: &RedbStore, writes: Vec<agentry_store::Write>) {
    store.commit(Batch { writes, ..Batch::default() }).await.unwrap();
}

fn broken(store: &RedbStore) -> Broken {
    verify(store, &[]).unwrap().broken.expect("it was tampered with")
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_whole_and_goes_on_with_the_next_host() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    let audit = verify(&store, &[]).unwrap();
    assert_eq!((audit.broken, audit.unchained), (None, 0));
    assert_eq!(audit.segments, tip_of(&store).next.number);
    assert!(audit.contents >= 6 && audit.entries >= 12);
    drop(store);
    let store = log_again(home.path()).await;
    let again = verify(&store, &[]).unwrap();
    assert!(again.broken.is_none() && again.segments > audit.segments);
}

async fn log_again(home: &Path) -> RedbStore {
    {
        let host = host(home).await;
        let _ = host.run(9);
        host.journal.flush().await.unwrap();
    }
    RedbStore::open(home).unwrap()
}

#[tokio::test]
async fn every_byte_of_a_segment_that_is_flipped_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    for number in [0, 3, tip_of(&store).next.number - 1] {
        let key = keys::segment(at(number));
        let whole = store.get(&key).unwrap().unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            write(&store, vec![(key.clone(), Some(flipped))]).await;
            let found = broken(&store).segment;
            assert!(found == number || found + 1 == number, "byte {at} of {number} was found at {found}");
        }
        write(&store, vec![(key, Some(whole))]).await;
    }
    assert_eq!(verify(&store, &[]).unwrap().broken, None);
}

#[tokio::test]
async fn a_segment_that_is_cut_out_or_changed_for_another_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    let (two, five) = (keys::segment(at(2)), keys::segment(at(5)));
    let (second, fifth) = (store.get(&two).unwrap(), store.get(&five).unwrap());
    write(&store, vec![(two.clone(), None)]).await;
    assert_eq!(broken(&store).segment, 2);
    assert!(broken(&store).what.contains("gone"), "{:?}", broken(&store));
    write(&store, vec![(two.clone(), fifth), (five.clone(), second.clone())]).await;
    assert!((1..=2).contains(&broken(&store).segment), "{:?}", broken(&store));
    write(&store, vec![(keys::segment(at(0)), None)]).await;
    assert_eq!(broken(&store).segment, 0);
}

#[tokio::test]
async fn an_end_that_is_cut_is_found_by_the_tip_and_with_the_tip_by_a_second_place() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    let tip = tip_of(&store);
    let end = tip.next.number - 1;
    let heads = [Head { segment: at(end), digest: tip.head }];
    assert_eq!(verify(&store, &heads).unwrap().heads, 1);
    let last = keys::segment(at(end));
    let bytes = store.get(&last).unwrap().unwrap();
    write(&store, vec![(last, None)]).await;
    assert_eq!(broken(&store).segment, end);
    // Whoever cuts with care sets the tip back as well.
    let before = Tip { next: at(end), head: segment::link(&bytes).unwrap() };
    write(&store, vec![(keys::tip(HostId::FIRST), Some(before.encode()))]).await;
    assert_eq!(verify(&store, &[]).unwrap().broken, None);
    let found = verify(&store, &heads).unwrap().broken.expect("the second place knows more");
    assert_eq!(found.segment, end);
    let other = [Head { segment: at(1), digest: Digest([7; 32]) }];
    assert_eq!(verify(&store, &other).unwrap().broken.map(|broken| broken.segment), Some(1));
}

#[tokio::test]
async fn a_content_that_is_gone_or_changed_is_found_with_the_run_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    let content = Content::of("2 one".to_owned());
    let key = keys::blob(&content.digest);
    write(&store, vec![(key.clone(), None)]).await;
    let found = broken(&store);
    assert_eq!(found.run, Some(RunId(2).to_string()));
    assert!(found.what.contains("is gone"), "{found:?}");
    write(&store, vec![(key.clone(), Some(b"2 two".to_vec()))]).await;
    assert!(broken(&store).what.contains("was changed"));
    write(&store, vec![(key, Some(content.bytes))]).await;
    assert_eq!(verify(&store, &[]).unwrap().broken, None);
}

#[tokio::test]
async fn a_segment_that_its_run_no_longer_shows_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = log(home.path()).await;
    let (run, _) = segment::decode(&store.get(&keys::segment(at(4))).unwrap().unwrap()).unwrap();
    write(&store, vec![(keys::index(run, at(4)), None)]).await;
    assert_eq!(
        broken(&store),
        Broken {
            host: HostId::FIRST,
            segment: 4,
            run: Some(run.to_string()),
            what: "the index of its run leaves it out".to_owned()
        }
    );
}

#[test]
fn heads_are_written_read_and_a_cut_line_is_left_out() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("heads");
    let next = SegmentId { host: HostId(3), number: 7 };
    let tip = Tip { next, head: Digest([0xab; 32]) };
    {
        let heads = heads::Heads::open(path.clone(), |error| panic!("{error}")).unwrap();
        heads.teller().tell(Tip { next: SegmentId { number: 6, ..next }, ..tip });
        heads.teller().tell(tip);
    }
    let read = heads::read(&path).unwrap();
    assert_eq!(read.heads.last(), Some(&Head { segment: SegmentId { number: 6, ..next }, digest: tip.head }));
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("2 3 8 ab");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(heads::read(&path).unwrap(), heads::KnownHeads { torn: 1, ..read.clone() });
    {
        // The next one writes behind it, on a line of its own.
        let heads = heads::Heads::open(path.clone(), |error| panic!("{error}")).unwrap();
        heads.teller().tell(Tip { next: SegmentId { number: 9, ..next }, ..tip });
    }
    let newest = Head { segment: SegmentId { number: 8, ..next }, digest: tip.head };
    let found = heads::read(&path).unwrap();
    assert_eq!((found.torn, found.heads.last()), (1, Some(&newest)));
    assert_eq!(heads::newest(&path, HostId(3)).unwrap(), Some(newest));
    assert_eq!(heads::newest(&path, HostId(0)).unwrap(), None);
    assert_eq!(heads::newest(&home.path().join("none"), HostId(3)).unwrap(), None);
    std::fs::write(&path, format!("1 6 {}\n", tip.head)).unwrap();
    let first = heads::read(&path).unwrap().heads;
    assert_eq!(first, [Head { segment: at(6), digest: tip.head }], "version 1 knew of one host");
    std::fs::write(&path, "something else\n").unwrap();
    assert!(matches!(heads::read(&path), Err(heads::HeadsError::Line { line: 1, .. })));
}

#[test]
fn what_the_chain_adds_to_a_segment_stays_small() {
    // For people who measure: `cargo test -- --nocapture what_the_chain_adds`.
    let segment = vec![7u8; 300];
    let (rounds, begun) = (20_000, std::time::Instant::now());
    let mut tip = Tip::default();
    for _ in 0..rounds {
        tip = tip.after(&segment);
    }
    let each = begun.elapsed() / rounds;
    println!("the chain adds {each:?} to a segment of 300 bytes");
    assert!(tip.next.number == u64::from(rounds) && each < std::time::Duration::from_millis(1));
}

/// What an audit says of a log in which a run has made this call and nobody has stored what it names.
async fn unstored(trail: Trail, what: Call) -> Option<Broken> {
    let home = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
    let (journal, _) = Journal::open(Arc::clone(&store)).await.unwrap();
    let (trail, held, basis) = (Arc::new(trail), Amounts::ZERO, BasisId::NONE);
    journal.append(&trail, &[Entry::Asked { call: CallId(1), at: Millis(1), what, held, basis }], Extras::default());
    journal.durable(&trail).await.unwrap();
    verify(&*store, &[]).unwrap().broken
}

#[tokio::test]
async fn the_chain_vouches_for_the_contents_of_every_call_there_is() {
    let (mut vouched, mut before) = (Vec::new(), Vec::new());
    for what in Call::every() {
        let name = what.name().to_owned();
        let names = what.spec().contents.next().is_some();
        let broken = unstored(Trail::new(RunId(1)), what.clone()).await;
        assert_eq!(broken.is_some(), names, "{name}: {broken:?}");
        assert!(broken.is_none_or(|broken| broken.what.contains("is gone")), "{name}");
        vouched.extend(names.then(|| name.clone()));
        // Older versions left contents of some calls out when a run moved to another home.
        before.extend(unstored(Trail::lacking(RunId(1)), what).await.map(|_| name));
    }
    let always = ["llm.complete", "llm.stream", "memory.put", "files.write", "tools.call", "log.event", "http.fetch"];
    assert_eq!(before, always);
    assert_eq!(vouched.len(), always.len() + 5, "human.ask, human.notify, agents.call, agents.send, agents.reply");
}
