//! What is filed of a run that has left memory, until it goes on.

use agentry_kernel::budget::Resource;
use agentry_kernel::journal::Wake;
use agentry_store::Batch;
use agentry_store::rows::parked::ParkedRun;
use agentry_store::rows::run::RunRecord;

use super::*;

fn rest() -> ParkedRun {
    let wake = Some(Wake { at: Millis(1_800_000_000_000), letter: true, person: false });
    let holds = Amounts::of(Resource::Fuel, 1000);
    ParkedRun { payer: "scribe".to_owned(), holds, wake, readers: vec!["scribe".to_owned()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_filed_of_a_run_is_gone_once_it_goes_on_even_if_it_leaves_at_once() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (journal, store) = (host.gate.journal(), Arc::clone(host.gate.journal().store()));
    let run = host.run(1);
    assert!(host.gate.suspend(run.id));
    journal.flush().await.unwrap();
    let mut batch = Batch::default();
    batch.put(keys::open(run.id), rest().encode(journal.at()));
    store.commit(batch).await.unwrap();
    assert_eq!(ParkedRun::of(&*store, run.id), Ok(Some(rest())));
    // Before anything is on disk.
    let record = run.record().unwrap();
    for status in [Status::Running, Status::Suspended] {
        let record = Some(RunRecord { status, ..record.clone() });
        let trail = Arc::new(agentry_journal::Trail::new(run.id));
        journal.append(&trail, &[], Extras { record, ..Extras::default() });
    }
    journal.flush().await.unwrap();
    assert_eq!(ParkedRun::of(&*store, run.id), Ok(None));
    assert_eq!(host.history.record(run.id).unwrap().map(|record| record.status), Some(Status::Suspended));
}
