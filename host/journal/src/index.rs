//! The index of runs by time: built once in a home of an older version, whose rows said only which run it was, and put in order again where a clock
//! was wrong. It changes nothing of a run but its place in lists, and takes up again where a host was killed.

use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_kernel::time::Millis;
use agentry_store::ids::HostId;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, keys};

use crate::log;

/// The version of the index: its rows are the records of runs.
const VERSION: &[u8] = &[1];

/// How often a part is begun anew that another host gets in the way of.
const TRIES_MAX: u32 = 16;

/// Writes the rows that are not there yet.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn build(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    if store.get(keys::TIMES)?.is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let (mut range, mut tries) = (Range::of(keys::TIMES), 0);
    loop {
        let part = store.scan(&range, Page::PART)?;
        let Some((last, _)) = part.last() else { break };
        let mut batch = Batch::default();
        for (key, _) in part.iter().filter(|(_, row)| row.is_empty()) {
            let Some(run) = keys::number(key).map(RunId) else { continue };
            let Some(row) = store.get(&keys::run(run))? else { continue };
            // One that does not decode is left to those who look at it.
            let Ok(record) = RunRecord::decode(&row) else { continue };
            batch.expect(keys::run(run), Expect::Equals(row));
            let trigger = record.trigger.clone().or(triggered(&**store, run));
            RunRecord { trigger, ..record }.write(&mut batch);
        }
        match if batch.writes.is_empty() { Ok(()) } else { store.commit(batch).await } {
            Err(StoreError::Conflict) if tries < TRIES_MAX => tries += 1,
            written => {
                written?;
                (range, tries) = (range.beyond(last), 0);
            }
        }
    }
    let mut batch = Batch::default();
    batch.put(keys::TIMES.to_vec(), VERSION.to_vec());
    store.commit(batch).await
}

/// A person set the clock of a host back: runs that began in a time that has not come stand behind those that begin from now on, in the order in
/// which they began. Those that live here, whose records are written by whoever carries them, are listed `now`.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn set_back(
    store: &Arc<dyn Store>,
    host: HostId,
    now: Millis,
    lives: impl Fn(RunId) -> bool,
) -> Result<(), StoreError> {
    let to_come = Range { from: keys::time(now.plus(1), RunId(0)), ..Range::of(keys::TIMES) };
    let (mut range, mut place) = (to_come.reversed(), now);
    loop {
        let part = store.scan(&range, Page::PART)?;
        let Some((last, _)) = part.last() else { return Ok(()) };
        for (key, _) in &part {
            let Some((_, run)) = keys::time_of(key) else { continue };
            // The newest first: each stands before the one that was looked at before it.
            place = Millis(place.0.saturating_sub(1));
            list(store, host, (key, run), if lives(run) { now } else { place }).await?;
        }
        range = range.beyond(last);
    }
}

/// Lists a run of this host there instead of under this key.
async fn list(store: &Arc<dyn Store>, host: HostId, (key, run): (&[u8], RunId), at: Millis) -> Result<(), StoreError> {
    for _ in 0..TRIES_MAX {
        let Some(row) = store.get(&keys::run(run))? else { return Ok(()) };
        let rows = store.scan(&Range::of(&keys::indices(run)), Page { rows: 1, bytes: usize::MAX })?;
        let of = rows.first().and_then(|(key, _)| keys::segment_of(key)).map(|first| first.host);
        // One that does not decode is left to those who look at it, and the time of another host is that host's.
        let (Ok(record), true) = (RunRecord::decode(&row), of == Some(host)) else { return Ok(()) };
        let mut batch = Batch::default();
        batch.expect(keys::run(run), Expect::Equals(row));
        batch.remove(key.to_vec());
        if record.place() == key {
            RunRecord { listed: Some(at), ..record }.write(&mut batch);
        }
        match store.commit(batch).await {
            Err(StoreError::Conflict) => {}
            written => return written,
        }
    }
    Err(StoreError::Conflict)
}

/// What started a run by itself, as its first segment says; a journal that is damaged says nothing.
fn triggered(store: &dyn Store, run: RunId) -> Option<String> {
    log::first(store, run).unwrap_or_default().into_iter().find_map(|entry| match entry {
        Entry::Triggered { by, .. } => Some(by),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use agentry_store::{RedbStore, rows};

    use super::*;
    use crate::Journal;
    use crate::fixture;

    /// The row of a run in the index; none if it has none.
    fn row(store: &dyn Store, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let Some(record) = rows::run::of(store, run)? else { return Ok(None) };
        let row = store.get(&keys::time(record.started, run))?.filter(|row| !row.is_empty());
        row.map(|row| RunRecord::decode(&row)).transpose()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_home_of_an_older_version_gets_its_index_once_and_no_run_changes() {
        let place = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(place.path()).unwrap());
        // Records of version 5, and rows that say only which run it is.
        let golden: Vec<Vec<u8>> = include_str!("../../../tests/golden/record-5.hex").lines().map(unhex).collect();
        let mut batch = Batch::default();
        let records = golden.iter().map(|row| RunRecord::decode(row).unwrap()).collect::<Vec<_>>();
        for (record, row) in records.iter().zip(&golden) {
            batch.put(keys::run(record.id), row.clone());
            batch.put(keys::time(record.started, record.id), Vec::new());
        }
        batch.put(keys::time(Millis(1), RunId(99)), Vec::new());
        let open = agentry_store::rows::parked::OpenRun { at: Default::default(), parked: None };
        batch.put(keys::open(records[0].id), open.encode());
        store.commit(batch).await.unwrap();
        let before: Vec<_> = records.iter().map(|record| row(&*store, record.id).unwrap()).collect();
        assert_eq!(before, [None, None]);
        build(&store).await.unwrap();
        for record in &records {
            assert_eq!(row(&*store, record.id).unwrap().as_ref(), Some(record));
            assert_eq!(rows::run::of(&*store, record.id).unwrap().as_ref(), Some(record));
        }
        assert!(store.has(&keys::open(records[0].id)).unwrap(), "a run that goes on goes on");
        assert_eq!(store.get(keys::TIMES).unwrap().as_deref(), Some(VERSION));
        // The second time nothing is looked at: a row that is taken away stays away.
        let mut batch = Batch::default();
        batch.put(keys::time(records[1].started, records[1].id), Vec::new());
        store.commit(batch).await.unwrap();
        build(&store).await.unwrap();
        assert_eq!(row(&*store, records[1].id), Ok(None));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_row_of_a_run_is_written_in_the_step_in_which_its_record_is() {
        let place = tempfile::tempdir().unwrap();
        let host = fixture::host(place.path()).await;
        let run = host.run(7);
        host.journal.flush().await.unwrap();
        let store = Arc::clone(Journal::store(&host.journal));
        let both = || (row(&*store, RunId(7)).unwrap(), rows::run::of(&*store, RunId(7)).unwrap());
        let (listed, kept) = both();
        assert!(listed.is_some() && listed == kept);
        host.end(&run, agentry_store::content::Content::of(*b"1"));
        host.journal.flush().await.unwrap();
        let (listed, kept) = both();
        assert!(listed.is_some_and(|run| run.ended.is_some() && Some(run) == kept));
        assert_eq!(store.get(keys::TIMES).unwrap().as_deref(), Some(VERSION));
    }
}
