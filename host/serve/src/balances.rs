//! What the site and its agents may spend, have spent and hold: asked of the host that runs, or read from what the last one
//! left. It changes nothing.

use std::path::Path;
use std::sync::Arc;

use agentry_abi::clock::Clock;
use agentry_config::policies;
use agentry_kernel::kernel::{Kernel, Statement};
use agentry_runtime::host::clock_watch;
use agentry_store::{keys, rows};

use crate::api::Budget;
use crate::error::{Kind, OpError};
use crate::socket;

/// The books of the site, and then of every agent that ran or may run.
///
/// Where a host runs, they are its own, with the policy that it goes by. Otherwise what the last host left is held against
/// the policy as it lies there; what that host held is spent, as it will be for the next one.
///
/// # Errors
/// When neither a host nor the files can be asked.
pub fn read(home: &Path, directory: &Path) -> Result<Vec<Statement>, OpError> {
    match socket::ask(home, Budget) {
        Err(error) if error.kind == Kind::NoHost => {}
        answered => return answered,
    }
    let policy = policies::load(directory)?;
    let mut kernel = Kernel::new(Arc::new(policy), Vec::new(), Vec::new());
    let mut clock = Clock::System;
    if let Some(history) = crate::home::history(home)? {
        let host = rows::host::named(&**history.store(), rows::host::HOME)?;
        clock = clock_watch::of_store(&**history.store(), host)?;
        agentry_journal::each_books(history.store(), host, |agent, books| match agent {
            keys::SITE => kernel.restore_site(books, &books.day.held),
            agent => kernel.restore(agent, books, &books.day.held),
        })?;
    }
    // As the next host will.
    let _ = kernel.set_back(clock.now());
    Ok(kernel.statements(clock.now()))
}
