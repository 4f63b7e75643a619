//! What is known of a run at a glance: the line that `agentry ps` prints.

use agentry_kernel::budget::{Amounts, Books};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Status;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{format1, format2};
use crate::{Batch, Key, Store, StoreError, keys};

const FORMAT: u8 = 2;

/// The version of a run's record: version 2 did not know of runs below runs, version 3 of causes, version 4 of runs out of files, version 5 of
/// what started a run by itself, version 6 of clocks that were set back.
const RECORD_FORMAT: u8 = 7;

/// Versions 3 to 6 are this one without what stands last.
const WITHOUT_CAUSE: u8 = 3;
const WITHOUT_IMPORTED: u8 = 4;
const WITHOUT_TRIGGER: u8 = 5;
const WITHOUT_LISTED: u8 = 6;

/// A run at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which.
    pub id: RunId,
    /// The agent's name.
    pub agent: String,
    /// `publisher:name@version`
    pub package: String,
    /// The component's digest.
    pub component: Digest,
    /// How it stands or how it ended.
    pub status: Status,
    /// When it began.
    pub started: Millis,
    /// When it ended, if it has.
    pub ended: Option<Millis>,
    /// Taken from its accounts.
    pub spent: Amounts,
    /// Syscalls that it made.
    pub calls: u32,
    /// How many of them were refused.
    pub refused: u32,
    /// Why it did not succeed, in a sentence.
    pub failure: Option<String>,
    /// The labels that it holds, or held at its end.
    pub labels: Labels,
    /// The run above it, and the call of that one which it answers.
    pub parent: Option<(RunId, CallId)>,
    /// What was in its way, where the host knows.
    pub cause: Option<Cause>,
    /// Where it comes from, if it came out of a file. It stays so for ever.
    pub imported: Option<Imported>,
    /// What started it by itself; none if a person or another agent did.
    pub trigger: Option<String>,
    /// Where lists have it, if not by when it began: that was by a clock that was set back since.
    pub listed: Option<Millis>,
}

/// That a run came out of a file: it ran elsewhere, or somebody says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// When.
    pub at: Millis,
    /// The key that signed the file; none if nobody did.
    pub signer: Option<Digest>,
    /// True once a person had it go on here.
    pub adopted: bool,
}

/// What was in the way of a run that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The case of a syscall's error (`denied`, `exhausted`, `not-found`, …), or `max-output`.
    pub kind: String,
    /// What, in a sentence. Parts of it may be a stranger's.
    pub text: String,
    /// What would change it; empty if nobody can say.
    pub hint: String,
}

impl RunRecord {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes.split_first() {
            Some((&RECORD_FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| damaged()),
            Some((&WITHOUT_LISTED, rest)) => without(rest, &[0]),
            Some((&WITHOUT_TRIGGER, rest)) => without(rest, &[0, 0]),
            Some((&WITHOUT_IMPORTED, rest)) => without(rest, &[0, 0, 0]),
            Some((&WITHOUT_CAUSE, rest)) => without(rest, &[0, 0, 0, 0]),
            Some((&FORMAT, rest)) => {
                postcard::from_bytes::<format2::Record>(rest).map(Self::from).map_err(|_| damaged())
            }
            _ => decode_either::<Self, format1::Record>(bytes),
        }
    }

    /// As it is stored: in the version before this one if that has all that there is to it, so that hosts of it can read it.
    pub fn encoded(&self) -> Vec<u8> {
        let format = if self.listed.is_some() { RECORD_FORMAT } else { WITHOUT_LISTED };
        let record = postcard::to_extend(self, vec![format]);
        let mut record = record.expect("our own values have no part that cannot be encoded");
        if self.listed.is_none() {
            // The last byte says that it is none.
            record.pop();
        }
        record
    }

    /// Its key in the index by time.
    pub fn place(&self) -> Key {
        keys::time(self.listed.unwrap_or(self.started), self.id)
    }

    /// Into the batch that changes it, together with its row in the index by time.
    pub fn write(&self, batch: &mut Batch) {
        let record = self.encoded();
        batch.put(keys::run(self.id), record.clone());
        batch.put(self.place(), record);
        match self.status {
            // It is there since the run began or went on, and may say more by now.
            Status::Running | Status::Suspended => {}
            _ => batch.remove(keys::open(self.id)),
        }
    }
}

/// A record that ends before these parts of it, which are none.
fn without(bytes: &[u8], none: &[u8]) -> Result<RunRecord, StoreError> {
    postcard::from_bytes(&[bytes, none].concat()).map_err(|_| damaged())
}

/// The record of a run, if there is one.
pub fn of(store: &dyn Store, run: RunId) -> Result<Option<RunRecord>, StoreError> {
    store.get(&keys::run(run))?.map(|row| RunRecord::decode(&row)).transpose()
}

/// One of our own values, behind a version byte.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("our own values have no part that cannot be encoded")
}

/// What [`encode`] made, of a kind that version 1 did not have.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let value = bytes.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
    value.ok_or_else(damaged)
}

/// Books that [`encode`] made, or an account of version 1.
pub fn books(bytes: &[u8]) -> Result<Books, StoreError> {
    decode_either::<Books, format1::DayAccount>(bytes)
}

/// True for what version 1 wrote.
pub fn is_old(bytes: &[u8]) -> bool {
    bytes.first() == Some(&format1::FORMAT)
}

fn damaged() -> StoreError {
    StoreError::Damaged { why: "a record that does not decode".to_owned() }
}

/// What [`encode`] made, of this version or of version 1.
fn decode_either<T: DeserializeOwned + From<Old>, Old: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| damaged()),
        Some((&format1::FORMAT, rest)) => postcard::from_bytes::<Old>(rest).map(T::from).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}
