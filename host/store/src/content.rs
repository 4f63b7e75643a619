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

    /// Names a question to a person: its text, and the answers that it leaves if not any.
    pub fn question(text: &str, choices: &[String]) -> Self {
        Self::of(postcard::to_allocvec(&(text, choices)).expect("it is plain data, and memory grows"))
    }
}

/// A question to a person in one text, if these are the bytes of one.
pub fn question(bytes: &[u8]) -> Option<String> {
    let (text, choices): (String, Vec<String>) = postcard::from_bytes(bytes).ok()?;
    Some(if choices.is_empty() { text } else { format!("{text} [{}]", choices.join(" / ")) })
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
