//! The contents that an entry names, and whether they must be there.

use agentry_kernel::call::{Call, Completion};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Outcome};

/// Each digest; true if the content was stored with the entry. What a refused or failed call carried may not have been.
pub fn named(entry: &Entry) -> Vec<(Digest, bool)> {
    match entry {
        Entry::Started(started) => vec![(started.input, true)],
        Entry::Ended(ended) => vec![(ended.output, true)],
        Entry::Asked { what, .. } => asked(what, true).collect(),
        Entry::Called { what, outcome, .. } => {
            let went_well = !matches!(outcome, Outcome::Error { .. });
            asked(what, went_well).chain(told(outcome)).collect()
        }
        Entry::Answered { outcome, .. } => told(outcome).collect(),
        _ => Vec::new(),
    }
}

fn told(outcome: &Outcome) -> impl Iterator<Item = (Digest, bool)> {
    let digest = match outcome {
        Outcome::Inline(_) => None,
        Outcome::Stored { content, .. } => Some(*content),
        Outcome::Error { partial, .. } => *partial,
    };
    digest.into_iter().map(|digest| (digest, true))
}

fn asked(call: &Call, must: bool) -> impl Iterator<Item = (Digest, bool)> {
    let (one, many): (Option<Digest>, &[Digest]) = match call {
        Call::LlmComplete(Completion { messages, settings, .. })
        | Call::LlmStream(Completion { messages, settings, .. }) => (Some(*settings), messages),
        Call::MemoryPut { content, .. } | Call::FilesWrite { content, .. } => (Some(*content), &[]),
        Call::ToolsCall { arguments, .. } => (Some(*arguments), &[]),
        Call::Fetch(fetch) => (Some(fetch.content), &[]),
        Call::LogEvent { line } => (Some(*line), &[]),
        _ => (None, &[]),
    };
    one.into_iter().chain(many.iter().copied()).map(move |digest| (digest, must))
}
