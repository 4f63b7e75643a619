//! Time as the kernel is told it: a number, never a clock.

use alloc::format;
use alloc::string::String;

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

/// A length of time as people read it, by its two largest units; seconds alone below a minute, and minutes alone below an hour.
pub fn length(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds % 3_600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        // Up to two days people count hours.
        (0..2, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

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

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn a_length_of_time_is_read_by_its_largest_units() {
        for (seconds, read) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min"),
            (16 * 3_600, "16 h 0 min"),
            (47 * 3_600 + 60, "47 h 1 min"),
            (3 * 86_400 + 4 * 3_600, "3 d 4 h"),
            (u64::MAX, "213503982334601 d 7 h"),
        ] {
            assert_eq!(length(seconds), read);
        }
    }
}
