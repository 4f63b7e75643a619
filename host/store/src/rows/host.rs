//! The hosts that write one store: each has a number, a name of its own, and an epoch that grows with each opening. Whoever takes the next epoch of
//! a name shuts out the one before: every batch of a host expects the row of its own epoch, see [`crate::FencedStore`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{HostEpoch, HostId};
use crate::{Batch, Expect, Range, Row, Store, StoreError, Value, keys, scan_all};

/// The name of the host of a home: only one at a time can have the store that lies there.
pub const HOME: &str = "home";

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// How often a number or an epoch is tried to be taken that others take at the same moment.
const TRIES_MAX: usize = 64;

/// The row of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// What it is called; no two hosts of a store are called the same.
    pub name: String,
    /// Which opening of it is the newest.
    pub epoch: u64,
}

impl HostRow {
    /// As it is stored.
    pub fn encode(&self) -> Value {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let row = row.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        row.ok_or_else(|| StoreError::Damaged { why: "a host that does not decode".to_owned() })
    }
}

/// All hosts of a store, by their numbers.
///
/// # Errors
/// When the store cannot be read.
pub fn all(store: &dyn Store) -> Result<Vec<(HostId, HostRow)>, StoreError> {
    let decoded = |(key, row): Row| {
        let host = keys::host_number(&key);
        Ok((host.ok_or(StoreError::Damaged { why: "a host without a number".to_owned() })?, HostRow::decode(&row)?))
    };
    scan_all(store, Range::of(keys::HOSTS)).map(|row| row.and_then(decoded)).collect()
}

/// The number of the host of this name; the first one if there is none yet.
///
/// # Errors
/// When the store cannot be read.
pub fn named(store: &dyn Store, name: &str) -> Result<HostId, StoreError> {
    Ok(all(store)?.into_iter().find(|(_, row)| row.name == name).map_or(HostId::FIRST, |(host, _)| host))
}

/// Takes the next epoch of the host of this name, and a number if it has none: the first host of a store takes over what stands there from
/// before there were hosts. From then on, nothing of its earlier epochs is written any more.
///
/// # Errors
/// When the store cannot be read or written, or holds as many hosts as there are numbers.
pub async fn register(store: &Arc<dyn Store>, name: &str) -> Result<HostEpoch, StoreError> {
    for _ in 0..TRIES_MAX {
        let hosts = all(&**store)?;
        let mut batch = Batch::default();
        let (host, epoch) = match hosts.iter().find(|(_, row)| row.name == name) {
            Some((host, row)) => {
                batch.expect(keys::host(*host), Expect::Equals(row.encode()));
                (*host, row.epoch + 1)
            }
            None => {
                let number = hosts.last().map_or(Some(0), |(last, _)| last.0.checked_add(1));
                let host = HostId(number.ok_or(StoreError::TooManyHosts)?);
                batch.expect(keys::host(host), Expect::Absent);
                (host, 1)
            }
        };
        batch.put(keys::host(host), HostRow { name: name.to_owned(), epoch }.encode());
        match store.commit(batch).await {
            Ok(()) => return Ok(HostEpoch { host, epoch }),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::{FencedStore, RedbStore};

    #[test]
    fn the_row_of_a_host_stays_readable() {
        let row = HostRow { name: "north-1".to_owned(), epoch: 300 };
        let hex: String = row.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        expect_file!["../../../../tests/golden/host-1.hex"].assert_eq(&(hex + "\n"));
        assert_eq!(HostRow::decode(&row.encode()), Ok(row));
        assert!(HostRow::decode(&[]).is_err() && HostRow::decode(&[9, 0]).is_err());
    }

    #[tokio::test]
    async fn a_host_keeps_its_number_and_each_opening_of_it_shuts_out_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
        let put = |fenced: &FencedStore, value: &[u8]| {
            let mut batch = Batch::default();
            batch.put(b"x".to_vec(), value.to_vec());
            fenced.commit(batch)
        };
        let open = async |name: &str| {
            let at = register(&store, name).await.unwrap();
            (at, FencedStore::new(Arc::clone(&store), name, at))
        };
        let (north, of_north) = open("north").await;
        let (south, of_south) = open("south").await;
        assert_eq!((north, south), (HostEpoch { host: HostId(0), epoch: 1 }, HostEpoch { host: HostId(1), epoch: 1 }));
        assert_eq!((put(&of_north, b"a").await, put(&of_south, b"b").await), (Ok(()), Ok(())));
        let (again, of_again) = open("north").await;
        assert_eq!(again, HostEpoch { epoch: 2, ..north });
        assert_eq!(put(&of_north, b"late").await, Err(StoreError::Fenced));
        assert_eq!(of_north.commit(Batch::default()).await, Err(StoreError::Fenced), "nor is it told that all is well");
        assert_eq!(store.get(b"x"), Ok(Some(b"b".to_vec())));
        assert_eq!((put(&of_again, b"c").await, put(&of_south, b"d").await), (Ok(()), Ok(())));
        assert_eq!((named(&*store, "south"), named(&*store, "west")), (Ok(HostId(1)), Ok(HostId::FIRST)));
    }

    #[tokio::test]
    async fn of_many_that_open_at_once_each_has_a_number_or_an_epoch_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
        let names: Vec<String> = (0..8).map(|place| format!("host-{}", place % 4)).collect();
        let all = futures::future::join_all(names.iter().map(|name| register(&store, name))).await;
        let mut all: Vec<_> = all.into_iter().map(|at| at.unwrap()).map(|at| (at.host, at.epoch)).collect();
        all.sort_unstable();
        let each: Vec<_> = (0..4).flat_map(|host| [(HostId(host), 1), (HostId(host), 2)]).collect();
        assert_eq!(all, each);
    }
}
