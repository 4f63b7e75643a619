//! Runs that move as one file, and what a file of an older version lacks.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{BasisId, Ended, FORMAT, Outcome, Started};
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;

use super::form::{Body, MAGIC, MAGIC_1, SUM_BYTES};
use super::*;
use crate::audit::verify;
use crate::{Extras, digest};

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
        imported: None,
        trigger: None,
        listed: None,
        labels: Labels::NONE,
        parent: None,
    };
    let trail = Arc::new(Trail::new(RUN));
    let extras = Extras { contents: contents.into(), record: Some(record), ..Extras::default() };
    journal.append(&trail, &entries, extras);
    journal.durable(&trail).await.unwrap();
    (home, text)
}

/// The time at which files are taken.
const NOW: Millis = Millis(10);

fn exported(home: &Path) -> Result<Vec<u8>, ExportError> {
    exported_by(home, None)
}

fn exported_by(home: &Path, key: Option<&SigningKey>) -> Result<Vec<u8>, ExportError> {
    let history = History::over(Arc::new(RedbStore::open(home).unwrap()));
    let record = history.run(&RUN.to_string()).unwrap();
    export(&history, &record, key)
}

async fn import(home: &Path, bytes: &[u8]) -> Result<RunRecord, ExportError> {
    open(bytes, NOW)?.keep(home).await
}

fn body(file: &[u8]) -> Body {
    let body = file.strip_prefix(MAGIC).unwrap().split_last_chunk::<SUM_BYTES>().unwrap().0;
    postcard::take_from_bytes(body).unwrap().0
}

/// The same file with something of it changed.
fn forged(file: &[u8], change: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = body(file);
    change(&mut body);
    form::write(&body, None)
}

/// The same with another record, or another journal.
fn told(file: &[u8], change: impl FnOnce(&mut RunRecord, &mut Vec<Entry>)) -> Vec<u8> {
    forged(file, |body| {
        let mut record = RunRecord::decode(&body.record).unwrap();
        let mut entries = segment::decode(&body.journal).unwrap().1;
        change(&mut record, &mut entries);
        body.record = record.encoded();
        body.journal.clear();
        segment::extend(&mut body.journal, RUN, &entries);
        Tip::default().link(&mut body.journal);
    })
}

/// The same file without one of its contents, as that version of the journal would have written it.
fn without(file: &[u8], content: Digest, version: u8) -> Vec<u8> {
    forged(file, |body| {
        body.contents.retain(|bytes| digest(bytes) != content);
        body.journal[0] = version;
    })
}

fn version(file: &[u8]) -> u8 {
    body(file).journal[0]
}

#[tokio::test]
async fn a_file_of_an_older_version_lacks_what_was_told_to_people_and_is_taken_and_given_on_as_such() {
    let (here, text) = home().await;
    let file = exported(here.path()).unwrap();
    assert_eq!(version(&file), FORMAT);
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
    assert!(matches!(cut, Err(ExportError::Incomplete { content, .. }) if content == text), "{cut:?}");
    import(there.path(), &without(&file, Digest::default(), 5)).await.unwrap();
    assert_eq!(version(&exported(there.path()).unwrap()), FORMAT, "an older one that lacks nothing is whole");
    let store = RedbStore::open(there.path()).unwrap();
    assert_eq!(verify(&store, &[]).unwrap().contents, 3);
    let mut batch = agentry_store::Batch::default();
    batch.remove(keys::blob(&text));
    store.commit(batch).await.unwrap();
    let broken = verify(&store, &[]).unwrap().broken.expect("the chain vouches for it");
    assert!(broken.what.contains("is gone"), "{broken:?}");
    drop(store);
    let cut = exported(there.path());
    assert!(matches!(cut, Err(ExportError::Incomplete { content, .. }) if content == text), "{cut:?}");
}

#[tokio::test]
async fn a_file_of_the_first_form_is_still_taken() {
    let (here, _) = home().await;
    let file = exported(here.path()).unwrap();
    let mut first = postcard::to_extend(&body(&file), MAGIC_1.to_vec()).unwrap();
    first.extend_from_slice(&digest(&first).0);
    let there = tempfile::tempdir().unwrap();
    let record = import(there.path(), &first).await.unwrap();
    assert_eq!(record.imported, Some(Imported { at: NOW, signer: None, adopted: false }));
}

#[tokio::test]
async fn a_run_out_of_a_file_is_marked_holds_nothing_and_has_spent_nothing_here() {
    let (here, _) = home().await;
    let lots = Amounts::of(agentry_kernel::Resource::Usd, 4_000_000);
    let call = CallId(1);
    let suspended = told(&exported(here.path()).unwrap(), |record, entries| {
        entries.pop();
        entries.push(Entry::Unknown { call, at: Millis(2), spent: lots });
        let what = Call::TimersNow;
        entries.push(Entry::Asked { call: CallId(2), at: Millis(2), what, held: lots, basis: BasisId::NONE });
        let id = RunId(99);
        entries.push(Entry::Spawned { call: CallId(2), run: id });
        let began = Some((id, CallId(1)));
        (record.status, record.ended, record.spent, record.parent) = (Status::Suspended, None, lots, began);
    });
    let there = tempfile::tempdir().unwrap();
    let record = import(there.path(), &suspended).await.unwrap();
    assert_eq!((record.spent, record.parent, record.calls), (Amounts::ZERO, None, 2));
    assert!(record.labels.has("untrusted"));
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(there.path()).unwrap());
    let (_, recovered) = Journal::open(Arc::clone(&store)).await.unwrap();
    assert!(recovered.unfinished.is_empty() && recovered.books.is_empty(), "{recovered:?}");
    let history = History::over(Arc::clone(&store));
    assert!(history.suspended(|_| true).unwrap().is_empty(), "a host would go on with it by itself");
    let entries = history.entries(RUN).unwrap();
    let unfinished = agentry_kernel::journal::Unfinished::of(&entries).unwrap();
    assert_eq!((unfinished.holds(), unfinished.spent, unfinished.below.len()), (Amounts::ZERO, Amounts::ZERO, 0));
    assert!(unfinished.imported && unfinished.labels.has("untrusted"));
    let of = crate::settle_unknown::Resolution { run: RUN, call, happened: false, because: String::new() };
    let known = crate::settle_unknown::UnknownCall::find(&*store, &of).map(|unknown| unknown.spent);
    assert!(matches!(known, Err(crate::settle_unknown::ResolveError::Known(..))), "{known:?}");
    assert_eq!(verify(&*store, &[]).unwrap().imported, 1);
}

#[tokio::test]
async fn a_file_whose_parts_contradict_each_other_is_refused_and_nothing_of_it_is_kept() {
    let (here, _) = home().await;
    let file = exported(here.path()).unwrap();
    let another = || Entry::Locked { at: Millis(1), because: String::new() };
    type Change = Box<dyn Fn(&mut RunRecord, &mut Vec<Entry>)>;
    let changes: [(&str, Change); 9] = [
        ("different agents", Box::new(|record, _| record.agent = "clerk".to_owned())),
        (
            "different components",
            Box::new(|_, entries| {
                if let Some(Entry::Started(started)) = entries.first_mut() {
                    started.component = started.input;
                }
            }),
        ),
        ("how it ended", Box::new(|record, _| record.status = Status::Failed)),
        ("its journal does not", Box::new(|_, entries| drop(entries.pop()))),
        ("begins twice", Box::new(|_, entries| entries.push(entries[0].clone()))),
        ("ends twice", Box::new(|_, entries| entries.push(entries[2].clone()))),
        ("behind its end", Box::new(|_, entries| entries.push(entries[1].clone()))),
        ("of a host", Box::new(move |_, entries| entries.insert(1, another()))),
        ("how many calls", Box::new(|record, _| record.calls = 500)),
    ];
    let there = tempfile::tempdir().unwrap();
    for (what, change) in changes {
        let refused = import(there.path(), &told(&file, |record, entries| change(record, entries))).await;
        let refused = refused.expect_err(what).to_string();
        assert!(refused.contains(what), "{what}: {refused}");
    }
    let late = Millis(NOW.0 + agentry_store::limits::EXPORT_AHEAD_MAX_MS + 1);
    let future = told(&file, |record, _| record.started = late);
    assert!(import(there.path(), &future).await.unwrap_err().to_string().contains("in the future"));
    assert_eq!(there.path().read_dir().unwrap().count(), 0, "nothing was kept");
}

#[tokio::test]
async fn what_a_file_does_not_name_is_not_kept() {
    let (here, _) = home().await;
    let more = forged(&exported(here.path()).unwrap(), |body| body.contents.push(b"stowaway".to_vec()));
    let there = tempfile::tempdir().unwrap();
    import(there.path(), &more).await.unwrap();
    let store = RedbStore::open(there.path()).unwrap();
    assert!(!store.has(&keys::blob(&digest(b"stowaway"))).unwrap());
}

#[tokio::test]
async fn a_file_says_which_home_vouches_for_it_and_one_that_was_changed_since_is_refused() {
    let (here, _) = home().await;
    let key = SigningKey::of(here.path()).unwrap();
    assert_eq!(SigningKey::of(here.path()).unwrap().public(), key.public(), "it is made once");
    let file = exported_by(here.path(), Some(&key)).unwrap();
    assert_eq!(open(&file, NOW).unwrap().signer(), Some(key.public()));
    // Whoever changes the file can mend its checksum, and not its signature.
    let mut body = body(&file);
    let signed = postcard::to_allocvec(&body).unwrap().len() + MAGIC.len();
    body.contents.push(Vec::new());
    let mut changed = postcard::to_extend(&body, MAGIC.to_vec()).unwrap();
    changed.extend_from_slice(&file[signed..file.len() - SUM_BYTES]);
    changed.extend_from_slice(&digest(&changed).0);
    assert!(matches!(open(&changed, NOW), Err(ExportError::Sign(SignError::Wrong))));
    let (there, _) = home().await;
    assert_ne!(SigningKey::of(there.path()).unwrap().public(), key.public());
    use std::os::unix::fs::PermissionsExt as _;
    let path = here.path().join("export.key");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SigningKey::of(here.path()), Err(SignError::Exposed { .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, b"short").unwrap();
    assert!(matches!(SigningKey::of(here.path()), Err(SignError::NoKey { .. })));
}

#[test]
fn no_bytes_bring_it_down() {
    let body = Body { record: vec![5, 1], journal: vec![7; 40], contents: vec![vec![1, 2, 3]; 4] };
    let file = form::write(&body, None);
    for place in 0..file.len() {
        let mut flipped = file.clone();
        flipped[place] ^= 0x81;
        let sum = flipped.len() - SUM_BYTES;
        let mended = digest(&flipped[..sum]).0;
        flipped[sum..].copy_from_slice(&mended);
        assert!(open(&flipped, NOW).is_err());
        assert!(open(&file[..place], NOW).is_err());
    }
}

/// What somebody changes in a file.
type Change = fn(&mut Body);

#[tokio::test]
async fn what_does_not_decode_in_a_file_is_said_of_the_file_and_not_of_the_store() {
    let (here, _) = home().await;
    let file = exported(here.path()).unwrap();
    let changes: [(&str, Change); 4] = [
        ("a run record", |body| body.record = vec![0xff; 9]),
        ("a journal entry", |body| body.journal[12..24].fill(0xff)),
        ("a journal segment without a head", |body| body.journal.clear()),
        ("a journal segment of another format", |body| body.journal[0] = 99),
    ];
    for (what, change) in changes {
        let refused = open(&forged(&file, change), NOW).unwrap_err();
        assert!(matches!(refused, ExportError::Undecodable(_)), "{what}: {refused}");
        let said = refused.to_string();
        assert!(
            said.starts_with("this is no run as `agentry export` writes it: ") && !said.contains("damaged"),
            "{said}"
        );
    }
}
