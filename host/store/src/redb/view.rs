//! The store as it stood at one moment: one read transaction that is held. It never writes, and what it holds is let go of with it.

use std::ops::Bound;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use redb::{ReadTransaction, ReadableDatabase};

use super::{TABLE, failed, get, has, scan};
use crate::{Batch, Measured, Page, Range, Row, Store, StoreError, Value};

/// Rows that are measured at once: some tenths of a second, from a disk.
const MEASURED_MAX_ROWS: u64 = 100_000;
/// The same in bytes, which the disk gives more slowly than rows.
const MEASURED_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// One moment of a store.
struct View(ReadTransaction);

/// That of this moment.
pub(super) fn of(database: &impl ReadableDatabase) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(View(database.begin_read().map_err(|error| failed(error.into()))?)))
}

/// What the rows of a range take, without a copy of them.
pub(super) fn measure(transaction: &ReadTransaction, range: &Range) -> Result<Measured, StoreError> {
    let mut measured = Measured::default();
    if range.from >= range.to {
        return Ok(measured);
    }
    let table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
    let bounds = (Bound::Included(range.from.as_slice()), Bound::Excluded(range.to.as_slice()));
    for row in table.range::<&[u8]>(bounds).map_err(|error| failed(error.into()))? {
        let (key, value) = row.map_err(|error| failed(error.into()))?;
        measured.rows += 1;
        measured.bytes += (key.value().len() + value.value().len()) as u64;
        if measured.rows >= MEASURED_MAX_ROWS || measured.bytes >= MEASURED_MAX_BYTES {
            measured.rest = Some(range.clone().after(key.value()));
            break;
        }
    }
    Ok(measured)
}

impl Store for View {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        get(&self.0, key)
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        has(&self.0, key)
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
        scan(&self.0, range, page)
    }

    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        measure(&self.0, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RedbStore, measure_all};

    #[tokio::test]
    async fn a_view_stands_still_while_others_write_and_when_the_store_is_closed_says_so() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let put = |value: &[u8]| {
            let mut batch = Batch::default();
            batch.put(b"m1".to_vec(), value.to_vec());
            store.commit(batch)
        };
        put(b"one").await.unwrap();
        let view = store.snapshot().unwrap();
        put(b"three").await.unwrap();
        assert_eq!(view.get(b"m1").unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(store.get(b"m1").unwrap().as_deref(), Some(b"three".as_slice()));
        let measured = |store: &dyn Store| measure_all(store, Range::of(b"m")).unwrap();
        assert_eq!((measured(&*view).bytes, measured(&store).bytes), (5, 7));
        assert_eq!(measured(&store).rows, 1);
        drop(store);
        let closed = [view.get(b"m1").is_err(), view.scan(&Range::of(b""), Page::PART).is_err()];
        assert_eq!(closed, [true, true]);
        drop(view);
        RedbStore::open(home.path()).unwrap();
    }
}
