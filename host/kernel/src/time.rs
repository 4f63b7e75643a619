//! Time as the kernel is told it: a number, never a clock.

use serde::{Deserialize, Serialize};

mod line;

pub use line::{ClockReading, TimeLine};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

/// Days since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub u32);

/// Minutes since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Minute(pub u32);

const MINUTE_MS: u64 = 60 * 1000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Day {
    /// Its first moment.
    pub fn begins(self) -> Millis {
        Millis(u64::from(self.0) * DAY_MS)
    }
}

impl Minute {
    /// Its first moment.
    pub fn begins(self) -> Millis {
        Millis(u64::from(self.0) * MINUTE_MS)
    }
}

impl Millis {
    /// The minute that this moment lies in.
    pub fn minute(self) -> Minute {
        Minute(u32::try_from(self.0 / MINUTE_MS).unwrap_or(u32::MAX))
    }

    /// The day that this moment lies in.
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / DAY_MS).unwrap_or(u32::MAX))
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
