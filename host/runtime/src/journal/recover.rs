//! After a host has stopped, however it did: nobody knows what its calls in flight cost, so what was held is spent; and
//! its runs are over, so their records say so. Their journals stay as they are.

use std::sync::Arc;

use agentry_kernel::budget::Books;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;

use super::record::{self, RunRecord, encode};
use crate::store::{Batch, Page, Range, Store, StoreError, keys};

/// What a run's record says when the host stopped before it had ended.
pub const INTERRUPTED: &str = "the host stopped before the run had ended";

const PAGE: Page = Page { rows: 1024, bytes: 4 * 1024 * 1024 };

/// What the last host left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every agent's books and the site's, with nothing held.
    pub books: Vec<(String, Books)>,
    /// Runs that it did not end.
    pub interrupted: Vec<RunId>,
    /// The number of the next segment.
    pub next: u64,
}

pub(super) async fn recover(store: &Arc<dyn Store>) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut batch = Batch::default();
    each(store, keys::BOOKS, |key, value| {
        let mut books = record::books(value)?;
        let before = books;
        books.write_off();
        if books != before {
            batch.put(key.to_vec(), encode(&books));
        }
        let agent = String::from_utf8_lossy(&key[keys::BOOKS.len()..]).into_owned();
        recovered.books.push((agent, books));
        Ok(())
    })?;
    each(store, keys::OPEN, |key, _| {
        recovered.interrupted.extend(keys::number(key).map(RunId));
        Ok(())
    })?;
    for run in &recovered.interrupted {
        batch.remove(keys::open(*run));
        let Some(bytes) = store.get(&keys::run(*run))? else { continue };
        let record =
            RunRecord { status: Status::Failed, failure: Some(INTERRUPTED.to_owned()), ..RunRecord::decode(&bytes)? };
        record.write(&mut batch);
    }
    let last = store.scan(&Range::of(keys::LOG).reversed(), Page { rows: 1, bytes: 1 })?;
    recovered.next = last.first().and_then(|(key, _)| keys::number(key)).map_or(0, |number| number + 1);
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok(recovered)
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
