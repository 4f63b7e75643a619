//! What the site and its agents may spend, have spent and hold: asked of the host that runs, or read from what the last one
//! left. It changes nothing.

use std::path::Path;
use std::sync::Arc;

use agentry_abi::clock::Clock;
use agentry_config::policies::{self, PoliciesError};
use agentry_journal;
use agentry_kernel::kernel::{Kernel, Statement};
use agentry_store::{StoreError, keys, rows};

use crate::api::{Reply, Request};
use crate::socket::{self, ControlError};

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
pub enum NoStatements {
    /// The host that runs does not answer.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The policy.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The books of the site, and then of every agent that ran or may run.
///
/// Where a host runs, they are its own, with the policy that it goes by. Otherwise what the last host left is held against
/// the policy as it lies there; what that host held is spent, as it will be for the next one.
///
/// # Errors
/// When neither a host nor the files can be asked.
pub fn read(home: &Path, directory: &Path) -> Result<Vec<Statement>, NoStatements> {
    match socket::ask(home, &Request::Budget) {
        Ok(Reply::Budget(statements)) => return Ok(statements),
        Ok(_) => return Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Err(ControlError::NoHost { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let policy = policies::load(directory)?;
    let mut kernel = Kernel::new(Arc::new(policy), Vec::new(), Vec::new());
    if let Some(history) = crate::home::history(home)? {
        let host = rows::host::named(&**history.store(), rows::host::HOME)?;
        agentry_journal::each_books(history.store(), host, |agent, books| match agent {
            keys::SITE => kernel.restore_site(books, &books.day.held),
            agent => kernel.restore(agent, books, &books.day.held),
        })?;
    }
    Ok(kernel.statements(Clock::System.now()))
}
