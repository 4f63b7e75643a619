//! A moment as people write it: a date, a date with its time, or how long ago. It reads no clock but for the last.

use agentry_kernel::policy::moment;
use agentry_kernel::time::Millis;
use toml::value::{Datetime, Offset};

use super::{span, units};

/// Reads one; without an offset it is UTC, as everything that is printed.
pub fn parse(given: &str) -> Result<Millis, String> {
    if let Ok(ago) = span::parse(given) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Millis(units::now().0.saturating_sub(ago)));
    }
    let wrong =
        || format!("`{given}` is no moment, such as 2h (ago), 2026-11-29, 2026-11-29T07:00 or 2026-11-29T07:00+01:00");
    let mut date: Datetime = given.trim_end_matches(" UTC").parse().map_err(|_| wrong())?;
    if date.time.is_some() {
        date.offset.get_or_insert(Offset::Z);
    }
    moment(&date).ok_or_else(wrong)
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
        assert_eq!(parse(&format!("{} UTC", units::moment(MIDNIGHT))), Ok(Millis(MIDNIGHT)), "as it is shown");
        let ago = parse("2h").unwrap().0.abs_diff(units::now().0);
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for wrong in ["", "yesterday", "12:00:00", "2026-13-01", "2026-11-29T25:00", "1969-01-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
