//! What stands of a run that has not ended: which host has it, since which of its epochs, and, if it has left memory in good order, what it
//! holds and what brings it back, so that nobody reads its journal before it goes on. A run that its host lost has none of the latter.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Wake;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::ids::HostEpoch;
use crate::{Batch, Expect, Key, Page, Range, Store, StoreError, Value, keys};

/// The version byte of such a row.
const FORMAT: u8 = 2;

/// Version 1 knew of one host only: a run that rested stood there by itself, and any other as an empty row.
const FORMAT1: u8 = 1;

/// The row of a run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// Which host has it, and in which epoch it began there, went on or left memory last.
    pub at: HostEpoch,
    /// How it left memory; none if it lives there, or was lost with that epoch.
    pub parked: Option<ParkedRun>,
}

/// A run that has left memory in good order.
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

impl OpenRun {
    /// What such a row says.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let of_first = |parked| Self { at: HostEpoch::default(), parked };
        let run = match row.split_first() {
            None => Some(of_first(None)),
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok(),
            Some((&FORMAT1, rest)) => postcard::from_bytes(rest).ok().map(|parked| of_first(Some(parked))),
            Some(_) => None,
        };
        run.ok_or_else(|| StoreError::Damaged { why: "a run that has not ended and does not decode".to_owned() })
    }

    /// As it is stored.
    pub fn encode(&self) -> Value {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Of a run; none if it has ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, run: RunId) -> Result<Option<Self>, StoreError> {
        store.get(&keys::open(run))?.map(|row| Self::decode(&row)).transpose()
    }
}

impl ParkedRun {
    /// Of a run; none if it has ended, lives or was lost.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &dyn Store, run: RunId) -> Result<Option<Self>, StoreError> {
        Ok(OpenRun::of(store, run)?.and_then(|open| open.parked))
    }

    /// The same of a run that its host in this epoch lets rest, as it is stored.
    pub fn encode(self, at: HostEpoch) -> Value {
        OpenRun { at, parked: Some(self) }.encode()
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
        let rest = OpenRun::decode(&row)?.parked;
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
    use crate::ids::HostId;
    use crate::rows::run::RunRecord;

    const AT: HostEpoch = HostEpoch { host: HostId(1), epoch: 300 };

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
            trigger: None,
            listed: None,
        }
    }

    #[test]
    fn what_is_filed_of_a_run_stays_readable() {
        let rows = [OpenRun { at: AT, parked: None }.encode(), rest().encode(AT)];
        let hex = |row: &Value| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        expect_file!["../../../../tests/golden/rest-2.hex"].assert_eq(&rows.each_ref().map(hex).concat());
        let decoded = rows.each_ref().map(|row| OpenRun::decode(row).unwrap());
        assert_eq!(decoded, [None, Some(rest())].map(|parked| OpenRun { at: AT, parked }));
        for row in rows {
            assert!(OpenRun::decode(&row[..row.len() - 1]).is_err(), "{row:?}");
        }
        for damaged in [b"\x09".as_slice(), b"\x02\xff", b"\x01\xff"] {
            assert!(OpenRun::decode(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn what_was_filed_before_there_were_hosts_is_the_first_ones() {
        let golden = include_str!("../../../../tests/golden/rest-1.hex").trim();
        let byte = |at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap();
        let row: Vec<u8> = (0..golden.len()).step_by(2).map(byte).collect();
        for (row, parked) in [(row, Some(rest())), (Vec::new(), None)] {
            assert_eq!(OpenRun::decode(&row), Ok(OpenRun { at: HostEpoch { host: HostId::FIRST, epoch: 0 }, parked }));
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
        batch.put(keys::open(top), rest().encode(AT));
        batch.put(keys::open(below), ParkedRun { wake: None, ..rest() }.encode(AT));
        batch.put(keys::open(lost), OpenRun { at: AT, parked: None }.encode());
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
