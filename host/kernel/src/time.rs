//! Time as the kernel is told it: a number, never a clock.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

/// Days since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub u32);

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Day {
    /// Its first moment.
    pub fn begins(self) -> Millis {
        Millis(u64::from(self.0) * DAY_MS)
    }
}

impl Millis {
    /// The day that this moment lies in.
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// Seconds until the next day begins, rounded up.
    pub fn seconds_to_next_day(self) -> u64 {
        (DAY_MS - self.0 % DAY_MS).div_ceil(1000)
    }

    /// This moment, `ms` later.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 if the clock went back.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
