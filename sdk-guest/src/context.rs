//! A conversation that the kernel owns: the model's window as RAM, memory as its disk.

use crate::bindings::agentry::agent::context as wit;
use crate::host;
use crate::types::Error;

pub use wit::Conversation;

/// The conversation as it was at `snapshot`.
///
/// # Errors
/// `not-found` if there is no such snapshot.
pub fn restore(snapshot: &str) -> Result<Conversation, Error> {
    host::quick(|| wit::restore(snapshot))
}
