//! Which journals go: those of runs that were over long enough ago, that an admin does not want kept, that nothing names and that work for no run
//! whose journal stays. It only reads.

use std::collections::HashSet;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::retention::Retention;
use agentry_kernel::time::Millis;
use agentry_store::ids::{HostId, SegmentId};
use agentry_store::rows::cause::PendingCause;
use agentry_store::rows::mail::{Dead, Waiting};
use agentry_store::rows::memory;
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Page, Range, Store, StoreError, Value, keys, scan_all};

use super::Pruning;
use crate::audit::contents;
use crate::segment::{self, Stub};
use crate::{Tip, log};

/// Runs that are looked at together.
const PAGE: Page = Page { rows: 256, bytes: 64 * 1024 };

/// A journal that goes.
pub(super) struct Going {
    pub(super) run: RunId,
    /// The run's record as it stands.
    pub(super) record: Value,
    pub(super) stubs: Vec<(SegmentId, Stub)>,
    /// What it named.
    pub(super) names: HashSet<Digest>,
    pub(super) receipt: Receipt,
}

/// What goes of a store, run by run, in the order in which these began.
pub(super) struct Choice<'a> {
    store: &'a dyn Store,
    retention: &'a Retention,
    host: HostId,
    before: Millis,
    /// Runs that have not been looked at, by time.
    rest: Option<Range>,
    page: std::vec::IntoIter<RunId>,
    /// Runs that letters, entries of memory and causes name.
    named: HashSet<RunId>,
    /// Those that go.
    pub(super) going: HashSet<RunId>,
}

impl<'a> Choice<'a> {
    pub(super) fn of(store: &'a dyn Store, how: &Pruning<'a>) -> Result<Self, StoreError> {
        let Pruning { retention, host, now, .. } = *how;
        let before = retention.before(now);
        let rest = Range { to: keys::time(Millis(before.0.saturating_add(1)), RunId(0)), ..Range::of(keys::TIMES) };
        let (page, going) = (Vec::new().into_iter(), HashSet::new());
        Ok(Self { store, retention, host, before, rest: Some(rest), page, named: named(store)?, going })
    }

    /// The next journal that goes; counts the runs before it that are over for as long and stay.
    pub(super) fn next(&mut self, kept: &mut u64) -> Result<Option<Going>, StoreError> {
        while let Some(run) = self.next_run()? {
            let Some(row) = self.store.get(&keys::run(run))? else { continue };
            let record = RunRecord::decode(&row)?;
            let over = !matches!(record.status, Status::Running | Status::Suspended)
                && record.ended.is_some_and(|ended| ended <= self.before);
            if !over || self.store.has(&keys::open(run))? || self.store.has(&keys::receipt(run))? {
                continue;
            }
            match self.going(row, &record)? {
                Some(going) => {
                    self.going.insert(run);
                    return Ok(Some(going));
                }
                None => *kept += 1,
            }
        }
        Ok(None)
    }

    fn next_run(&mut self) -> Result<Option<RunId>, StoreError> {
        loop {
            if let Some(run) = self.page.next() {
                return Ok(Some(run));
            }
            let Some(range) = self.rest.take() else { return Ok(None) };
            let rows = self.store.scan(&range, PAGE)?;
            self.rest = rows.last().map(|(last, _)| range.after(last));
            let runs: Vec<_> = rows.iter().filter_map(|(key, _)| keys::number(key).map(RunId)).collect();
            self.page = runs.into_iter();
        }
    }

    fn going(&self, row: Value, record: &RunRecord) -> Result<Option<Going>, StoreError> {
        if self.named.contains(&record.id) || !self.goes_above(record)? {
            return Ok(None);
        }
        // Read only where somebody could want it kept or it is to go; one that is damaged stays for whoever mends it.
        let (going, approved) = match journal(self.store, row, record.id) {
            Err(StoreError::Damaged { .. }) => return Ok(None),
            read => read?,
        };
        let ours = |going: &Going| going.stubs.iter().all(|(id, _)| id.host == self.host);
        Ok(going.filter(ours).filter(|_| !self.retention.keep.keeps(record.status, || approved)))
    }

    /// Whether the journal of the run that it worked for goes or went, if it worked for one.
    fn goes_above(&self, record: &RunRecord) -> Result<bool, StoreError> {
        let Some((above, _)) = record.parent else { return Ok(true) };
        Ok(self.going.contains(&above)
            || self.store.has(&keys::receipt(above))?
            || !self.store.has(&keys::run(above))?)
    }
}

/// A journal, if it may go; and whether people said yes in it. One that was begun before there was a chain stays.
fn journal(store: &dyn Store, record: Value, run: RunId) -> Result<(Option<Going>, bool), StoreError> {
    let receipt = Receipt { at: Millis(0), segments: 0, entries: 0, bytes: 0, digest: Digest::default() };
    let mut going = Going { run, record, stubs: Vec::new(), names: HashSet::new(), receipt };
    let (mut approved, mut chained) = (false, true);
    log::each_segment_at(store, run, |id, bytes| {
        let (of, entries) = segment::decode(bytes)?;
        let link = segment::link(bytes);
        chained &= link.is_some() && of == run;
        let link = link.unwrap_or_default();
        let stub = Stub { run, link, head: Tip { next: id, head: link }.after(bytes).head };
        going.stubs.push((id, stub));
        let receipt = &mut going.receipt;
        receipt.segments += 1;
        receipt.entries += entries.len() as u64;
        receipt.bytes += bytes.len() as u64;
        receipt.digest = segment::gone(receipt.digest, stub.head);
        for entry in &entries {
            approved |= matches!(entry, Entry::Approved { .. });
            going.names.extend(contents::named(entry, true).into_iter().map(|(digest, _)| digest));
        }
        Ok(())
    })?;
    Ok(((chained && !going.stubs.is_empty()).then_some(going), approved))
}

/// Runs that letters, entries of memory and causes name.
fn named(store: &dyn Store) -> Result<HashSet<RunId>, StoreError> {
    let mut runs = HashSet::new();
    for row in scan_all(store, Range::of(keys::MEMORY)) {
        runs.extend(memory::decode(&row?.1)?.0.live.map(|live| live.run));
    }
    for row in scan_all(store, Range::of(keys::MAIL)) {
        let (key, row) = row?;
        match keys::letter_of(&key) {
            Some((_, false, _)) => drop(runs.insert(Waiting::decode(&row)?.run)),
            Some((_, true, _)) => drop(runs.insert(Dead::decode(&row)?.letter.run)),
            None => {}
        }
    }
    for row in scan_all(store, Range::of(keys::CAUSES)) {
        runs.insert(PendingCause::decode(&row?.1)?.run);
    }
    Ok(runs)
}
