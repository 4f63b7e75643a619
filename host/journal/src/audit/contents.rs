//! The contents that an entry names, and whether they must be there.

use agentry_kernel::call::Call;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Outcome};

/// Each digest; true if the content was stored with the entry, and went with it to other homes. What a refused or failed call carried may
/// not have been stored. `whole` is false for entries of an older version: an export of it left out the contents of some calls.
pub fn named(entry: &Entry, whole: bool) -> Vec<(Digest, bool)> {
    match entry {
        Entry::Started(started) => vec![(started.input, true)],
        Entry::Ended(ended) => vec![(ended.output, true)],
        Entry::Asked { what, .. } => asked(what, whole || was_exported(what)).collect(),
        Entry::Called { what, outcome, .. } => {
            let went_well = !matches!(outcome, Outcome::Error { .. });
            asked(what, went_well && (whole || was_exported(what))).chain(told(outcome)).collect()
        }
        Entry::Answered { outcome, .. } => told(outcome).collect(),
        // What was not done yet, or not at all, was not stored for it.
        Entry::Refused { what, .. } | Entry::Questioned { what, .. } | Entry::Queued { what, .. } => {
            asked(what, false).collect()
        }
        Entry::Observed { .. } | Entry::Labelled { .. } | Entry::Approved { .. } | Entry::ShadowDenied { .. } => {
            Vec::new()
        }
        Entry::Cleared { .. } | Entry::Reloaded { .. } | Entry::Kept { .. } | Entry::Locked { .. } => Vec::new(),
        Entry::Unlocked { .. } | Entry::Unlabelled { .. } | Entry::Basis { .. } | Entry::Raised { .. } => Vec::new(),
        Entry::Heard { .. } | Entry::Resumed { .. } | Entry::Unknown { .. } | Entry::Resolved { .. } => Vec::new(),
        Entry::Spawned { .. } | Entry::Discarded { .. } | Entry::Triggered { .. } => Vec::new(),
        Entry::Forked { .. } | Entry::Rested { .. } | Entry::Noted { .. } | Entry::ToolsSet { .. } => Vec::new(),
        Entry::Imported { .. } | Entry::Adopted { .. } | Entry::ClockAccepted { .. } => Vec::new(),
        Entry::OlderAccepted { .. } | Entry::Pruned { .. } => Vec::new(),
    }
}

/// The first content that must be there and is not, among these entries.
pub fn lacking(entries: &[Entry], mut has: impl FnMut(&Digest) -> bool) -> Option<Digest> {
    let named = entries.iter().flat_map(|entry| named(entry, true));
    named.filter(|(_, must)| *must).map(|(digest, _)| digest).find(|digest| !has(digest))
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
    call.spec().contents.map(move |digest| (digest, must))
}

/// True for the calls whose contents every version knew of. A new call is none of these.
fn was_exported(call: &Call) -> bool {
    matches!(
        call,
        Call::LlmComplete(_)
            | Call::LlmStream(_)
            | Call::MemoryPut { .. }
            | Call::FilesWrite { .. }
            | Call::ToolsCall { .. }
            | Call::Fetch(_)
            | Call::LogEvent { .. }
    )
}
