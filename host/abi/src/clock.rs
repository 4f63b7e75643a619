//! Time: where the host reads it, and the clock that a run sees. No other file of a syscall's way asks what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use agentry_kernel::time::{ClockReading, Millis, TimeLine};
use rustix::time::{ClockId, clock_gettime};

/// How long the machine's clock is not looked at after a look, in microseconds.
const LOOK_US: u64 = 50_000;

/// Where the host takes the time from; cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// A host's own line of time, led by the machine's.
    Line(Arc<HostClock>),
    /// One that somebody sets: a test, or a replay.
    Set(Arc<AtomicU64>),
}

/// A [`TimeLine`] beside the two clocks of a machine: the one that people set, and the one that nobody can.
#[derive(Debug)]
pub struct HostClock(RwLock<Looked>);

#[derive(Clone, Copy, Debug)]
struct Looked {
    line: TimeLine,
    /// When, by the clock that nobody can set.
    at_us: u64,
}

impl Clock {
    /// A clock that stands at `now` until somebody stores another number.
    pub fn set(now: Millis) -> Self {
        Self::Set(Arc::new(AtomicU64::new(now.0)))
    }

    /// The clock of a host; `mark` is how far the time of the one before it had come.
    pub fn behind(mark: Option<Millis>) -> Self {
        let looked = Looked { line: TimeLine::begin(mark, machine()), at_us: since_boot_us() };
        Self::Line(Arc::new(HostClock(RwLock::new(looked))))
    }

    /// The time, in UTC. A machine whose clock stands before 1970 has it at 1970.
    #[inline]
    pub fn now(&self) -> Millis {
        match self {
            Self::System => machine(),
            Self::Line(clock) => clock.read(TimeLine::after),
            Self::Set(at) => Millis(at.load(Ordering::Relaxed)),
        }
    }

    /// True if it goes by itself, so that it is known for a while what it will show at least.
    pub fn passes(&self) -> bool {
        match self {
            Self::System | Self::Line(_) => true,
            Self::Set(_) => false,
        }
    }

    /// The date and the hour: what a person's clock shows. It may go back.
    pub fn calendar(&self) -> Millis {
        match self {
            Self::Line(clock) => clock.looked(TimeLine::calendar),
            Self::System | Self::Set(_) => self.now(),
        }
    }

    /// Both clocks, which are one unless it is a host's.
    pub fn reading(&self) -> ClockReading {
        match self {
            Self::Line(clock) => clock.looked(TimeLine::reading),
            Self::System | Self::Set(_) => ClockReading { host: self.now(), machine: self.now() },
        }
    }

    /// A person says that the machine's clock is right. What the clocks said before.
    pub fn accept(&self) -> ClockReading {
        let before = self.reading();
        if let Self::Line(clock) = self {
            let mut looked = clock.0.write().unwrap_or_else(PoisonError::into_inner);
            looked.at_us = since_boot_us();
            looked.line.accept(machine());
        }
        before
    }
}

impl HostClock {
    /// What its line says now.
    #[inline]
    fn read<T>(&self, read: impl Fn(&TimeLine, u64) -> T) -> T {
        let looked = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        let passed = since_boot_us().saturating_sub(looked.at_us);
        if passed < LOOK_US { read(&looked.line, passed) } else { self.looked(read) }
    }

    /// The same, behind a look at the machine's clock.
    fn looked<T>(&self, read: impl Fn(&TimeLine, u64) -> T) -> T {
        let mut looked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let now = since_boot_us().max(looked.at_us);
        let passed = now - looked.at_us;
        looked.line.look(passed, machine());
        looked.at_us = now;
        read(&looked.line, 0)
    }
}

fn machine() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Time since the machine was started, that in which it slept included.
fn since_boot_us() -> u64 {
    let at = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(at.tv_sec).unwrap_or(0), u64::try_from(at.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000)
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
    fn a_host_s_clock_begins_where_the_one_before_it_was() {
        let ahead = machine().plus(86_400_000);
        let clock = Clock::behind(Some(ahead));
        let (now, reading) = (clock.now(), clock.reading());
        assert!(now >= ahead && reading.behind_ms().is_some() && clock.calendar() < ahead);
        assert!(clock.accept().behind_ms().is_some() && clock.reading().behind_ms().is_none());
        assert!(clock.now() < ahead);
    }

    #[test]
    fn a_run_clock_never_goes_back() {
        let clock = RunClock::at(Millis(10));
        assert_eq!(clock.advance(Millis(30)), Millis(30));
        assert_eq!(clock.advance(Millis(20)), Millis(30));
        assert_eq!(clock.now(), Millis(30));
    }
}
