//! A moment as people write it: `2026-03-01`, whose beginning in UTC is meant, `2026-03-01 12:00:00`, in UTC unless it says otherwise.

use agentry_kernel::policy::moment;
use agentry_kernel::time::Millis;
use toml::value::{Datetime, Offset};

/// Reads one.
pub fn parse(given: &str) -> Result<Millis, String> {
    let wrong = || format!("`{given}` is no moment, such as 2026-03-01 or 2026-03-01T12:00:00Z");
    let mut date: Datetime = given.trim_end_matches(" UTC").parse().map_err(|_| wrong())?;
    if date.time.is_some() {
        date.offset.get_or_insert(Offset::Z);
    }
    moment(&date).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::units;

    #[test]
    fn a_moment_is_read_as_it_is_shown() {
        for given in ["2026-03-01", "2026-03-01 00:00:00", "2026-03-01T00:00:00Z", "2026-03-01T02:00:00+02:00"] {
            assert_eq!(parse(given).map(|at| units::moment(at.0)).as_deref(), Ok("2026-03-01 00:00:00"), "{given}");
        }
        for wrong in ["", "yesterday", "12:00:00", "2026-13-01", "1969-01-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
