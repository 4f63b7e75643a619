//! What is left to spend, so that an agent can plan.

use crate::bindings::agentry::agent::budget as wit;
use crate::host;
use crate::types::Error;

pub use crate::types::ResourceKind;
pub use wit::{Balance, Share};

/// Every limit that binds this run.
///
/// # Errors
/// `cancelled` if the run is being stopped.
pub fn remaining() -> Result<Vec<Balance>, Error> {
    host::quick(wit::remaining)
}

/// The least that is left of something, over the limits of the run and of the day; none if nothing limits it.
///
/// # Errors
/// As [`remaining`].
pub fn left(what: ResourceKind) -> Result<Option<u64>, Error> {
    let balances = remaining()?;
    let left = balances.iter().filter(|balance| balance.what == what);
    Ok(left.map(|balance| balance.left).min())
}

/// Sets part of the budget aside for a child and gives its handle.
///
/// # Errors
/// `unavailable` until agents can have children.
pub fn split(shares: &[Share]) -> Result<String, Error> {
    host::quick(|| wit::split(shares))
}
