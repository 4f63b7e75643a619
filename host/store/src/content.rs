//! Contents by name: each is stored once, whoever says it and how often.

use agentry_kernel::digest::Digest;
use sha2::{Digest as _, Sha256};

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_named_by_its_sha256() {
        let name = Content::of(*b"abc").digest.to_string();
        assert_eq!(name, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
