//! Whose word counts as a publisher's, and whose word a file has: that of keys, or of an identity that certificates name. Which of them a home takes, the
//! keyring says.

use std::fmt;

use agentry_kernel::publisher::PublisherKey;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::holders::{Holders, Vouched};
use crate::identity::{Certified, Identity};
use crate::key::PublicKey;

/// Whose word counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Party {
    /// Whoever holds these keys.
    Keys(Holders),
    /// Whoever a certificate of Sigstore says is this.
    Identity(Identity),
}

/// Whose word a file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Voucher {
    /// So many keys have signed it.
    Keys(Vouched),
    /// It was signed under a certificate.
    Identity(Certified),
}

impl Party {
    /// What a grant names them by.
    pub fn name(&self) -> PublisherKey {
        match self {
            Self::Keys(holders) => holders.name(),
            Self::Identity(identity) => identity.name(),
        }
    }

    /// How they are named on the line of a command.
    pub fn arguments(&self) -> String {
        match self {
            Self::Keys(holders) => holders.arguments(),
            Self::Identity(identity) => identity.name().to_string(),
        }
    }

    /// The keys, if it is keys.
    pub fn keys(&self) -> Option<&Holders> {
        match self {
            Self::Keys(holders) => Some(holders),
            Self::Identity(_) => None,
        }
    }

    /// How another one of its kind is called.
    pub(crate) fn another(&self) -> &'static str {
        match self {
            Self::Keys(holders) if holders.only().is_some() => "another key",
            Self::Keys(_) => "other keys",
            Self::Identity(_) => "another identity",
        }
    }
}

impl Voucher {
    /// Whose word it is.
    pub fn party(&self) -> Party {
        match self {
            Self::Keys(vouched) => Party::Keys(vouched.holders.clone()),
            Self::Identity(certified) => Party::Identity(certified.identity.clone()),
        }
    }

    /// Who signed, each by its key or by the identity that the certificate names.
    pub fn by(&self) -> Vec<String> {
        match self {
            Self::Keys(vouched) => vouched.by.iter().map(ToString::to_string).collect(),
            Self::Identity(certified) => vec![certified.by.clone()],
        }
    }

    /// When it was signed, as a log says; keys say nothing of it.
    pub fn at(&self) -> Option<Millis> {
        match self {
            Self::Keys(_) => None,
            Self::Identity(certified) => Some(certified.at),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(holders) => holders.fmt(f),
            Self::Identity(identity) => identity.fmt(f),
        }
    }
}

impl From<Holders> for Party {
    fn from(holders: Holders) -> Self {
        Self::Keys(holders)
    }
}

impl From<PublicKey> for Party {
    fn from(key: PublicKey) -> Self {
        Self::Keys(key.into())
    }
}

impl From<Identity> for Party {
    fn from(identity: Identity) -> Self {
        Self::Identity(identity)
    }
}

impl From<Vouched> for Voucher {
    fn from(vouched: Vouched) -> Self {
        Self::Keys(vouched)
    }
}

impl From<PublicKey> for Voucher {
    fn from(key: PublicKey) -> Self {
        Self::Keys(key.into())
    }
}

impl From<Certified> for Voucher {
    fn from(certified: Certified) -> Self {
        Self::Identity(certified)
    }
}
