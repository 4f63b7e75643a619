//! The key of a publisher, its keys together, or the identity that its certificates name, as far as a grant speaks of them: whether a package is one that
//! its holder signed is a fact that a host supplies. No signature is looked at here.

use core::fmt;
use core::str::FromStr;

use crate::digest::Digest;

/// What stands before the digits of a key.
const ONE: &str = "ed25519:";

/// What stands before the digits of a set of keys.
const SEVERAL: &str = "keys:";

/// What stands before the digits of an identity.
const IDENTITY: &str = "cosign:";

/// Who must have signed: each in its form of a prefix and 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublisherKey {
    /// The public half of a publisher's one key (RFC 8032): `ed25519:…`.
    One(Digest),
    /// So many of several keys, by a digest of all of them and of how many must sign: `keys:…`. Over what it is taken, a host knows.
    Several(Digest),
    /// Whoever a certificate of Sigstore names, by a digest of whom and of who says so: `cosign:…`. Over what it is taken, a host knows.
    Identity(Digest),
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(digits) => write!(f, "{ONE}{digits}"),
            Self::Several(digits) => write!(f, "{SEVERAL}{digits}"),
            Self::Identity(digits) => write!(f, "{IDENTITY}{digits}"),
        }
    }
}

impl FromStr for PublisherKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let of = |prefix: &str, made: fn(Digest) -> Self| Digest::of_hex(text.strip_prefix(prefix)?).map(made);
        let known = of(ONE, Self::One).or_else(|| of(SEVERAL, Self::Several));
        known.or_else(|| of(IDENTITY, Self::Identity)).ok_or(NoKey)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_key_comes_back_and_what_is_none_is_refused() {
        let text = format!("ed25519:{}", "0a".repeat(32));
        let several = format!("keys:{}", "0a".repeat(32));
        let identity = format!("cosign:{}", "0a".repeat(32));
        for text in [&text, &several, &identity] {
            assert_eq!(text.parse::<PublisherKey>().map(|key| key.to_string()), Ok(text.clone()));
        }
        assert_ne!(text.parse::<PublisherKey>(), several.parse(), "a set of keys is no key, whatever its digits");
        assert_ne!(identity.parse::<PublisherKey>(), several.parse(), "nor is an identity");
        for bad in ["", "ed25519:", "ed25519:0a", &text.to_uppercase(), &text[8..], &format!("{text}0"), "ed25519:é"] {
            assert_eq!(bad.parse::<PublisherKey>(), Err(NoKey), "{bad}");
        }
    }
}
