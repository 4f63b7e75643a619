//! After a host has stopped, however it did: its runs that have not ended go on holding what they hold, and their records say that they are
//! suspended; nobody knows of anything else that was held, so it is spent. Journals stay as they are, and so does all that other hosts of the
//! same store have: their runs may live.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_kernel::budget::{Amounts, Books, Resource};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::{Status, Unfinished};
use agentry_kernel::kernel::RateState;
use agentry_kernel::limits::CHILD_DEPTH_MAX;
use agentry_store::ids::{HostEpoch, HostId};
use agentry_store::rows::host::HostRow;
use agentry_store::rows::parked::OpenRun;
use agentry_store::rows::run::{RunRecord, encode};
use agentry_store::rows::usage;
use agentry_store::{Batch, Page, Range, Store, StoreError, keys, rows, scan_all};

use super::chain::Tip;
use super::log;

/// What a run's record says whose journal cannot bring it back.
pub const LOST: &str = "the host stopped before the run had ended, and its journal does not bring it back";

/// What the last host left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every agent's books and the site's; what they hold is for the unfinished runs.
    pub books: Vec<(String, Books)>,
    /// When rules with a `rate` let calls through.
    pub rates: Vec<RateState>,
    /// Runs that the host lost and that go on when somebody says so.
    pub unfinished: Vec<RunId>,
    /// How far the log of this host goes.
    pub tip: Tip,
    /// Other hosts of the store, and how many runs of each have not ended: these are left alone, for they may live there.
    pub elsewhere: Vec<(HostId, HostRow, u64)>,
}

pub(crate) async fn recover(store: &Arc<dyn Store>, at: HostEpoch) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut batch = Batch::default();
    // Version 1 did not count what agents keep, and before there were hosts letters and notices counted for nobody.
    let mut old = at.epoch == 1;
    let left = left_open(store, at.host, &mut batch)?;
    each(store, keys::BOOKS, |key, value| {
        let Some((_, agent)) = keys::books_of(key).filter(|(host, _)| *host == at.host) else { return Ok(()) };
        let mut books = rows::run::books(value)?;
        old |= rows::run::is_old(value);
        let before = books;
        books.write_off(left.holds.get(&agent).unwrap_or(&Amounts::ZERO));
        if books != before {
            batch.put(key.to_vec(), encode(&books));
        }
        recovered.books.push((agent, books));
        Ok(())
    })?;
    each(store, keys::RATES, |key, value| {
        if let Some((_, agent, rule)) = keys::rate_of(key).filter(|(host, ..)| *host == at.host) {
            recovered.rates.push(RateState { agent, rule, times: rows::run::decode(value)? });
        }
        Ok(())
    })?;
    if old || left.cut {
        recount(store, at.host, &mut recovered.books, &mut batch)?;
    }
    recovered.unfinished = left.runs;
    let others = rows::host::all(&**store)?.into_iter().filter(|(host, _)| *host != at.host);
    recovered.elsewhere =
        others.map(|(host, row)| (host, row, left.elsewhere.get(&host).copied().unwrap_or(0))).collect();
    recovered.tip = tip(store, at.host)?;
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok(recovered)
}

/// How far the log of a host goes. A tip that is behind the log was tampered with: what comes goes behind all that is there, and an audit
/// finds the place.
fn tip(store: &Arc<dyn Store>, host: HostId) -> Result<Tip, StoreError> {
    let first = Tip::first(host);
    let last = store.scan(&Range::of(&keys::log(host)).reversed(), Page { rows: 1, bytes: 1 })?;
    let next = last.first().and_then(|(key, _)| keys::segment_of(key)).map_or(first.next, |last| last.next());
    Ok(match Tip::read(&**store, host)? {
        Some(tip) => Tip { next: tip.next.max(next), ..tip },
        None => Tip { next, ..first },
    })
}

/// Runs that have not ended.
#[derive(Default)]
struct Left {
    /// Of earlier epochs of this host, and not at rest.
    runs: Vec<RunId>,
    /// What they hold, by whose books.
    holds: BTreeMap<String, Amounts>,
    /// True if one of them was going on when the host stopped.
    cut: bool,
    /// How many other hosts have.
    elsewhere: BTreeMap<HostId, u64>,
}

impl Left {
    fn hold(&mut self, payer: &str, holds: Amounts) {
        for owner in [keys::SITE, payer] {
            let held = self.holds.entry(owner.to_owned()).or_default();
            *held = held.plus(holds);
        }
    }
}

fn left_open(store: &Arc<dyn Store>, host: HostId, batch: &mut Batch) -> Result<Left, StoreError> {
    let mut left = Left::default();
    each(store, keys::OPEN, |key, row| {
        let Some(run) = keys::number(key).map(RunId) else { return Ok(()) };
        let open = OpenRun::decode(row)?;
        if open.at.host != host {
            *left.elsewhere.entry(open.at.host).or_default() += 1;
            return Ok(());
        }
        if let Some(rest) = open.parked {
            left.hold(&rest.payer, rest.holds);
            return Ok(());
        }
        let Some(record) = rows::run::of(&**store, run)? else {
            batch.remove(key.to_vec());
            return Ok(());
        };
        left.cut |= record.status == Status::Running;
        // A journal that is damaged takes its own run with it and no other.
        let Some(holds) = log::entries(&**store, run).ok().and_then(|entries| Unfinished::of(&entries)) else {
            RunRecord { status: Status::Failed, failure: Some(LOST.to_owned()), ..record }.write(batch);
            return Ok(());
        };
        left.hold(&payer(&**store, &record)?, holds.holds());
        left.runs.push(run);
        if record.status == Status::Running {
            RunRecord { status: Status::Suspended, ..record }.write(batch);
        }
        Ok(())
    })?;
    Ok(left)
}

/// The agent on whose books a run draws: its own, or for a child the one of the run at the top.
pub fn payer(store: &dyn Store, record: &RunRecord) -> Result<String, StoreError> {
    let (mut payer, mut above) = (record.agent.clone(), record.parent);
    for _ in 0..=CHILD_DEPTH_MAX {
        let Some((parent, _)) = above else { break };
        let Some(parent) = rows::run::of(store, parent)? else { break };
        (payer, above) = (parent.agent, parent.parent);
    }
    Ok(payer)
}

/// Every agent's books and the site's, as this host keeps them.
pub fn each_books(store: &Arc<dyn Store>, host: HostId, mut found: impl FnMut(&str, Books)) -> Result<(), StoreError> {
    each(store, keys::BOOKS, |key, value| {
        if let Some((_, agent)) = keys::books_of(key).filter(|(of, _)| *of == host) {
            found(&agent, rows::run::books(value)?);
        }
        Ok(())
    })
}

/// What agents keep, counted anew: a run that did not end may have written something that no account knows of yet.
fn recount(
    store: &Arc<dyn Store>,
    host: HostId,
    books: &mut Vec<(String, Books)>,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let mut levels: BTreeMap<String, u64> = books.iter().map(|(agent, _)| (agent.clone(), 0)).collect();
    let mut all: u64 = 0;
    let mut count = |(owner, bytes): (String, u64)| {
        let level = levels.entry(owner).or_default();
        *level = level.saturating_add(bytes);
        all = all.saturating_add(bytes);
    };
    for table in usage::kept() {
        each(store, table.prefix, |place, row| {
            usage::owners(place, row).into_iter().for_each(&mut count);
            Ok(())
        })?;
    }
    levels.insert(keys::SITE.to_owned(), all);
    for (agent, level) in levels {
        let place = books.iter().position(|(name, _)| *name == agent).unwrap_or_else(|| {
            books.push((agent.clone(), Books::default()));
            books.len() - 1
        });
        let Some((_, found)) = books.get_mut(place) else { continue };
        if found.day.spent[Resource::Storage] != level {
            found.day.spent[Resource::Storage] = level;
            batch.put(keys::books(host, &agent), encode(found));
        }
    }
    Ok(())
}

fn each(
    store: &Arc<dyn Store>,
    prefix: &[u8],
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    scan_all(&**store, Range::of(prefix)).try_for_each(|found| found.and_then(|(key, value)| row(&key, &value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_journal_that_is_cut_or_flipped_anywhere_takes_its_own_run_with_it_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        let host = fixture::host(home.path()).await;
        let (mine, other) = (host.run(1).run(), host.run(2).run());
        host.journal.flush().await.unwrap();
        let store = Arc::clone(host.journal.store());
        let index = store.scan(&Range::of(&keys::indices(mine)), Page::PART).unwrap();
        let place = keys::segment(keys::segment_of(&index[0].0).unwrap());
        let site = keys::books(HostId::FIRST, keys::SITE);
        let rows = [place.clone(), keys::run(mine), keys::open(mine), keys::run(other), site];
        let before = rows.map(|key| (key.clone(), store.get(&key).unwrap().unwrap()));
        let whole = before[0].1.clone();
        let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
        let flips = (0..whole.len() * 8).map(|bit| {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        for damaged in cuts.chain(flips).collect::<Vec<_>>() {
            let mut batch = Batch::default();
            before.iter().for_each(|(key, row)| batch.put(key.clone(), row.clone()));
            batch.put(place.clone(), damaged);
            store.commit(batch).await.unwrap();
            let recovered = recover(&store, host.journal.at()).await.unwrap();
            assert!(recovered.unfinished.contains(&other), "another run is gone");
            let record = rows::run::of(&*store, mine).unwrap().unwrap();
            let lost = record.status == Status::Failed && record.failure.as_deref() == Some(LOST);
            assert!(lost || recovered.unfinished == [mine, other], "{record:?}");
        }
    }
}
