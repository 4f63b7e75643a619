//! Bytes with their name: the digest beside them was computed of them by this process, and by nobody who could be wrong about it.

use agentry_kernel::Digest;

/// The bytes of a file, and their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    bytes: Vec<u8>,
    digest: Digest,
}

impl Hashed {
    /// These bytes, which are read once for it.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { digest: super::digest(&bytes), bytes }
    }

    /// Their name.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes alone.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
