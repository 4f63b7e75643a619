//! How far the time of a host has come, so that the next one begins no earlier. It is written now and then and may be behind by as much.

use agentry_kernel::time::Millis;

use crate::ids::HostId;
use crate::{Batch, Store, StoreError, keys};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// How far it has come; none if no host wrote that down yet.
///
/// # Errors
/// When the store cannot be read, or the row is none.
pub fn mark(store: &dyn Store, host: HostId) -> Result<Option<Millis>, StoreError> {
    let Some(row) = store.get(&keys::clock(host))? else { return Ok(None) };
    let at = row.strip_prefix(&[FORMAT]).and_then(|rest| rest.try_into().ok()).map(u64::from_be_bytes);
    let damaged = || StoreError::Damaged { why: "a time of a host that does not decode".to_owned() };
    Ok(Some(Millis(at.ok_or_else(damaged)?)))
}

/// Writes it down.
pub fn put(batch: &mut Batch, host: HostId, at: Millis) {
    batch.put(keys::clock(host), [&[FORMAT], at.0.to_be_bytes().as_slice()].concat());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedbStore;

    #[tokio::test]
    async fn the_time_of_a_host_stays_readable_and_is_that_host_s_alone() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let mut batch = Batch::default();
        put(&mut batch, HostId::FIRST, Millis(0x0102_0304));
        assert_eq!(batch.writes.len(), 1);
        store.commit(batch).await.unwrap();
        assert_eq!(store.get(b"y"), Ok(Some(vec![1, 0, 0, 0, 0, 1, 2, 3, 4])));
        assert_eq!(mark(&store, HostId::FIRST), Ok(Some(Millis(0x0102_0304))));
        assert_eq!(mark(&store, HostId(7)), Ok(None));
        let mut batch = Batch::default();
        batch.put(keys::clock(HostId(7)), vec![9, 9]);
        store.commit(batch).await.unwrap();
        assert!(mark(&store, HostId(7)).is_err());
    }
}
