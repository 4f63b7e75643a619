//! Calls that the near side may answer by itself, because their answer rests on nothing that is decided: yes or no, the guest sees the same. It
//! reports each, in the order of the guest's calls and before anything that could have a consequence outside; so what is lost with a near side
//! that breaks down is simply done again. It is for the far side to decide, count and write down; nothing here answers or acts.

use agentry_kernel::time::Millis;
use agentry_store::limits::QUICK_CALL_BYTES;
use serde::{Deserialize, Serialize};

use super::{LogEvent, Reply, Request, Syscall, TimersDeadline, TimersNow};

/// One that was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quick {
    /// When, by the guest's clock: it shows this from the call on.
    pub at: Millis,
    /// What was asked.
    pub call: QuickCall,
}

/// What can be answered so: the clock, the end of the wall time, and what answers nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QuickCall {
    /// `timers.now`
    TimersNow,
    /// `timers.deadline`
    TimersDeadline,
    /// `log.event`, and a line of a standard stream.
    LogEvent(LogEvent),
}

/// Why a report is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrue {
    /// It was to ask.
    Unasked,
    /// The guest's clock had passed that time already.
    Passed,
    /// The time has not come.
    NotCome,
}

impl std::fmt::Display for Untrue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unasked => "it answered what it was to ask",
            Self::Passed => "it answered with a time that had passed",
            Self::NotCome => "it answered with a time that had not come",
        })
    }
}

impl QuickCall {
    /// The request, if it can be answered so.
    ///
    /// # Errors
    /// The request, which is to be passed. So is each that is not named here: to be asked is never wrong.
    #[expect(clippy::result_large_err, reason = "it is the request itself, which goes on")]
    pub fn of(request: Request) -> Result<Self, Request> {
        match request {
            Request::TimersNow(TimersNow {}) => Ok(Self::TimersNow),
            Request::TimersDeadline(TimersDeadline {}) => Ok(Self::TimersDeadline),
            Request::LogEvent(line) => Ok(Self::LogEvent(line)),
            passed => Err(passed),
        }
    }

    /// The request again.
    pub fn request(self) -> Request {
        match self {
            Self::TimersNow => TimersNow {}.into(),
            Self::TimersDeadline => TimersDeadline {}.into(),
            Self::LogEvent(line) => line.into(),
        }
    }

    /// What the guest gets at this time, if its wall time ends then.
    pub fn reply(&self, at: Millis, deadline: Millis) -> Reply {
        match self {
            Self::TimersNow => TimersNow::reply(Ok(at.0)),
            Self::TimersDeadline => TimersDeadline::reply(Ok(Some(deadline.0))),
            Self::LogEvent(_) => LogEvent::reply(Ok(())),
        }
    }

    /// What it counts among others that wait to be reported.
    pub fn bytes(&self) -> usize {
        match self {
            Self::TimersNow | Self::TimersDeadline => QUICK_CALL_BYTES,
            Self::LogEvent(LogEvent { level: _, line }) => QUICK_CALL_BYTES.saturating_add(line.len()),
        }
    }
}
