//! Contents by name: each is stored once, whoever says it and how often.

use std::collections::HashSet;

use agentry_kernel::digest::Digest;
use sha2::{Digest as _, Sha256};

/// Names kept in memory, half of them old ones: about 4 MB.
const KNOWN_MAX: usize = 64 * 1024;

/// Some bytes and their name, computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Content {
    /// Names these bytes.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest(Sha256::digest(&bytes).into()), bytes }
    }

    /// Names a question to a person: its text, and the answers that it leaves if not any.
    pub(crate) fn question(text: &str, choices: &[String]) -> Self {
        Self::of(postcard::to_allocvec(&(text, choices)).expect("it is plain data, and memory grows"))
    }
}

/// A question to a person in one text, if these are the bytes of one.
pub(crate) fn question(bytes: &[u8]) -> Option<String> {
    let (text, choices): (String, Vec<String>) = postcard::from_bytes(bytes).ok()?;
    Some(if choices.is_empty() { text } else { format!("{text} [{}]", choices.join(" / ")) })
}

/// Names of contents that are in the store or on their way, as far as is remembered: two generations of a set.
#[derive(Default)]
pub(super) struct Known {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl Known {
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.young.contains(digest) || self.old.contains(digest)
    }

    /// True if it was not known.
    pub(super) fn learn(&mut self, digest: Digest) -> bool {
        if self.has(&digest) {
            return false;
        }
        if self.young.len() >= KNOWN_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_named_by_its_sha256() {
        let name = Content::of(*b"abc").digest.to_string();
        assert_eq!(name, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        for number in 0..3 * KNOWN_MAX {
            assert!(known.learn(Content::of(number.to_be_bytes()).digest));
        }
        assert!(known.young.len() + known.old.len() <= KNOWN_MAX);
    }
}
