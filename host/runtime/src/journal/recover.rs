//! After a host has stopped, however it did: nobody knows what its calls in flight cost, so what was held is spent; and
//! its runs are over, so their records say so. Their journals stay as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_kernel::budget::{Books, Resource};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_kernel::kernel::Rated;

use super::chain::Tip;
use super::record::{self, RunRecord, encode};
use crate::drivers::memory::keeper;
use crate::store::{Batch, Page, Range, Store, StoreError, keys};

/// What a run's record says when the host stopped before it had ended.
pub const INTERRUPTED: &str = "the host stopped before the run had ended";

const PAGE: Page = Page { rows: 1024, bytes: 4 * 1024 * 1024 };

/// What the last host left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every agent's books and the site's, with nothing held.
    pub books: Vec<(String, Books)>,
    /// When rules with a `rate` let calls through.
    pub rates: Vec<Rated>,
    /// Runs that it did not end.
    pub interrupted: Vec<RunId>,
    /// How far the log goes.
    pub tip: Tip,
}

pub(super) async fn recover(store: &Arc<dyn Store>) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut batch = Batch::default();
    // Version 1 did not count what agents keep.
    let mut old = false;
    each(store, keys::BOOKS, |key, value| {
        let mut books = record::books(value)?;
        old |= record::is_old(value);
        let before = books;
        books.write_off();
        if books != before {
            batch.put(key.to_vec(), encode(&books));
        }
        let agent = String::from_utf8_lossy(&key[keys::BOOKS.len()..]).into_owned();
        recovered.books.push((agent, books));
        Ok(())
    })?;
    each(store, keys::RATES, |key, value| {
        if let Some((agent, rule)) = keys::rate_of(key) {
            recovered.rates.push(Rated { agent, rule, times: record::decode(value)? });
        }
        Ok(())
    })?;
    each(store, keys::OPEN, |key, _| {
        recovered.interrupted.extend(keys::number(key).map(RunId));
        Ok(())
    })?;
    if old || !recovered.interrupted.is_empty() {
        recount(store, &mut recovered.books, &mut batch)?;
    }
    for run in &recovered.interrupted {
        batch.remove(keys::open(*run));
        let Some(bytes) = store.get(&keys::run(*run))? else { continue };
        let record =
            RunRecord { status: Status::Failed, failure: Some(INTERRUPTED.to_owned()), ..RunRecord::decode(&bytes)? };
        record.write(&mut batch);
    }
    let last = store.scan(&Range::of(keys::LOG).reversed(), Page { rows: 1, bytes: 1 })?;
    let next = last.first().and_then(|(key, _)| keys::number(key)).map_or(0, |number| number + 1);
    // A tip that is behind the log was tampered with: what comes goes behind all that is there, and an audit finds the place.
    recovered.tip = match Tip::read(&**store)? {
        Some(tip) => Tip { next: tip.next.max(next), ..tip },
        None => Tip { next, ..Tip::default() },
    };
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok(recovered)
}

/// Every agent's books and the site's, as they are stored.
pub(crate) fn each_books(store: &Arc<dyn Store>, mut found: impl FnMut(&str, Books)) -> Result<(), StoreError> {
    each(store, keys::BOOKS, |key, value| {
        found(&String::from_utf8_lossy(key.get(keys::BOOKS.len()..).unwrap_or_default()), record::books(value)?);
        Ok(())
    })
}

/// What agents keep, counted anew: a run that did not end may have written something that no account knows of yet.
fn recount(store: &Arc<dyn Store>, books: &mut Vec<(String, Books)>, batch: &mut Batch) -> Result<(), StoreError> {
    let mut levels: BTreeMap<String, u64> = books.iter().map(|(agent, _)| (agent.clone(), 0)).collect();
    let mut all: u64 = 0;
    each(store, keys::MEMORY, |place, row| {
        if let Some((author, bytes)) = keeper(place, row) {
            let level = levels.entry(author).or_default();
            *level = level.saturating_add(bytes);
            all = all.saturating_add(bytes);
        }
        Ok(())
    })?;
    levels.insert(keys::SITE.to_owned(), all);
    for (agent, level) in levels {
        let place = books.iter().position(|(name, _)| *name == agent).unwrap_or_else(|| {
            books.push((agent.clone(), Books::default()));
            books.len() - 1
        });
        let Some((_, found)) = books.get_mut(place) else { continue };
        if found.day.spent[Resource::Storage] != level {
            found.day.spent[Resource::Storage] = level;
            batch.put(keys::books(&agent), encode(found));
        }
    }
    Ok(())
}

fn each(
    store: &Arc<dyn Store>,
    prefix: &[u8],
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut range = Range::of(prefix);
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        range = range.after(last);
        rows.iter().try_for_each(|(key, value)| row(key, value))?;
    }
}
