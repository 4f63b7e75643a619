//! Times by cron's five fields: minute, hour, day of month, month, day of week (crontab(5)). It reads them
//! and says what fits; when that is in some zone of time, `times.rs` says.
//!
//! It is ours, because all that is needed fits one file.

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Every hour of a day.
const HOURS: u64 = (1 << 24) - 1;

/// How far a next time is looked for: a 29th of February may be eight years away.
pub(super) const HORIZON_DAYS: u32 = 9 * 366;

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

    /// Whether such a date fits; the weekday counts from Sunday.
    pub(super) fn has_date(&self, month: u32, of_month: u32, weekday: u32) -> bool {
        let (by_date, by_weekday) = (has(self.days, of_month), has(self.weekdays, weekday));
        has(self.months, month) && if self.either { by_date || by_weekday } else { by_date && by_weekday }
    }

    /// Whether this minute of a day fits.
    pub(super) fn has(&self, minute: u32) -> bool {
        has(self.minutes, minute % 60) && has(self.hours, minute / 60 % 24)
    }

    /// True if every hour fits.
    pub(super) fn is_hourly(&self) -> bool {
        self.hours == HOURS
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_number_name_range_list_and_step() {
        let of = |text: &str| Pattern::parse(text).unwrap();
        let fits = |text: &str, minute: u32| of(text).has(minute);
        assert!(fits("* * * * *", 0) && fits("*/15 * * * *", 45) && !fits("*/15 * * * *", 46));
        assert!(fits("30 7 * * *", 7 * 60 + 30) && !fits("30 7 * * *", 19 * 60 + 30));
        assert!(
            [5, 15, 59].iter().all(|minute| fits("5-20/10,59 * * * *", *minute)) && !fits("5-20/10,59 * * * *", 20)
        );
        assert!(of("0 7 * * MON-FRI").has_date(1, 1, 4) && !of("0 7 * * mon").has_date(1, 1, 4));
        assert!(of("0 0 1 FEB *").has_date(2, 1, 0) && !of("0 0 1 FEB *").has_date(3, 1, 0));
        // Sunday, or the fifth.
        let either = of("0 0 5 * 7");
        assert!(either.has_date(1, 4, 0) && either.has_date(1, 5, 1) && !either.has_date(1, 6, 2));
        assert!(of("0 * * * *").is_hourly() && of("0 0-23 * * *").is_hourly() && !of("0 */2 * * *").is_hourly());
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
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
