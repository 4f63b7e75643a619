//! Times by cron's five fields in a zone of time: when a person there would say that it is that time. It reads no clock.
//!
//! Where a clock is set ahead, a time that is skipped counts as the first moment behind; where it is set back, a time that comes twice counts when it
//! comes first. Times of every hour go by the hours that pass: none is made up, none is left out.

use agentry_kernel::time::{Millis, Minute};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use super::cron::{HORIZON_DAYS, Pattern};
use super::triggers::CronLine;

const MINUTES_A_DAY: i64 = 24 * 60;

/// How far the times of one day may stand out of order, and a day lie off that of UTC: more than any zone shifts at once.
const SHIFT_MINUTES: u32 = 26 * 60;

/// The times of a line.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    pattern: Pattern,
    zone: TimeZone,
}

impl Times {
    /// Those of this line.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn of(line: &CronLine) -> Result<Self, String> {
        let pattern = Pattern::parse(&line.times)?;
        let zone = line.zone.as_deref().map_or(Ok(TimeZone::UTC), zone)?;
        Ok(Self { pattern, zone })
    }

    /// The last time behind `behind` and not behind `now`.
    pub(crate) fn last(&self, behind: Minute, now: Minute) -> Option<Minute> {
        if behind >= now {
            return None;
        }
        let (first, mut day) = (self.date(behind)?, self.date(now)?);
        let earliest = first.max(day.checked_sub(i64::from(HORIZON_DAYS).days()).ok()?);
        // What a clock that is set back repeats may be of the day behind.
        day = day.tomorrow().ok()?;
        let mut found: Option<Minute> = None;
        while day >= earliest {
            if self.has_day(day) {
                let of_day = self.of_day(day).filter(|at| *at > behind && *at <= now).max();
                found = found.max(of_day);
            }
            if found.is_some_and(|found| self.date(found).is_some_and(|found| found > day)) {
                break;
            }
            day = day.yesterday().ok()?;
        }
        found
    }

    /// The first time behind `behind`.
    pub(crate) fn next(&self, behind: Minute) -> Option<Minute> {
        let mut day = self.date(Minute(behind.0.saturating_sub(SHIFT_MINUTES)))?;
        let mut found: Option<Minute> = None;
        for _ in 0..=HORIZON_DAYS {
            let of_day = if self.has_day(day) { self.of_day(day).filter(|at| *at > behind).min() } else { None };
            match (found, of_day) {
                (Some(found), later) => return Some(later.map_or(found, |later| found.min(later))),
                (None, of_day) => found = of_day,
            }
            day = day.tomorrow().ok()?;
        }
        found
    }

    /// The date there.
    fn date(&self, at: Minute) -> Option<Date> {
        let at = Timestamp::from_millisecond(i64::try_from(at.begins().0).ok()?).ok()?;
        Some(self.zone.to_datetime(at).date())
    }

    fn has_day(&self, day: Date) -> bool {
        let weekday = u32::try_from(day.weekday().to_sunday_zero_offset()).unwrap_or_default();
        let (month, of_month) = (u32::try_from(day.month()), u32::try_from(day.day()));
        month.is_ok_and(|month| of_month.is_ok_and(|of_month| self.pattern.has_date(month, of_month, weekday)))
    }

    /// The moments of a day that fit, in no order.
    fn of_day(&self, day: Date) -> impl Iterator<Item = Minute> + '_ {
        let midnight = day.at(0, 0, 0, 0);
        let fits = (0..MINUTES_A_DAY).filter(|minute| u32::try_from(*minute).is_ok_and(|of| self.pattern.has(of)));
        fits.filter_map(move |minute| midnight.checked_add(minute.minutes()).ok())
            .flat_map(|at| self.moments(at))
            .flatten()
    }

    /// When it is this time there: once, as a rule.
    fn moments(&self, at: DateTime) -> [Option<Minute>; 2] {
        let by = |offset: jiff::tz::Offset| offset.to_timestamp(at).ok().and_then(minute);
        match self.zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => [by(offset), None],
            AmbiguousOffset::Fold { before, after } if self.pattern.is_hourly() => [by(before), by(after)],
            AmbiguousOffset::Fold { before, .. } => [by(before), None],
            AmbiguousOffset::Gap { .. } if self.pattern.is_hourly() => [None, None],
            AmbiguousOffset::Gap { after, .. } => {
                let skipped = after.to_timestamp(at).ok();
                let behind = skipped.and_then(|at| self.zone.following(at).next()).map(|change| change.timestamp());
                [behind.and_then(minute), None]
            }
        }
    }
}

fn minute(at: Timestamp) -> Option<Minute> {
    u64::try_from(at.as_millisecond()).ok().map(|at| Millis(at).minute())
}

/// Whether a line has times.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(super) fn check(line: &CronLine) -> Result<(), String> {
    Times::of(line)?.next(Minute(0)).map(|_| ()).ok_or_else(|| "no day is ever like that".to_owned())
}

/// The zone of this name in the tables of the system, or in those that we bring along.
fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("there is no zone of time `{name}`"))
}

/// Whether a name is one of a zone.
///
/// # Errors
/// That it is none, in a sentence.
pub(super) fn check_zone(name: &str) -> Result<(), String> {
    zone(name).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(pattern: &str, zone: &str) -> Times {
        let zone = Some(zone.to_owned());
        Times::of(&CronLine { times: pattern.to_owned(), zone, ..CronLine::default() }).unwrap()
    }

    fn at(text: &str) -> Minute {
        minute(text.parse().unwrap()).unwrap()
    }

    /// All times behind the first and not behind the last, oldest first, found one by one from either end.
    fn between(times: &Times, from: &str, to: &str) -> Vec<String> {
        let (from, to) = (at(from), at(to));
        let mut forth = Vec::new();
        let mut behind = from;
        while let Some(next) = times.next(behind).filter(|next| *next <= to) {
            forth.push(next);
            behind = next;
        }
        let mut back = Vec::new();
        let mut now = to;
        while let Some(last) = times.last(from, now) {
            back.push(last);
            now = Minute(last.0 - 1);
        }
        back.reverse();
        assert_eq!(forth, back);
        forth
            .iter()
            .map(|at| Timestamp::from_millisecond(i64::try_from(at.begins().0).unwrap()).unwrap().to_string())
            .collect()
    }

    #[test]
    fn a_time_is_that_of_people_in_the_zone_in_summer_and_in_winter() {
        let berlin = times("0 7 * * MON-FRI", "Europe/Berlin");
        assert_eq!(
            between(&berlin, "2026-03-26T12:00:00Z", "2026-03-31T12:00:00Z"),
            ["2026-03-27T06:00:00Z", "2026-03-30T05:00:00Z", "2026-03-31T05:00:00Z"]
        );
        let kiritimati = times("30 0 1 * *", "Pacific/Kiritimati");
        assert_eq!(between(&kiritimati, "2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z"), ["2026-01-31T10:30:00Z"]);
    }

    #[test]
    fn a_time_that_is_skipped_counts_as_the_first_moment_behind_and_those_of_every_hour_do_not() {
        let skipped = times("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            between(&skipped, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        let hourly = times("30 * * * *", "Europe/Berlin");
        let seen = between(&hourly, "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z");
        assert_eq!(seen, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_counts_when_it_comes_first_and_those_of_every_hour_each_time() {
        let twice = times("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            between(&twice, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        let quarters = times("*/30 * * * *", "Europe/Berlin");
        let seen = between(&quarters, "2026-10-24T23:59:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(
            seen,
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z"
            ]
        );
    }

    #[test]
    fn in_utc_it_is_what_it_always_was() {
        let utc = Times::of(&CronLine { times: "0 0 29 2 *".to_owned(), ..CronLine::default() }).unwrap();
        assert_eq!(utc.next(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(utc.last(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), Some(at("2024-02-29T00:00:00Z")));
        assert_eq!(utc.last(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), None);
        let never = CronLine { times: "0 0 31 2 *".to_owned(), ..CronLine::default() };
        assert_eq!(check(&never), Err("no day is ever like that".to_owned()));
    }

    #[test]
    fn a_zone_that_is_none_is_told() {
        assert!(check_zone("Europe/Berlin").is_ok() && check_zone("UTC").is_ok());
        assert_eq!(check_zone("Europe/Atlantis"), Err("there is no zone of time `Europe/Atlantis`".to_owned()));
    }
}
