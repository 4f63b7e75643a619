//! What a question to a model was, read off its settings as the journal names them.

use crate::bindings::agentry::agent::llm::Request;

/// The model, as the guest named it: an alias, or `default`. None if these are no settings.
pub fn word(settings: &[u8]) -> Option<String> {
    postcard::from_bytes::<Request>(settings).ok().map(|request| request.model)
}
