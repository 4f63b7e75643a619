//! Several hosts on one store: each has its own runs, log and books, and only the newest epoch of each writes.

use agentry_journal::audit;
use agentry_kernel::budget::Books;
use agentry_kernel::call::Completion;
use agentry_store::ids::{HostEpoch, SegmentId};
use agentry_store::rows::parked::OpenRun;
use agentry_store::{RedbStore, Store, StoreError};

use super::*;

fn store(home: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(RedbStore::open(home.path()).expect("a temporary directory can be written"))
}

async fn asks(host: &Host, run: &Arc<RunContext>, spends: u64) -> Result<(), Error> {
    let answered = move |_: Arc<LentPermit>, _| async move { Completed::of(Ok(()), tokens(spends)) };
    let settings = Content::of(*b"{}");
    let Call::LlmComplete(what) = ask("small", 20) else { panic!("it is one") };
    let what = Call::LlmComplete(Completion { settings: settings.digest, ..what });
    host.gate.pass::<(), Error, _, _, _>(run, CallRequest::with(what, vec![settings]), answered).await
}

fn status(host: &Host, run: u64) -> Status {
    host.history.record(RunId(run)).unwrap().expect("it began").status
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_on_one_store_number_their_own_logs_and_neither_takes_up_the_runs_of_the_other() {
    let home = tempfile::tempdir().unwrap();
    let store = store(&home);
    let (north, _) = host_named(Arc::clone(&store), "north").await;
    let of_north = north.run(1);
    assert_eq!(asks(&north, &of_north, 3).await, Ok(()));
    let (south, found) = host_named(Arc::clone(&store), "south").await;
    assert_eq!(found.unfinished, []);
    assert!(found.books.iter().all(|(_, books)| *books == Books::default()), "{:?}", found.books);
    let left: Vec<_> = found.elsewhere.iter().map(|(host, row, runs)| (host.0, row.name.as_str(), *runs)).collect();
    assert_eq!(left, [(0, "north", 1)], "and it says what it leaves alone");
    let of_south = south.run(2);
    assert_eq!((asks(&south, &of_south, 5).await, asks(&north, &of_north, 3).await), (Ok(()), Ok(())));
    south.gate.journal().flush().await.unwrap();
    assert_eq!((status(&south, 1), status(&north, 2)), (Status::Running, Status::Running));
    for (run, host) in [(1, north.gate.journal().at()), (2, south.gate.journal().at())] {
        assert_eq!(OpenRun::of(&*store, RunId(run)), Ok(Some(OpenRun { at: host, parked: None })));
        let first = SegmentId { host: host.host, number: 0 };
        assert_eq!(store.has(&keys::index(RunId(run), first)), Ok(true), "each log begins with 0");
    }
    assert_eq!((north.tokens(), south.tokens()), ((6, 0), (5, 0)), "each keeps its own books");
    // A third opening of a name takes up what that host left, and nothing else.
    drop(north);
    let (north, found) = host_named(Arc::clone(&store), "north").await;
    assert_eq!(found.unfinished, [RunId(1)]);
    assert_eq!((status(&north, 1), status(&north, 2)), (Status::Suspended, Status::Running));
    assert_eq!(north.tokens().0, 6);
    assert_eq!(asks(&south, &of_south, 5).await, Ok(()), "it goes on");
    south.gate.end(&of_south, ending()).await.expect("it ends as if it were alone");
    drop((north, south));
    let audit = audit::verify(&*store, &[]).unwrap();
    assert_eq!((audit.broken, audit.others.len()), (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_name_was_taken_writes_nothing_and_reaches_nothing_outside_any_more() {
    let home = tempfile::tempdir().unwrap();
    let store = store(&home);
    let (first, _) = host_named(Arc::clone(&store), "north").await;
    let run = first.run(1);
    assert_eq!(asks(&first, &run, 3).await, Ok(()));
    first.gate.journal().flush().await.unwrap();
    let before = first.history.entries(RunId(1)).unwrap();
    let (second, found) = host_named(Arc::clone(&store), "north").await;
    assert_eq!(second.gate.journal().at(), HostEpoch { host: HostId::FIRST, epoch: 2 });
    assert_eq!(found.unfinished, [RunId(1)]);
    // Its intent cannot be written down, so the call does not leave.
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let late = first.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), move |_, _| async move {
        count.fetch_add(1, Ordering::Relaxed);
        Completed::of(Ok(()), tokens(1))
    });
    assert!(matches!(late.await, Err(Error::Unavailable(_))));
    assert_eq!(called.load(Ordering::Relaxed), 0);
    assert_eq!(run.trail.broken(), Some(StoreError::Fenced));
    assert_eq!(first.gate.end(&run, ending()).await, Err(StoreError::Fenced));
    drop(first);
    assert_eq!(second.history.entries(RunId(1)).unwrap(), before, "nothing of it came behind");
    assert_eq!(status(&second, 1), Status::Suspended);
    assert_eq!(second.tokens().0, 3);
    drop(second);
    assert_eq!(audit::verify(&*store, &[]).unwrap().broken, None);
}
