//! Runs as `agentry ps` lists them: the newest first, those that a question fits, read off one index and page by page, so that a list of any
//! length takes no more memory than a short one. It only reads.

use agentry_kernel::budget::Resource;
use agentry_kernel::journal::{Status, Unfinished, Wake};
use agentry_kernel::time::Millis;
use agentry_store::rows::parked::OpenRun;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Row, StoreError, keys, scan_all};

use crate::history::History;

/// Which runs are looked for; one that says nothing fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this agent.
    pub agent: Option<String>,
    /// That stand or ended in one of these ways; any, if there is none.
    pub status: Vec<Status>,
    /// That hold or held this label.
    pub label: Option<String>,
    /// That began then or later.
    pub since: Option<Millis>,
    /// That began before.
    pub until: Option<Millis>,
    /// That took more money than this, in millionths of a US dollar.
    pub cost_over_microusd: Option<u64>,
}

impl RunFilter {
    /// Whether what it asks of a run that goes on does not stand in its record.
    fn asks_for_so_far(&self, run: &RunRecord) -> bool {
        self.cost_over_microusd.is_some() && run.ended.is_none()
    }

    fn fits(&self, run: &RunRecord) -> bool {
        self.agent.as_ref().is_none_or(|agent| run.agent == *agent)
            && (self.status.is_empty() || self.status.contains(&run.status))
            && self.label.as_ref().is_none_or(|label| run.labels.has(label))
            && self.cost_over_microusd.is_none_or(|least| run.spent[Resource::Usd] > least)
    }
}

impl History {
    /// The runs that a filter fits, newest first; those that are older than the run `after`, if one is given. Rows are read as they are asked for:
    /// no more than began in the span of the filter.
    pub fn newest(
        &self,
        filter: RunFilter,
        after: Option<&RunRecord>,
    ) -> impl Iterator<Item = Result<RunRecord, StoreError>> + '_ {
        let mut range = keys::times(filter.since.unwrap_or_default(), filter.until).reversed();
        if let Some(after) = after {
            range = range.beyond(&after.place());
        }
        let asked = filter.clone();
        let listed = move |row: Result<Row, StoreError>| match self.listed(row?)? {
            Some(run) if asked.asks_for_so_far(&run) => self.so_far(run).map(Some),
            run => Ok(run),
        };
        let records = scan_all(&**self.store(), range).map(listed).filter_map(Result::transpose);
        records.filter(move |run| run.as_ref().map_or(true, |run| filter.fits(run)))
    }

    /// The record of a run that has not ended, with what its journal says that it has made and taken so far: the record itself says so at the
    /// end alone. Its fuel and its wall time are taken at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn so_far(&self, run: RunRecord) -> Result<RunRecord, StoreError> {
        if run.ended.is_some() {
            return Ok(run);
        }
        let mut failed = None;
        let parts = self.parts(run.id).map_while(|part| part.map_err(|error| failed = Some(error)).ok());
        let past = Unfinished::of(parts.flatten());
        if let Some(error) = failed {
            return Err(error);
        }
        // One that came out of a file took nothing here.
        Ok(past.map_or_else(
            || run.clone(),
            |Unfinished { spent, calls, refused, .. }| RunRecord { spent, calls, refused, ..run.clone() },
        ))
    }

    /// What brings each of these runs back; none for those that have not left memory while they wait.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn wakes(&self, runs: &[RunRecord]) -> Result<Vec<Option<Wake>>, StoreError> {
        let rests = |run: &RunRecord| run.status == Status::Suspended;
        let open: Vec<_> = runs.iter().filter(|run| rests(run)).map(|run| keys::open(run.id)).collect();
        let mut rows = if open.is_empty() { Vec::new() } else { self.store().get_each(&open)? }.into_iter();
        let mut wake = |run: &RunRecord| -> Result<Option<Wake>, StoreError> {
            let Some(row) = Some(run).filter(|run| rests(run)).and_then(|_| rows.next()).flatten() else {
                return Ok(None);
            };
            Ok(OpenRun::decode(&row)?.parked.and_then(|rest| rest.wake))
        };
        runs.iter().map(&mut wake).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use agentry_kernel::budget::Amounts;
    use agentry_kernel::call::RunId;
    use agentry_kernel::labels::Labels;
    use agentry_store::{Batch, Key, Page, Range, RedbStore, Store, Value};
    use futures::future::BoxFuture;

    use super::*;
    use crate::fixture;

    /// A store that counts the rows which are read of it.
    struct Counting(RedbStore, AtomicUsize);

    impl Counting {
        fn read(&self) -> usize {
            self.1.swap(0, Ordering::Relaxed)
        }
    }

    impl Store for Counting {
        fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
            self.0.commit(batch)
        }

        fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.get(key)
        }

        fn scan(&self, range: &Range, page: Page) -> Result<Vec<(Key, Value)>, StoreError> {
            let rows = self.0.scan(range, page)?;
            self.1.fetch_add(rows.len(), Ordering::Relaxed);
            Ok(rows)
        }
    }

    const RUNS: u64 = 5_000;
    const SECOND: u64 = 1_000;

    fn run(id: u64) -> RunRecord {
        let first = fixture::record(RunId(id));
        RunRecord {
            started: Millis(id * SECOND),
            agent: if id.is_multiple_of(1_000) { "rare" } else { "scribe" }.to_owned(),
            status: if id.is_multiple_of(10) { Status::Failed } else { Status::Done },
            labels: if id.is_multiple_of(50) { Labels::of(["untrusted"]) } else { Labels::NONE },
            spent: Amounts::of(Resource::Usd, id),
            ..first
        }
    }

    async fn home(place: &std::path::Path) -> (Arc<Counting>, History) {
        let store = Arc::new(Counting(RedbStore::open(place).unwrap(), AtomicUsize::new(0)));
        let mut batch = Batch::default();
        (1..=RUNS).for_each(|id| run(id).write(&mut batch));
        store.commit(batch).await.unwrap();
        (Arc::clone(&store), History::over(store))
    }

    fn ids(runs: impl Iterator<Item = Result<RunRecord, StoreError>>) -> Vec<u64> {
        runs.map(|run| run.unwrap().id.0).collect()
    }

    #[tokio::test]
    async fn a_list_reads_one_row_a_run_and_a_page_no_more_than_its_part() {
        let place = tempfile::tempdir().unwrap();
        let (store, history) = home(place.path()).await;
        assert_eq!(
            ids(history.newest(RunFilter::default(), None).take(20)),
            (RUNS - 19..=RUNS).rev().collect::<Vec<_>>()
        );
        assert!(store.read() <= Page::PART.rows, "a page of 20 reads one part");
        assert_eq!(ids(history.newest(RunFilter::default(), None)).len() as u64, RUNS);
        assert_eq!(store.read() as u64, RUNS, "all of them take one row each");
        let rare = RunFilter { agent: Some("rare".to_owned()), ..RunFilter::default() };
        assert_eq!(ids(history.newest(rare, None)), [5_000, 4_000, 3_000, 2_000, 1_000]);
        assert_eq!(store.read() as u64, RUNS);
        let span =
            RunFilter { since: Some(Millis(100 * SECOND)), until: Some(Millis(200 * SECOND)), ..RunFilter::default() };
        assert_eq!(ids(history.newest(span, None)), (100..200).rev().collect::<Vec<_>>());
        assert_eq!(store.read(), 100, "what began at another time is not read");
    }

    #[tokio::test]
    async fn filters_hold_together_and_a_page_goes_on_behind_the_last_one() {
        let place = tempfile::tempdir().unwrap();
        let (_, history) = home(place.path()).await;
        let filter = RunFilter {
            status: vec![Status::Failed],
            label: Some("untrusted".to_owned()),
            cost_over_microusd: Some(4_700),
            ..RunFilter::default()
        };
        let pages = |after: Option<&RunRecord>| ids(history.newest(filter.clone(), after).take(3));
        assert_eq!(pages(None), [5_000, 4_950, 4_900]);
        assert_eq!(pages(Some(&run(4_900))), [4_850, 4_800, 4_750]);
        assert_eq!(pages(Some(&run(4_750))), Vec::<u64>::new());
    }
}
