//! A second opinion on decisions: policies said once more in Cedar, and what its authorizer makes of the same calls. Only tests
//! use it, and the host never depends on it.

pub mod cedar;
pub mod chance;
mod export;
pub mod universe;

use agentry_kernel::inquiry::Verdict;

/// What comes of a call, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// No.
    Deny,
    /// Once people have said yes.
    Ask,
    /// Yes.
    Allow,
}

impl From<&Verdict> for Answer {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Refused(_) => Self::Deny,
            Verdict::Asks(_) => Self::Ask,
            Verdict::Allowed { .. } => Self::Allow,
        }
    }
}
