//! Days in the civil calendar, and reading them from what a person says. Days are counted from 1970-01-01, UTC.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) i64);

impl Day {
    /// The day of a moment in milliseconds.
    pub(crate) fn of(ms: u64) -> Self {
        Self(i64::try_from(ms / DAY_MS).unwrap_or(i64::MAX))
    }

    /// A day of the calendar, if there is one.
    pub(crate) fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Days from civil, by Howard Hinnant: the year begins in March, so that the leap day is its last.
        let shifted = year - i64::from(month <= 2);
        let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let found = Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468);
        // February 30 would become a day of March.
        (found.date() == (year, month, day)).then_some(found)
    }

    /// Year, month and day.
    pub(crate) fn date(self) -> (i64, i64, i64) {
        let days = self.0 + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    /// `2026-12-01`
    pub(crate) fn iso(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// 0 for Monday.
    fn weekday(self) -> i64 {
        (self.0 + 3).rem_euclid(7)
    }
}

/// A day that is written as `2026-12-01`.
pub(crate) fn iso(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = parts.next().is_none() && year.len() == 4 && [year, month, day].into_iter().all(digits);
    whole.then(|| Day::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)).flatten()
}

/// The day that a sentence speaks of, seen from `today`, and how many of its last words said so.
pub(crate) fn find(words: &[&str], today: Day) -> Option<(Day, std::ops::Range<usize>)> {
    let clean: Vec<String> = words.iter().map(|word| clean(word)).collect();
    (0..clean.len()).find_map(|start| at(&clean[start..], today).map(|(day, count)| (day, start..start + count)))
}

fn at(words: &[String], today: Day) -> Option<(Day, usize)> {
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    if let Some(day) = iso(word(0)) {
        return Some((day, 1));
    }
    match word(0) {
        "today" | "tonight" => return Some((today, 1)),
        "tomorrow" => return Some((Day(today.0 + 1), 1)),
        "in" => return ahead(word(1), word(2)).map(|days| (Day(today.0 + days), 3)),
        "next" | "on" => return weekday(word(1), today).map(|day| (day, 2)),
        _ => {}
    }
    // `1 december 2026`, `december 1 2026`, and without a year the next such day.
    let (day, month) = match (number(word(0)), month(word(1)), month(word(0)), number(word(1))) {
        (Some(day), Some(month), _, _) | (_, _, Some(month), Some(day)) => (day, month),
        _ => return None,
    };
    if let Some(year) = word(2).parse().ok().filter(|year| (1970..=9999).contains(year)) {
        return Day::new(year, month, day).map(|day| (day, 3));
    }
    let (year, ..) = today.date();
    let years = [year, year + 1];
    years.iter().filter_map(|year| Day::new(*year, month, day)).find(|day| *day >= today).map(|day| (day, 2))
}

fn clean(word: &str) -> String {
    word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase()
}

/// `3`, `1st`, `22nd`
fn number(word: &str) -> Option<i64> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let ending = &word[digits.len()..];
    ["", "st", "nd", "rd", "th"].contains(&ending).then(|| digits.parse().ok()).flatten()
}

fn month(word: &str) -> Option<i64> {
    let long_enough = word.len() >= 3;
    let found = MONTHS.iter().position(|month| long_enough && month.starts_with(word))?;
    i64::try_from(found + 1).ok()
}

/// The next such day, never today.
fn weekday(word: &str, today: Day) -> Option<Day> {
    let wanted = i64::try_from(WEEKDAYS.iter().position(|day| *day == word)?).ok()?;
    let days = (wanted - today.weekday() + 6).rem_euclid(7) + 1;
    Some(Day(today.0 + days))
}

fn ahead(count: &str, unit: &str) -> Option<i64> {
    let count: i64 = match count {
        "a" | "an" | "one" => 1,
        "two" => 2,
        "three" => 3,
        digits => digits.parse().ok().filter(|count| (0..=10_000).contains(count))?,
    };
    match unit {
        "day" | "days" => Some(count),
        "week" | "weeks" => Some(count * 7),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Sunday.
    const TODAY: (i64, i64, i64) = (2026, 11, 22);

    fn check(sentence: &str, expected: Option<&str>) {
        let today = Day::new(TODAY.0, TODAY.1, TODAY.2).expect("a day");
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let found = find(&words, today).map(|(day, _)| day.iso());
        assert_eq!(found.as_deref(), expected, "{sentence}");
    }

    #[test]
    fn days_are_read_as_people_write_them() {
        check("renew the passport, due 2026-12-01", Some("2026-12-01"));
        check("call home today", Some("2026-11-22"));
        check("call home tomorrow.", Some("2026-11-23"));
        check("water the plants in 3 days", Some("2026-11-25"));
        check("pay in two weeks", Some("2026-12-06"));
        check("meet on Friday", Some("2026-11-27"));
        check("meet next sunday", Some("2026-11-29"));
        check("taxes by 31 March 2027", Some("2027-03-31"));
        check("taxes by March 31st", Some("2027-03-31"));
        check("party 1 Dec", Some("2026-12-01"));
    }

    #[test]
    fn what_is_no_day_is_none() {
        check("buy 3 apples", None);
        check("due 2026-02-30", None);
        check("put it in the box", None);
        check("", None);
    }

    #[test]
    fn every_day_survives_the_way_to_the_calendar_and_back() {
        for count in (-1000..60_000).step_by(17) {
            let (year, month, day) = Day(count).date();
            assert_eq!(Day::new(year, month, day), Some(Day(count)));
        }
        assert_eq!(Day::of(0).iso(), "1970-01-01");
    }
}
