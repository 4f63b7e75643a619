//! The time of a host, out of what its machine says: it never goes back, and it leaps ahead only as far as that can be believed. So a clock that
//! is wrong for a while refills no budget, ends no wait, and leaves nothing waiting for a day that was never there. It reads no clock.

use serde::{Deserialize, Serialize};

use super::Millis;
use crate::limits::{CLOCK_LEAP_MAX_MS, CLOCK_SLOWER, CLOCK_UNUSED_MAX_MS};

const MICROS: u64 = 1000;

/// The time of one host. It is told how much time has passed, by a clock that nobody can set, and what the machine's clock says.
///
/// - A clock that runs ahead by up to [`CLOCK_LEAP_MAX_MS`] is followed at once.
/// - One that leapt further is followed when it has said so for as long as it leapt, or when a person accepts it.
/// - One that is behind is never followed: time goes slower until both meet, or until a person accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLine {
    /// Where it stands, in microseconds, so that looks that come quickly lose nothing.
    at: u64,
    /// What the machine's clock said last.
    machine: Millis,
    /// For how long that has been too far ahead, in microseconds.
    leapt: u64,
}

/// Both clocks of a host at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// What the host goes by.
    pub host: Millis,
    /// What the machine says.
    pub machine: Millis,
}

impl ClockReading {
    /// By how much the machine is ahead of the host, if that is more than is tolerated.
    pub fn ahead_ms(&self) -> Option<u64> {
        Some(self.machine.since(self.host)).filter(|ms| *ms > CLOCK_LEAP_MAX_MS)
    }

    /// By how much it is behind, if that is more than is tolerated.
    pub fn behind_ms(&self) -> Option<u64> {
        Some(self.host.since(self.machine)).filter(|ms| *ms > CLOCK_LEAP_MAX_MS)
    }
}

impl TimeLine {
    /// The time of a host that begins. `mark` is how far the time of the host before it had come; how long nobody served since then, nobody
    /// knows but the machine.
    pub fn begin(mark: Option<Millis>, machine: Millis) -> Self {
        let at = match mark {
            Some(mark) if machine.since(mark) > CLOCK_UNUSED_MAX_MS => mark,
            Some(mark) => mark.max(machine),
            None => machine,
        };
        Self { at: micros(at), machine, leapt: 0 }
    }

    /// Where it stands, so many microseconds after the last look.
    pub fn after(&self, passed: u64) -> Millis {
        Millis(self.at.saturating_add(self.counted(passed)) / MICROS)
    }

    /// Both clocks, so many microseconds after the last look.
    pub fn reading(&self, passed: u64) -> ClockReading {
        ClockReading { host: self.after(passed), machine: Millis(self.machine.0.saturating_add(passed / MICROS)) }
    }

    /// The date and the hour as they most likely are: the machine's, unless it leapt ahead. Other than the line, it can go back.
    pub fn calendar(&self, passed: u64) -> Millis {
        let ClockReading { host, machine } = self.reading(passed);
        host.min(machine)
    }

    /// So many microseconds have passed since the last look, and this is what the machine's clock says now.
    pub fn look(&mut self, passed: u64, machine: Millis) {
        self.at = self.at.saturating_add(self.counted(passed));
        self.machine = machine;
        let ahead = micros(machine).saturating_sub(self.at);
        if ahead <= micros(Millis(CLOCK_LEAP_MAX_MS)) {
            (self.at, self.leapt) = (self.at + ahead, 0);
            return;
        }
        self.leapt = self.leapt.saturating_add(passed);
        if self.leapt >= ahead {
            (self.at, self.leapt) = (self.at + ahead, 0);
        }
    }

    /// A person says that the machine's clock is right.
    pub fn accept(&mut self, machine: Millis) {
        *self = Self { at: micros(machine), machine, leapt: 0 };
    }

    /// How much of the time that passed it counts.
    fn counted(&self, passed: u64) -> u64 {
        let behind = self.at.saturating_sub(micros(self.machine));
        passed.saturating_sub(behind.min(passed / CLOCK_SLOWER))
    }
}

fn micros(at: Millis) -> u64 {
    at.0.saturating_mul(MICROS)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);
    const SECOND: u64 = 1_000_000;
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;

    #[test]
    fn a_leap_of_years_is_not_believed_and_a_clock_that_is_right_again_is_followed() {
        let mut line = TimeLine::begin(Some(NOW), NOW);
        line.look(5 * SECOND, Millis(NOW.0 + 10 * YEAR_MS));
        assert_eq!(line.after(0), NOW.plus(5_000));
        assert_eq!(line.reading(0).ahead_ms(), Some(10 * YEAR_MS - 5_000));
        assert_eq!(line.calendar(0), NOW.plus(5_000), "nor is its date");
        line.look(5 * SECOND, NOW.plus(10_000));
        assert_eq!((line.after(0), line.reading(0).ahead_ms()), (NOW.plus(10_000), None));
    }

    #[test]
    fn a_leap_that_lasts_as_long_as_it_is_wide_is_believed() {
        let mut line = TimeLine::begin(None, NOW);
        // A machine that was stopped for an hour without noticing.
        let hour = 3_600_000;
        for second in 1..=3_600u64 {
            line.look(SECOND, NOW.plus(hour + second * 1000));
            let believed = line.reading(0).ahead_ms().is_none();
            assert_eq!(believed, second >= 3_600, "after {second} s");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        let mut line = TimeLine::begin(None, NOW);
        let back = Millis(NOW.0 - 3_600_000);
        line.look(0, back);
        assert_eq!((line.after(0), line.calendar(0)), (NOW, back));
        line.look(32 * SECOND, back.plus(32_000));
        assert_eq!(line.after(0), NOW.plus(31_000), "it goes a little slower");
    }

    #[test]
    fn a_host_that_begins_knows_how_far_the_time_had_come() {
        let begin = |mark, machine| TimeLine::begin(mark, machine).after(0);
        let (week, decade) = (7 * 86_400_000, 10 * YEAR_MS);
        assert_eq!(begin(None, NOW), NOW);
        assert_eq!(begin(Some(NOW), NOW.plus(week)), NOW.plus(week), "it was off for a week");
        assert_eq!(begin(Some(NOW), NOW.plus(decade)), NOW, "nobody knows");
        assert_eq!(begin(Some(NOW.plus(week)), NOW), NOW.plus(week), "time does not go back");
        let mut line = TimeLine::begin(Some(NOW.plus(decade)), NOW);
        line.accept(NOW);
        assert_eq!(line.after(0), NOW, "but for a person's word");
    }

    #[test]
    fn no_number_is_too_large_for_it() {
        let mut line = TimeLine::begin(Some(Millis(u64::MAX)), Millis(u64::MAX));
        line.look(u64::MAX, Millis(u64::MAX));
        line.look(u64::MAX, Millis(0));
        let _ = (line.after(u64::MAX), line.reading(u64::MAX), line.calendar(u64::MAX));
    }

    /// What happens to a clock: so many milliseconds pass, and then it is set to so far from the truth.
    fn walk() -> impl Strategy<Value = Vec<(u64, i64)>> {
        let off = prop_oneof![
            4 => Just(0i64),
            3 => -90_000..90_000i64,
            2 => -100_000_000..100_000_000i64,
            1 => -400_000_000_000..400_000_000_000i64,
        ];
        prop::collection::vec((0..120_000u64, off), 1..200)
    }

    proptest! {
        #[test]
        fn time_neither_goes_back_nor_runs_away_however_its_clock_is_set(walk in walk()) {
            let (mut line, mut passed, mut before) = (TimeLine::begin(None, NOW), 0u64, NOW);
            let (mut most, mut leapt) = (0i64, false);
            for (ms, off) in walk {
                passed += ms;
                // A leap that lasts is believed in the end; this is about those that do not.
                leapt |= off > i64::try_from(CLOCK_LEAP_MAX_MS).unwrap() && u64::try_from(off).unwrap() <= passed;
                line.look(ms * MICROS, Millis(NOW.0.saturating_add(passed).saturating_add_signed(off)));
                let now = line.after(0);
                prop_assert!(now >= before, "it went back");
                before = now;
                let truth = NOW.plus(passed);
                let (ahead, behind) = (now.since(truth), truth.since(now));
                most = most.max(off.min(i64::try_from(CLOCK_LEAP_MAX_MS).unwrap()));
                // It may have been led ahead by one step for each look, never by more than one a look; and it loses a part of what passes.
                prop_assert!(leapt || ahead <= 200 * CLOCK_LEAP_MAX_MS, "{ahead} ms ahead");
                prop_assert!(behind <= passed / CLOCK_SLOWER + 1, "{behind} ms behind");
            }
        }

        #[test]
        fn a_clock_that_is_right_again_is_where_it_would_have_been(walk in walk()) {
            let (mut line, mut passed) = (TimeLine::begin(None, NOW), 0u64);
            for (ms, off) in walk {
                passed += ms;
                let off = off.min(0);
                line.look(ms * MICROS, Millis(NOW.0.saturating_add(passed).saturating_add_signed(off)));
            }
            line.look(0, NOW.plus(passed));
            prop_assert_eq!(line.after(0), NOW.plus(passed));
        }
    }
}
