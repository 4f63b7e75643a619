//! How the command ends: six codes that scripts can tell apart.

use std::fmt;
use std::io;
use std::process::ExitCode;

use agentry_engine::prepare::PrepareError;
use agentry_journal::backup::BackupError;
use agentry_journal::export::sign::SignError;
use agentry_journal::history::NoRun;
use agentry_kernel::journal::Status;
use agentry_packages::{Fault, Kind as FaultKind};
use agentry_runtime::approvals::RosterError;
use agentry_serve::error::{Kind, OpError};
use agentry_store::{StoreError, disk};

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

impl From<&Kind> for Exit {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::NotFound | Kind::Invalid | Kind::Conflict => Self::Usage,
            Kind::Refused(_) => Self::Denied,
            // Only what did not begin is unavailable.
            Kind::Unheard => Self::Failed,
            Kind::Unavailable { .. } | Kind::NotServing | Kind::NoHost | Kind::Broken => Self::Unavailable,
        }
    }
}

/// An error of the command itself whose exit code is not [`Exit::Usage`]; it says nothing of its own.
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

/// The exit code that an error asks for: that of its kind; an error without one is about what the command was given.
pub fn of(error: &anyhow::Error) -> Exit {
    if let Some(With(exit, _)) = error.downcast_ref() {
        return *exit;
    }
    error.chain().find_map(of_cause).unwrap_or(Exit::Usage)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<OpError>() {
        return Some(Exit::from(&error.kind));
    }
    if let Some(error) = cause.downcast_ref::<NoRun>() {
        return Some(Exit::from(&OpError::from(error.clone()).kind));
    }
    if let Some(error) = cause.downcast_ref::<BackupError>() {
        return Some(of_backup(error));
    }
    if let Some(fault) = cause.downcast_ref::<Fault>() {
        return Some(match fault.kind {
            FaultKind::Usage => Exit::Usage,
            FaultKind::Denied => Exit::Denied,
            // As a store that is not as it was written.
            FaultKind::Unavailable | FaultKind::Damaged => Exit::Unavailable,
        });
    }
    let cannot_be_used = match cause.downcast_ref::<io::Error>() {
        Some(error) => disk::is_full(error) || error.kind() == io::ErrorKind::ReadOnlyFilesystem,
        None => {
            matches!(cause.downcast_ref(), Some(RosterError::Io { .. }))
                || matches!(cause.downcast_ref(), Some(SignError::Io { .. }))
                || matches!(cause.downcast_ref(), Some(PrepareError::Killed))
                || cause.is::<StoreError>()
        }
    };
    cannot_be_used.then_some(Exit::Unavailable)
}

fn of_backup(error: &BackupError) -> Exit {
    match error {
        BackupError::Io { .. }
        | BackupError::Full { .. }
        | BackupError::InUse { .. }
        | BackupError::Damaged { .. }
        | BackupError::Torn { .. }
        | BackupError::Broken { .. }
        | BackupError::Store(_) => Exit::Unavailable,
        BackupError::None { .. }
        | BackupError::NoGeneration { .. }
        | BackupError::Foreign { .. }
        | BackupError::Newer { .. }
        | BackupError::NotEmpty { .. }
        | BackupError::TooLarge { .. } => Exit::Usage,
    }
}
