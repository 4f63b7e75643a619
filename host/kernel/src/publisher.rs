//! The key of a publisher, as far as a grant speaks of it: whether a package is one that its holder signed is a fact that a host supplies.
//! No signature is looked at here.

use core::fmt;
use core::str::FromStr;

use crate::digest::Digest;

/// What stands before the digits of a key.
const PREFIX: &str = "ed25519:";

/// The public half of a publisher's key: `ed25519:` and 64 lowercase hexadecimal digits (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherKey(pub Digest);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for PublisherKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoKey)?;
        Digest::of_hex(digits).map(Self).ok_or(NoKey)
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
        assert_eq!(text.parse::<PublisherKey>().map(|key| key.to_string()), Ok(text.clone()));
        for bad in ["", "ed25519:", "ed25519:0a", &text.to_uppercase(), &text[8..], &format!("{text}0"), "ed25519:é"] {
            assert_eq!(bad.parse::<PublisherKey>(), Err(NoKey), "{bad}");
        }
    }
}
