//! The past of a home, whoever has its store: the host that runs there is asked, else the file is read. It creates nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_journal::history::History;
use agentry_store::{StoreError, StoreReader};

use crate::socket::{Client, ControlError, RemoteStore};

/// How long a host may have the store and no socket yet: it makes its engine ready in between.
const HOST_BEGINS_MAX: Duration = Duration::from_secs(10);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);

/// The host that runs in this home, waited for while it has the store and no socket yet.
///
/// # Errors
/// [`ControlError::NoHost`] if none runs or begins there; others as [`Client::connect`].
pub fn host(home: &Path) -> Result<Client, ControlError> {
    let begun = Instant::now();
    loop {
        match Client::connect(home) {
            Err(none @ ControlError::NoHost { .. }) => {
                if begun.elapsed() >= HOST_BEGINS_MAX || !StoreReader::is_in_use(home) {
                    return Err(none);
                }
            }
            reached => return reached,
        }
        std::thread::sleep(PAUSE);
    }
}

/// The history in this home; none if nothing ever ran. While a host runs there, it asks that host.
///
/// # Errors
/// When somebody has the store open who cannot be asked, or it is not a store of ours.
pub fn history(home: &Path) -> Result<Option<History>, StoreError> {
    let begun = Instant::now();
    loop {
        let in_use = match StoreReader::open(home) {
            Err(error @ StoreError::InUse { .. }) => error,
            opened => return Ok(opened?.map(|store| History::left_in(Arc::new(store)))),
        };
        match Client::connect(home) {
            Ok(host) => return Ok(Some(History::over(Arc::new(RemoteStore::over(host))))),
            // It begins or ends: it has the store and no socket.
            Err(ControlError::NoHost { .. }) if begun.elapsed() < HOST_BEGINS_MAX => std::thread::sleep(PAUSE),
            Err(ControlError::NoHost { .. }) => return Err(in_use),
            Err(error) => return Err(StoreError::Host { why: error.to_string() }),
        }
    }
}
