//! A moment as people write it: a date, a date with its time, or how long ago. It reads no clock but for the last.

use agentry_kernel::time::Millis;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{span, units};

/// Reads one; without an offset it is UTC, as everything that is printed.
pub fn parse(given: &str) -> Result<Millis, String> {
    if let Ok(ago) = span::parse(given) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Millis(units::now().0.saturating_sub(ago)));
    }
    let wrong =
        || format!("`{given}` is no moment, such as 2h (ago), 2026-11-29, 2026-11-29T07:00 or 2026-11-29T07:00+01:00");
    let at = given.parse::<Timestamp>().or_else(|_| {
        let date: DateTime = given.trim_end_matches('Z').parse()?;
        TimeZone::UTC.to_timestamp(date)
    });
    let at = at.map_err(|_| wrong())?.as_millisecond();
    u64::try_from(at).map(Millis).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_how_long_ago() {
        const MIDNIGHT: u64 = 1_795_910_400_000;
        assert_eq!(parse("2026-11-29"), Ok(Millis(MIDNIGHT)));
        for same in ["2026-11-29T07:00", "2026-11-29 07:00:00", "2026-11-29T07:00:00Z", "2026-11-29T08:00+01:00"] {
            assert_eq!(parse(same), Ok(Millis(MIDNIGHT + 7 * 3_600_000)), "{same}");
        }
        let ago = parse("2h").unwrap().0.abs_diff(units::now().0);
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-29T25:00", "1969-01-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
