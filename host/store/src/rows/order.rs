//! Orders of runs that were given a key: so that one who asks again, because nobody heard the answer, gets the run that was begun and no second one.

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use super::run::{decode, encode};
use crate::{Batch, Expect, Page, Range, Store, StoreError, keys};

const PAGE: Page = Page { rows: 1024, bytes: 1024 * 1024 };

/// What was ordered under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The run that is begun for it; it may not have begun yet.
    pub run: RunId,
    /// When it was given.
    pub at: Millis,
    /// The name of all that was ordered.
    pub what: Digest,
}

impl Order {
    /// The order under this key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, key: &str) -> Result<Option<Self>, StoreError> {
        store.get(&keys::order(key))?.map(|row| decode(&row)).transpose()
    }

    /// Into a batch that holds only if the key is free.
    pub fn claim(&self, key: &str, batch: &mut Batch) {
        batch.expect(keys::order(key), Expect::Absent);
        batch.put(keys::order(key), encode(self));
    }
}

/// Forgets the orders from before this time: nobody asks for them again.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn forget_before(store: &dyn Store, before: Millis) -> Result<(), StoreError> {
    let (mut range, mut batch) = (Range::of(keys::ORDERS), Batch::default());
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { break };
        range = range.after(last);
        for (key, row) in &rows {
            if decode::<Order>(row).is_ok_and(|order| order.at < before) {
                batch.remove(key.clone());
            }
        }
    }
    if batch.writes.is_empty() { Ok(()) } else { store.commit(batch).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedbStore;

    #[tokio::test]
    async fn a_key_is_taken_once_and_forgotten_when_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let order = Order { run: RunId(7), at: Millis(100), what: Digest([3; 32]) };
        let claim = |key: &str| {
            let mut batch = Batch::default();
            order.claim(key, &mut batch);
            store.commit(batch)
        };
        assert_eq!((claim("a").await, claim("a").await), (Ok(()), Err(StoreError::Conflict)));
        assert_eq!((Order::of(&store, "a"), Order::of(&store, "b")), (Ok(Some(order)), Ok(None)));
        forget_before(&store, Millis(100)).await.unwrap();
        assert_eq!(Order::of(&store, "a"), Ok(Some(order)));
        forget_before(&store, Millis(101)).await.unwrap();
        assert_eq!(Order::of(&store, "a"), Ok(None));
    }
}
