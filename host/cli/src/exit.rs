//! How the command ends: six codes that scripts can tell apart.

use std::fmt;
use std::process::ExitCode;

use agentry_kernel::journal::Status;
use agentry_store::StoreError;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// The agent failed, or a person stopped it.
    Failed = 1,
    /// What the command was given makes no sense: arguments, component, configuration, policy.
    Usage = 2,
    /// Policy was in the way.
    Denied = 3,
    /// A budget was in the way.
    Exhausted = 4,
    /// Something that is needed was not to be had.
    Unavailable = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Status> for Exit {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::Done,
            Status::Running | Status::Failed | Status::Stopped => Self::Failed,
            Status::Denied => Self::Denied,
            Status::Exhausted => Self::Exhausted,
            Status::Unavailable | Status::Suspended => Self::Unavailable,
        }
    }
}

/// An error whose exit code is not [`Exit::Usage`]; it says nothing of its own.
#[derive(Debug)]
pub struct With(pub Exit, pub anyhow::Error);

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.fmt(f)
    }
}

impl std::error::Error for With {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.source()
    }
}

/// The exit code that an error asks for: most errors are about what the command was given.
pub fn of(error: &anyhow::Error) -> Exit {
    let of_store = error.chain().any(|cause| cause.is::<StoreError>());
    let otherwise = if of_store { Exit::Unavailable } else { Exit::Usage };
    error.downcast_ref::<With>().map_or(otherwise, |with| with.0)
}
