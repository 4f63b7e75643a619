//! What an answer of a model took, read off the answer as it was written down.

use agentry_kernel::journal::Outcome;
use agentry_kernel::model::Usage;

use crate::bindings::agentry::agent::llm::{self, Failure, Response};

/// The tokens of an answer as the journal has it, encoded; of one that broke, those of what came before.
pub fn answered_usage(outcome: &Outcome, encoded: &[u8]) -> Option<Usage> {
    let response = match outcome {
        Outcome::Error { .. } => postcard::from_bytes::<Failure>(encoded).ok()?.partial?,
        Outcome::Inline(_) | Outcome::Stored { .. } => postcard::from_bytes::<Response>(encoded).ok()?,
    };
    let llm::Usage { input_fresh, cache_read, cache_write, output, reasoning, estimated } = response.usage;
    Some(Usage { input_fresh, cache_read, cache_write, output, reasoning, estimated })
}

impl From<&Usage> for llm::Usage {
    fn from(usage: &Usage) -> Self {
        let Usage { input_fresh, cache_read, cache_write, output, reasoning, estimated } = *usage;
        Self { input_fresh, cache_read, cache_write, output, reasoning, estimated }
    }
}
