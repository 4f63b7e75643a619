//! What a person says became of a call that nobody knows of, because the host stopped before its answer came. The run was told so and
//! went on; this puts the bill right, and stands in the journal.

use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Store, StoreError, keys};
use serde::{Deserialize, Serialize};

use crate::log;

/// What a person says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Of which run.
    pub run: RunId,
    /// Of which of its calls.
    pub call: CallId,
    /// Whether it happened.
    pub happened: bool,
    /// In the person's words.
    pub because: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// What went back to the accounts.
    pub returned: Amounts,
}

/// Why it was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// What became of the call is known.
    #[error("what became of call {1} of run {0} is known")]
    Known(RunId, CallId),
    /// The run has made no such call.
    #[error("run {0} has no call {1}")]
    NoCall(RunId, CallId),
    /// It has no answer yet, and may get one.
    #[error("what became of call {1} of run {0} is not settled yet")]
    Open(RunId, CallId),
    /// The same, and its host is gone: that is found out when the run goes on.
    #[error("what became of call {1} of run {0} is not settled yet: its run is suspended, and goes on first")]
    Suspended(RunId, CallId),
    /// Somebody said so before.
    #[error("somebody has said before what became of call {1} of run {0}")]
    Before(RunId, CallId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A call that nobody knows of.
pub struct UnknownCall {
    /// The run.
    pub record: RunRecord,
    /// What goes back if it did not happen.
    pub spent: Amounts,
    /// Since when it counts as spent.
    pub since: Millis,
}

impl UnknownCall {
    /// Finds it.
    pub fn find(store: &dyn Store, of: &Resolution) -> Result<Self, ResolveError> {
        let record = store.get(&keys::run(of.run))?.ok_or(ResolveError::NoRun(of.run))?;
        let record = RunRecord::decode(&record)?;
        let (mut unknown, mut said) = (None, false);
        let (mut made, mut answered) = (false, false);
        for entry in log::entries(store, of.run)? {
            match entry {
                Entry::Asked { call, .. } | Entry::Questioned { call, .. } | Entry::Queued { call, .. }
                    if call == of.call =>
                {
                    (made, answered) = (true, false);
                }
                Entry::Called { call, .. } | Entry::Refused { call, .. } | Entry::Answered { call, .. }
                    if call == of.call =>
                {
                    (made, answered) = (true, true);
                }
                Entry::Unknown { call, at, spent } if call == of.call => unknown = Some((at, spent)),
                Entry::Resolved { call, .. } if call == of.call => said = true,
                // What another home counted as spent is no bill of this one.
                Entry::Imported { .. } => (unknown, said) = (None, false),
                _ => {}
            }
        }
        if said {
            return Err(ResolveError::Before(of.run, of.call));
        }
        let over = !matches!(record.status, Status::Running | Status::Suspended);
        let known = || match record.status {
            _ if !made => ResolveError::NoCall(of.run, of.call),
            _ if answered || over => ResolveError::Known(of.run, of.call),
            Status::Suspended => ResolveError::Suspended(of.run, of.call),
            _ => ResolveError::Open(of.run, of.call),
        };
        let (since, spent) = unknown.ok_or_else(known)?;
        // Whatever became of it, what was asked has been written down.
        Ok(Self { record, spent: spent.with(Resource::Written, 0), since })
    }

    /// The entry that tells of it, and the record as it is then.
    pub fn close(&self, of: &Resolution, at: Millis) -> (Entry, RunRecord, Amounts) {
        let returned = if of.happened { Amounts::ZERO } else { self.spent };
        let because = cut(of.because.clone(), TEXT_MAX_BYTES);
        let record = RunRecord { spent: self.record.spent.minus(returned), ..self.record.clone() };
        (Entry::Resolved { call: of.call, at, happened: of.happened, returned, because }, record, returned)
    }
}
