//! What came of executing a run again: how it differs from what its journal has, if it does.

use std::fmt;

use agentry_kernel::call::CallId;
use agentry_kernel::journal::Status;

use agentry_store::StoreError;

/// What came of executing it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It went beyond what was recorded, where the recorded run was cut from outside.
    Cut,
    /// It did something else.
    Differs(Difference),
    /// What was recorded cannot be read.
    Unreadable(StoreError),
}

/// The first thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// At which call; none where it is the end that differs.
    pub call: Option<CallId>,
    /// What the journal has.
    pub recorded: String,
    /// What happened now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Some(call) => write!(f, "call {call} was {}, and now it is {}", self.recorded, self.now),
            None => write!(f, "the run {}, and now it {}", self.recorded, self.now),
        }
    }
}

/// How a run ended, as a person reads it.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Running => "ran",
        Status::Done => "was done",
        Status::Failed => "failed",
        Status::Denied => "was denied",
        Status::Exhausted => "was exhausted",
        Status::Unavailable => "found something unavailable",
        Status::Stopped => "was stopped",
        Status::Suspended => "was suspended",
    }
}
