//! The way from one `agentry` process to the host that runs in its home: a socket that only its user can reach.
//!
//! A host has its store for itself, so `ps`, `trace`, `approve` and their like ask it instead. Agents cannot reach this
//! channel: they have no sockets. It decides nothing and grants nothing that the user could not do to the files.
//!
//! The socket is `HOME/control/host.sock`, mode 0600 in a directory of mode 0700, and the host looks at who connects
//! all the same. Each frame is a length and a postcard value, with a maximum; both sides say hello with their version first.

mod client;
mod place;
mod server;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use std::path::Path;

pub use self::client::{Client, Following, RemoteStore};
pub use self::server::Control;
pub use self::table::OverSocket;
use crate::error::{BUSY_RETRY_MS, Kind, Next, OpError};

/// Why a host cannot be reached, or makes no sense. What a host that was reached says is an [`OpError`].
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no host runs in {home}")]
    NoHost {
        /// The directory.
        home: String,
    },
    /// The socket's directory cannot be made, or others could reach it.
    #[error("cannot use the control directory {path}: {why}\nhint: {hint}")]
    Place {
        /// The directory.
        path: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The host is of another version.
    #[error(
        "the host that runs here is agentry {host}, and this is agentry {ours}\nhint: use the same program for both"
    )]
    Version {
        /// Its version.
        host: String,
        /// Ours.
        ours: &'static str,
    },
    /// It hung up, does not answer, or says what makes no sense.
    #[error("the host that runs here does not answer: {why}\nhint: try again; if it hangs, end it with Ctrl-C")]
    Lost {
        /// What happened.
        why: String,
    },
    /// It hung up or is silent after a run was ordered, so that it may have begun.
    #[error("the host that runs here does not say what became of the run: {why}")]
    Unheard {
        /// What happened.
        why: String,
    },
    /// It says something else than what it was asked.
    #[error("the host answered another question\nhint: use the same program for both")]
    Another,
}

impl From<ControlError> for OpError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoHost { .. } => Self::new(Kind::NoHost, error).next(Next::Serve),
            ControlError::Place { .. } => Self::new(Kind::Unavailable { retry_ms: None }, error),
            ControlError::Lost { .. } => Self::new(Kind::Unavailable { retry_ms: Some(BUSY_RETRY_MS) }, error),
            ControlError::Unheard { .. } => Self::new(Kind::Unheard, error).next(Next::RunsOrKey),
            ControlError::Version { .. } | ControlError::Another => Self::new(Kind::Broken, error),
        }
    }
}

/// Has the host that runs in this home do one thing.
///
/// # Errors
/// [`Kind::NoHost`] if none runs there; else what the host says, or that it does not answer.
pub fn ask<O: OverSocket>(home: &Path, operation: O) -> Result<O::Answer, OpError> {
    Client::connect(home)?.ask(operation)
}
