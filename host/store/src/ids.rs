//! Names of what has no name of its own in the store: its hosts and the segments of their logs. They are plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which host of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostId(pub u16);

impl HostId {
    /// The first one: in a store that knew of one host only, all is its own.
    pub const FIRST: Self = Self(0);

    /// Whether it is that one.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host, and which of its openings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEpoch {
    /// Which host.
    pub host: HostId,
    /// From 1; 0 stands for all openings before there were epochs.
    pub epoch: u64,
}

/// A segment of the log: whose, and which of it. Eight bytes in a key, whose order is that of hosts, then of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The host that wrote it.
    pub host: HostId,
    /// From 0, without a gap.
    pub number: u64,
}

impl SegmentId {
    /// The last number there can be: at a million segments a second, enough for nine years.
    pub const NUMBER_MAX: u64 = (1 << Self::NUMBER_BITS) - 1;

    const NUMBER_BITS: u32 = 48;

    /// In a key.
    pub fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.host.0) << Self::NUMBER_BITS | self.number & Self::NUMBER_MAX).to_be_bytes()
    }

    /// Out of a key. Every eight bytes are one.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [high, low, ..] = bytes;
        Self { host: HostId(u16::from_be_bytes([high, low])), number: u64::from_be_bytes(bytes) & Self::NUMBER_MAX }
    }

    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}
