//! What stands of a run that has left memory in good order, so that nobody reads its journal before it goes on: what it holds and what
//! brings it back. A run that its host lost has none of it.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Wake;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{Batch, Expect, Key, Page, Range, Store, StoreError, keys};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// The row of a run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedRun {
    /// The agent on whose books it holds.
    pub payer: String,
    /// What it holds there.
    pub holds: Amounts,
    /// What brings it back; none if it goes on when its host does, or with the run above it.
    pub wake: Option<Wake>,
    /// The agents whose letters do.
    pub readers: Vec<String>,
}

impl ParkedRun {
    /// What such a row says; nothing of a run that has not left memory in good order.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn decode(row: &[u8]) -> Result<Option<Self>, StoreError> {
        if row.is_empty() {
            return Ok(None);
        }
        let rest = row.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        rest.map(Some).ok_or_else(|| StoreError::Damaged { why: "a run that rests and does not decode".to_owned() })
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Of a run; none if it has ended, lives or was lost.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, run: RunId) -> Result<Option<Self>, StoreError> {
        store.get(&keys::open(run))?.map_or(Ok(None), |row| Self::decode(&row))
    }

    /// Where those look for it who bring it back.
    pub fn places(&self, run: RunId) -> Vec<Key> {
        let Some(wake) = self.wake else { return Vec::new() };
        let readers = self.readers.iter().map(|agent| keys::reader(agent, run));
        readers.chain([keys::wake(wake.at, run)]).collect()
    }
}

/// Puts into the batch that brings a run back at once, or the one above it with which it goes on, if it rests. The batch holds only while that is so.
///
/// # Errors
/// When the store cannot be read.
pub fn wake_now(store: &dyn Store, run: RunId, batch: &mut Batch) -> Result<(), StoreError> {
    let mut next = Some(run);
    while let Some(run) = next {
        let key = keys::open(run);
        let Some(row) = store.get(&key)? else { return Ok(()) };
        let rest = ParkedRun::decode(&row)?;
        batch.expect(key, Expect::Equals(row));
        match rest {
            Some(ParkedRun { wake: Some(_), .. }) => {
                batch.put(keys::wake(Millis(0), run), Vec::new());
                return Ok(());
            }
            Some(ParkedRun { wake: None, .. }) => {
                next = super::run::of(store, run)?.and_then(|record| record.parent.map(|(above, _)| above))
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

/// True if a run of this agent rests until a letter comes.
///
/// # Errors
/// When the store cannot be read.
pub fn reads(store: &dyn Store, agent: &str) -> Result<bool, StoreError> {
    Ok(!store.scan(&Range::of(&keys::readers(agent)), Page { rows: 1, bytes: 1 })?.is_empty())
}

#[cfg(test)]
mod tests {
    use agentry_kernel::budget::Resource;
    use agentry_kernel::digest::Digest;
    use agentry_kernel::journal::Status;
    use agentry_kernel::labels::Labels;
    use expect_test::expect_file;

    use super::*;
    use crate::RedbStore;
    use crate::rows::run::RunRecord;

    fn rest() -> ParkedRun {
        let wake = Some(Wake { at: Millis(1_800_000_000_000), letter: true, person: false });
        let holds = Amounts::of(Resource::Fuel, 1000);
        ParkedRun { payer: "scribe".to_owned(), holds, wake, readers: vec!["scribe".to_owned()] }
    }

    fn record() -> RunRecord {
        RunRecord {
            id: RunId(1),
            agent: "scribe".to_owned(),
            package: "acme:scribe@1.0.0".to_owned(),
            component: Digest::default(),
            status: Status::Suspended,
            started: Millis(1_800_000_000_000),
            ended: None,
            spent: Amounts::ZERO,
            calls: 0,
            refused: 0,
            failure: None,
            labels: Labels::NONE,
            parent: None,
            cause: None,
            imported: None,
        }
    }

    #[test]
    fn what_is_filed_of_a_run_that_rests_stays_readable() {
        let row = rest().encode();
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        expect_file!["../../../../tests/golden/rest-1.hex"].assert_eq(&(hex + "\n"));
        assert_eq!(ParkedRun::decode(&row), Ok(Some(rest())));
        assert_eq!(ParkedRun::decode(&[]), Ok(None));
        for damaged in [&row[..row.len() - 1], b"\x09", b"\x01\xff"] {
            assert!(ParkedRun::decode(damaged).is_err(), "{damaged:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_brings_back_the_run_above_the_one_that_asked() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let (top, below, lost) = (RunId(1), RunId(2), RunId(3));
        let mut batch = Batch::default();
        for (id, parent) in [(top, None), (below, Some((top, agentry_kernel::CallId(1)))), (lost, None)] {
            RunRecord { id, parent, ..record() }.write(&mut batch);
        }
        batch.put(keys::open(top), rest().encode());
        batch.put(keys::open(below), ParkedRun { wake: None, ..rest() }.encode());
        batch.put(keys::open(lost), Vec::new());
        store.commit(batch).await.unwrap();
        let brings = |run| {
            let mut batch = Batch::default();
            wake_now(&store, run, &mut batch).unwrap();
            batch.writes.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(brings(below), [keys::wake(Millis(0), top)]);
        assert_eq!(brings(top), [keys::wake(Millis(0), top)]);
        assert!(brings(lost).is_empty() && brings(RunId(9)).is_empty());
    }
}
