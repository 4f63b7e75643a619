//! Time: where the host reads it, and the clock that a run sees. No other file of a syscall's way asks what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use agentry_kernel::time::Millis;

/// Where the host takes the time from; cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// One that somebody sets: a test, or a replay.
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `now` until somebody stores another number.
    pub fn set(now: Millis) -> Self {
        Self::Set(Arc::new(AtomicU64::new(now.0)))
    }

    /// The time, in UTC. A machine whose clock stands before 1970 has it at 1970.
    #[inline]
    pub fn now(&self) -> Millis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Set(at) => Millis(at.load(Ordering::Relaxed)),
        }
    }
}

/// The date that lies so many days after 1970-01-01, as year, month and day; after Howard Hinnant, "chrono-compatible low-level date
/// algorithms". Days of more than a billion years overflow.
pub fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The clock of one run: it moves only when the run passes the gate, and never back.
#[derive(Debug)]
pub struct RunClock(AtomicU64);

impl RunClock {
    /// A clock that stands at `now`.
    pub fn at(now: Millis) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// What the guest may see.
    #[inline]
    pub fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Acquire))
    }

    /// Moves to `now`, unless it is past that already, and says where it stands.
    #[inline]
    pub fn advance(&self, now: Millis) -> Millis {
        Millis(self.0.fetch_max(now.0, Ordering::AcqRel).max(now.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_before_1970_too() {
        assert_eq!((date(0), date(-1), date(11_016)), ((1970, 1, 1), (1969, 12, 31), (2000, 2, 29)));
    }

    #[test]
    fn a_run_clock_never_goes_back() {
        let clock = RunClock::at(Millis(10));
        assert_eq!(clock.advance(Millis(30)), Millis(30));
        assert_eq!(clock.advance(Millis(20)), Millis(30));
        assert_eq!(clock.now(), Millis(30));
    }
}
