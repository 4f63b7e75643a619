//! Gives room that a store does not use any more back to the disk. It takes the store for itself: no host has it meanwhile.

use std::fs;
use std::path::Path;

use redb::{Builder, CompactionError, DatabaseError, ReadableDatabase as _};

use super::{CACHE_BYTES, FILE, check_format, checkpoint, failed, leased, metadata, not_opened, opening, replayed};
use crate::StoreError;

/// Each pass moves what lies behind into the room before it; few are needed, and none is needed behind one that moved nothing.
const PASSES_MAX: usize = 64;

/// What a store took on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before_bytes: u64,
    /// And now.
    pub after_bytes: u64,
}

/// Compacts the store of this home; none if there is no store. Whenever it is stopped, the store is whole.
///
/// # Errors
/// When a host has it, it is not ours, or the disk does not do what it should.
pub fn compact(home: &Path) -> Result<Option<Compacted>, StoreError> {
    let path = home.join(FILE);
    let size = || fs::metadata(&path).map(|found| found.len()).map_err(|error| not_opened(&path, &error));
    if metadata(&path)?.is_none_or(|found| found.len() == 0) {
        return Ok(None);
    }
    let _lease = leased(home)?;
    let before_bytes = size()?;
    let mut database = Builder::new().set_cache_size(CACHE_BYTES).open(&path).map_err(|error| opening(error, &path))?;
    check_format(&database.begin_read().map_err(|error| failed(error.into()))?, &path)?;
    if let Some(mut log) = replayed(&database, &path)?.filter(|log| !log.is_empty()) {
        checkpoint(database.begin_write().map_err(|error| failed(error.into()))?, &mut log)?;
    }
    for _ in 0..PASSES_MAX {
        match database.compact() {
            Ok(true) => {}
            Ok(false) => break,
            Err(CompactionError::Storage(error)) => return Err(opening(DatabaseError::Storage(error), &path)),
            Err(other) => return Err(StoreError::Io { why: other.to_string() }),
        }
    }
    database.close().map_err(|error| opening(error, &path))?;
    Ok(Some(Compacted { before_bytes, after_bytes: size()? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, RedbStore, Store};

    #[tokio::test]
    async fn what_was_removed_goes_back_to_the_disk_and_what_is_left_stays() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(compact(home.path()), Ok(None));
        {
            let store = RedbStore::open(home.path()).unwrap();
            for removes in [false, true] {
                let mut batch = Batch::default();
                for number in 0..64_u8 {
                    let key = vec![b'm', number];
                    batch.writes.push((key, (!removes || number == 7).then(|| vec![number; 100_000])));
                }
                store.commit(batch).await.unwrap();
            }
            assert!(matches!(compact(home.path()), Err(StoreError::InUse { .. })));
        }
        let Compacted { before_bytes, after_bytes } = compact(home.path()).unwrap().unwrap();
        assert!(after_bytes < before_bytes / 4, "{before_bytes} to {after_bytes}");
        assert_eq!(RedbStore::open(home.path()).unwrap().get(b"m\x07").unwrap(), Some(vec![7; 100_000]));
    }
}
