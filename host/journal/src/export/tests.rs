//! Runs that move as one file, and what a file of an older version lacks.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{BasisId, Ended, Outcome, Started};
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;

use super::*;
use crate::audit::verify;

const RUN: RunId = RunId(7);

/// A home in which a run has told people something, and what it told.
async fn home() -> (tempfile::TempDir, Digest) {
    let home = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
    let (journal, _) = Journal::open(store).await.unwrap();
    let contents = ["a component", "\"input\"", "lunch is at noon", "\"output\""].map(Content::of);
    let [component, input, text, output] = contents.each_ref().map(|content| content.digest);
    let (at, call, basis, held) = (Millis(1), CallId(1), BasisId::NONE, Amounts::ZERO);
    let (agent, package, engine) = ("scribe".to_owned(), "test:scribe@1.0.0".to_owned(), String::new());
    let policy = Digest::default();
    let (status, spent) = (Status::Done, Amounts::ZERO);
    let entries = [
        Entry::Started(Started {
            at,
            agent: agent.clone(),
            package: package.clone(),
            component,
            input,
            seed: 1,
            policy,
            engine,
            held,
        }),
        Entry::Called { call, at, what: Call::HumanNotify { text }, outcome: Outcome::Inline(Vec::new()), basis },
        Entry::Ended(Ended { at, status, output, spent }),
    ];
    let record = RunRecord {
        id: RUN,
        agent,
        package,
        component,
        status,
        started: at,
        ended: Some(at),
        spent,
        calls: 1,
        refused: 0,
        failure: None,
        cause: None,
        labels: Labels::NONE,
        parent: None,
    };
    let trail = Arc::new(Trail::new(RUN));
    let along = Extras { contents: contents.into(), record: Some(record), ..Extras::default() };
    journal.append(&trail, &entries, along);
    journal.durable(&trail).await.unwrap();
    (home, text)
}

fn exported(home: &Path) -> Result<Vec<u8>, ParcelError> {
    let history = History::over(Arc::new(RedbStore::open(home).unwrap()));
    let record = history.run(&RUN.to_string()).unwrap();
    export(&history, &record)
}

/// The same file without one of its contents, as that version of the journal would have written it.
fn without(file: &[u8], content: Digest, version: u8) -> Vec<u8> {
    let body = file.strip_prefix(MAGIC).unwrap().split_last_chunk::<SUM_BYTES>().unwrap().0;
    let mut parcel: Parcel = postcard::from_bytes(body).unwrap();
    parcel.contents.retain(|bytes| digest(bytes) != content);
    parcel.journal[0] = version;
    let mut bytes = postcard::to_extend(&parcel, MAGIC.to_vec()).unwrap();
    bytes.extend_from_slice(&digest(&bytes).0);
    bytes
}

fn version(file: &[u8]) -> u8 {
    let body = file.strip_prefix(MAGIC).unwrap();
    postcard::from_bytes::<Parcel>(body).unwrap().journal[0]
}

#[tokio::test]
async fn a_file_of_an_older_version_lacks_what_was_told_to_people_and_is_taken_and_given_on_as_such() {
    let (here, text) = home().await;
    let file = exported(here.path()).unwrap();
    assert_eq!(version(&file), 6);
    let mut older = without(&file, text, 5);
    for _ in 0..2 {
        let there = tempfile::tempdir().unwrap();
        import(there.path(), &older).await.unwrap();
        let audit = verify(&RedbStore::open(there.path()).unwrap(), &[]).unwrap();
        assert_eq!((audit.broken, audit.contents), (None, 2), "its input and its output");
        older = exported(there.path()).unwrap();
        assert_eq!(version(&older), 5, "nobody takes it for whole");
    }
}

#[tokio::test]
async fn a_file_of_this_version_that_lacks_what_was_told_is_refused() {
    let (here, text) = home().await;
    let file = exported(here.path()).unwrap();
    let there = tempfile::tempdir().unwrap();
    let cut = import(there.path(), &without(&file, text, 6)).await;
    assert!(matches!(cut, Err(ParcelError::Incomplete { content, .. }) if content == text), "{cut:?}");
    import(there.path(), &without(&file, Digest::default(), 5)).await.unwrap();
    assert_eq!(version(&exported(there.path()).unwrap()), 6, "an older one that lacks nothing is whole");
    let store = RedbStore::open(there.path()).unwrap();
    assert_eq!(verify(&store, &[]).unwrap().contents, 3);
    let mut batch = agentry_store::Batch::default();
    batch.remove(keys::blob(&text));
    store.commit(batch).await.unwrap();
    let broken = verify(&store, &[]).unwrap().broken.expect("the chain vouches for it");
    assert!(broken.what.contains("is gone"), "{broken:?}");
    drop(store);
    let cut = exported(there.path());
    assert!(matches!(cut, Err(ParcelError::Incomplete { content, .. }) if content == text), "{cut:?}");
}
