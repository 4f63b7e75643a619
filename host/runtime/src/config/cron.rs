//! Times by cron's five fields, in UTC: minute, hour, day of month, month, day of week (crontab(5)). It reads them and
//! looks for the next and the last.
//!
//! It is ours, because all that is needed fits one file: the crates for it bring time zones, a calendar and twenty crates more.

use agentry_kernel::time::Minute;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MINUTES_A_DAY: u32 = 24 * 60;

/// How far a next time is looked for: a 29th of February may be eight years away.
const HORIZON_DAYS: u32 = 9 * 366;

/// What the five fields allow, one bit a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Where both kinds of days are named, either is enough.
    either: bool,
}

/// Whether a text is such a time.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let parsed = Pattern::parse(pattern)?;
    parsed.next(Minute(0)).map(|_| ()).ok_or_else(|| "no day is ever like that".to_owned())
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("it has {} fields, not five", fields.len()));
        };
        let weekday_bits = bits(weekdays, 0, 7, &DAYS, 0)?;
        Ok(Self {
            minutes: bits(minutes, 0, 59, &[], 0)?,
            hours: bits(hours, 0, 23, &[], 0)?,
            days: bits(days, 1, 31, &[], 0)?,
            months: bits(months, 1, 12, &MONTHS, 1)?,
            // Both 0 and 7 are Sunday.
            weekdays: weekday_bits | (weekday_bits >> 7 & 1),
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    fn has_day(&self, day: u32) -> bool {
        let (month, of_month) = civil(day);
        // 1970-01-01 was a Thursday.
        let weekday = (day + 4) % 7;
        let (by_date, by_weekday) = (has(self.days, of_month), has(self.weekdays, weekday));
        has(self.months, month) && if self.either { by_date || by_weekday } else { by_date && by_weekday }
    }

    fn has(&self, minute: u32) -> bool {
        has(self.minutes, minute % 60) && has(self.hours, minute / 60 % 24)
    }

    /// The first time behind this one.
    fn next(&self, behind: Minute) -> Option<Minute> {
        let first = behind.0.saturating_add(1);
        let days = first / MINUTES_A_DAY..(first / MINUTES_A_DAY).saturating_add(HORIZON_DAYS);
        let on = |day: u32| (day * MINUTES_A_DAY..(day + 1) * MINUTES_A_DAY).find(|m| *m >= first && self.has(*m));
        days.filter(|day| self.has_day(*day)).find_map(on).map(Minute)
    }

    /// The last time behind `behind` and not behind `now`.
    pub(crate) fn last(&self, behind: Minute, now: Minute) -> Option<Minute> {
        let earliest = (behind.0 / MINUTES_A_DAY).max((now.0 / MINUTES_A_DAY).saturating_sub(HORIZON_DAYS));
        let fits = |m: &u32| *m > behind.0 && *m <= now.0 && self.has(*m);
        let on = |day: u32| (day * MINUTES_A_DAY..(day + 1) * MINUTES_A_DAY).rev().find(fits);
        (earliest..=now.0 / MINUTES_A_DAY).rev().filter(|day| self.has_day(*day)).find_map(on).map(Minute)
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits >> value & 1 == 1
}

/// One field: `*`, `5`, `1-5`, `*/15`, `MON-FRI`, and lists of them.
fn bits(field: &str, min: u32, max: u32, names: &[&str], first: u32) -> Result<u64, String> {
    let value = |word: &str| {
        let named = names.iter().zip(first..).find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| value);
        let value = named.or_else(|| word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit())));
        let fits = value.filter(|value| (min..=max).contains(value));
        fits.ok_or_else(|| format!("`{word}` is not from {min} to {max}"))
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse().ok().filter(|step| (1..=max).contains(step));
                (range, step.ok_or_else(|| format!("`{part}` has no step from 1 to {max}"))?)
            }
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((from, to)) => (value(from)?, value(to)?),
            None if step > 1 => (value(range)?, max),
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return Err(format!("`{range}` ends before it begins"));
        }
        (from..=to).step_by(step as usize).for_each(|value| bits |= 1 << value);
    }
    Ok(bits)
}

/// Month and day of month of a day since 1970-01-01; after Howard Hinnant, "chrono-compatible low-level date algorithms".
fn civil(day: u32) -> (u32, u32) {
    let shifted = day + 719_468;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 00:00, a Thursday.
    const NEW_YEAR: u32 = 29_453_760;

    fn next(pattern: &str, behind: u32) -> u32 {
        Pattern::parse(pattern).unwrap().next(Minute(behind)).unwrap().0 - NEW_YEAR
    }

    #[test]
    fn the_next_time_is_found() {
        assert_eq!(next("* * * * *", NEW_YEAR), 1);
        assert_eq!(next("*/15 * * * *", NEW_YEAR), 15);
        assert_eq!(next("30 7 * * *", NEW_YEAR), 7 * 60 + 30);
        assert_eq!(next("0 7 * * MON-FRI", NEW_YEAR + 8 * 60), MINUTES_A_DAY + 7 * 60, "Friday");
        assert_eq!(next("0 7 * * mon", NEW_YEAR), 4 * MINUTES_A_DAY + 7 * 60);
        assert_eq!(next("0 0 1 FEB *", NEW_YEAR), 31 * MINUTES_A_DAY);
        assert_eq!(next("0 0 29 2 *", NEW_YEAR), (365 + 365 + 31 + 28) * MINUTES_A_DAY, "in 2028");
        assert_eq!(next("0 0 5 * 7", NEW_YEAR), 3 * MINUTES_A_DAY, "Sunday, or the fifth");
        assert_eq!(next("5-20/10,59 * * * *", NEW_YEAR + 15), 59);
    }

    #[test]
    fn of_times_that_were_missed_the_last_counts() {
        let pattern = Pattern::parse("0 * * * *").unwrap();
        let at = |minutes: u32| Minute(NEW_YEAR + minutes);
        assert_eq!(pattern.last(at(0), at(59)), None);
        assert_eq!(pattern.last(at(0), at(60)), Some(at(60)));
        assert_eq!(pattern.last(at(0), at(300 * MINUTES_A_DAY + 5)), Some(at(300 * MINUTES_A_DAY)));
        assert_eq!(pattern.last(at(60), at(61)), None, "it counts once");
    }

    #[test]
    fn what_is_no_time_is_told_apart() {
        for wrong in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "+1 * * * *",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(check("0 0 31 2 *"), Err("no day is ever like that".to_owned()));
        assert!(check("0 7 * * MON-FRI").is_ok() && check("0 0 29 2 *").is_ok());
    }
}
