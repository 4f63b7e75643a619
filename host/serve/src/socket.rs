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
#[cfg(test)]
mod tests;
mod wire;

use std::path::Path;

pub use self::client::{Client, Following, RemoteStore};
pub use self::server::Control;
use crate::api::{Reply, Request};

/// Why a running host could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no host runs in {home}\nhint: start one: agentry serve, or name another home with --home DIR")]
    NoHost {
        /// The directory.
        home: String,
    },
    /// The socket's directory cannot be made, or others could reach it.
    #[error(
        "cannot use the control directory {path}: {why}\nhint: remove it; the next host makes it, for you alone to reach"
    )]
    Place {
        /// The directory.
        path: String,
        /// What is wrong with it.
        why: String,
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
    /// It is the host of one run.
    #[error(
        "the host that runs here runs one agent and takes no orders\nhint: wait for its end, or stop it; `agentry serve` starts one that does"
    )]
    NotServing,
    /// Something that it takes is not to be had now, in its own words.
    #[error("{0}")]
    Unavailable(String),
    /// It says no, in its own words.
    #[error("{0}")]
    Refused(String),
}

/// Asks the host that runs in this home one thing.
///
/// # Errors
/// [`ControlError::NoHost`] if none runs there; the host's own words if it refuses.
pub fn ask(home: &Path, request: &Request) -> Result<Reply, ControlError> {
    Client::connect(home)?.ask(request)
}
