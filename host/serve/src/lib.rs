//! Faces: how people and programs reach a host. `api` is what can be asked, as plain data; `ops` does it; `error` says why something was not
//! done; each face only translates, and the control socket is the first. Nothing here decides.

pub mod api;
pub mod balances;
pub mod error;
pub mod health;
pub mod home;
pub mod offline;
pub mod ops;
pub mod pruning;
pub mod socket;
pub mod status;
pub mod triggers;
pub mod upkeep;

use std::path::Path;
use std::sync::Arc;

use agentry_runtime::host::{self, Host, Options};

use self::health::Health;
use self::socket::{Control, ControlError};

/// Why there is no host that can be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The host itself.
    #[error(transparent)]
    Host(#[from] host::OpenError),
    /// The socket on which other commands reach it.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Opens a host and the socket on which other commands reach it; that is closed with the host, before its store.
///
/// # Errors
/// If a part of the home cannot be used; the error says what to do.
pub async fn open(options: Options) -> Result<Host, OpenError> {
    let home = options.home.clone();
    reachable(Host::open(options).await?, &home)
}

/// The same of a host that is to serve: what is ordered from when it can be reached waits until it does.
///
/// # Errors
/// As [`open`].
pub async fn open_to_serve(options: Options) -> Result<Host, OpenError> {
    let home = options.home.clone();
    let host = Host::open(options).await?;
    host.services().run_queue.open();
    reachable(host, &home)
}

fn reachable(mut host: Host, home: &Path) -> Result<Host, OpenError> {
    let control = Control::open(home, host.services())?;
    host.attach(control);
    host.show(Arc::new(Health::of(host.services())));
    Ok(host)
}
