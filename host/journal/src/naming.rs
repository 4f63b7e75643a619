//! The names of what a journal speaks of: digests, the same whoever computes them. It stores nothing.

use agentry_kernel::Digest;
use agentry_kernel::call::Call;
use agentry_store::content::Content;

/// The name of some bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Content::of(bytes.to_vec()).digest
}

/// The name of a call's canonical arguments: of a tool's, the JSON that the tool gets; of any other, the call as it is journaled.
pub fn arguments(what: &Call) -> Digest {
    if let Call::ToolsCall { arguments, .. } = what {
        return *arguments;
    }
    digest(&postcard::to_allocvec(what).expect("a call is plain data"))
}
