//! How an amount is written: exact or not at all.

use super::Amount;

/// How an amount is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// `"2.00"`
    Usd,
    /// `400_000`
    Count,
    /// `"120s"`, `"10m"`, `"2h"`, `"30d"`
    Time,
    /// `"64KiB"`, `"10MiB"`, `"1GiB"`
    Bytes,
    /// `64`
    Mebibytes,
}

impl Unit {
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Usd => "\"2.00\"",
            Self::Count => "400_000",
            Self::Time => "\"120s\"",
            Self::Bytes => "\"10MiB\"",
            Self::Mebibytes => "64",
        }
    }

    /// The amount in the resource's own unit, or what it must be.
    pub(super) fn read(self, amount: &Amount) -> Result<u64, &'static str> {
        match (self, amount) {
            (Self::Usd, Amount::Text(text)) => {
                microusd(text).ok_or_else(|| must(text, microusd, "dollars with up to 6 decimals"))
            }
            (Self::Usd, Amount::Number(_)) => Err("dollars in quotes"),
            (Self::Count, Amount::Number(number)) => Ok(*number),
            (Self::Count, Amount::Text(_)) => Err("a whole number"),
            (Self::Time, Amount::Text(text)) => {
                milliseconds(text).ok_or_else(|| must(text, milliseconds, "a time in s, m, h or d"))
            }
            (Self::Time, Amount::Number(_)) => Err("a time in quotes, with its unit"),
            (Self::Bytes, Amount::Text(text)) => {
                bytes(text).ok_or_else(|| must(text, bytes, "a size in B, KiB, MiB or GiB"))
            }
            (Self::Bytes, Amount::Number(_)) => Err("a size in quotes, with its unit"),
            (Self::Mebibytes, Amount::Number(number)) => number.checked_mul(MIB).ok_or("a size that fits a number"),
            (Self::Mebibytes, Amount::Text(_)) => Err("a whole number of MiB"),
        }
    }
}

const MIB: u64 = 1024 * 1024;

/// What an amount must be that is none: smaller, where another number in its place would be one.
fn must(text: &str, read: impl Fn(&str) -> Option<u64>, form: &'static str) -> &'static str {
    let rest = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let with_a_digit = || ["1", rest].concat();
    if rest.len() < text.len() && read(&with_a_digit()).is_some() { "smaller" } else { form }
}

/// `"2.00"` is 2 000 000.
pub fn microusd(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let fraction: u64 = decimals.parse().ok()?;
    let fraction = fraction * 10u64.pow(6 - u32::try_from(decimals.len()).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// `"120s"` is 120 000.
pub fn milliseconds(text: &str) -> Option<u64> {
    const SECOND: u64 = 1000;
    multiple(text, &[("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND), ("d", 24 * 3600 * SECOND)])
}

/// `"10MiB"` is 10 485 760. The longer units stand first, for `B` ends them all.
fn bytes(text: &str) -> Option<u64> {
    multiple(text, &[("KiB", 1024), ("MiB", MIB), ("GiB", 1024 * MIB), ("B", 1)])
}

/// A whole number and a unit, without a space.
fn multiple(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    if !digits(number) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_or_refused() {
        assert_eq!(microusd("2.00"), Some(2_000_000));
        assert_eq!(microusd("0.000001"), Some(1));
        assert_eq!(microusd("18446744073709.551615"), Some(u64::MAX));
        for bad in ["", ".", "1.", ".5", "1.0000001", "-1", "+1", "1e3", "1,5", "18446744073709.551616", "$1", " 1"] {
            assert_eq!(microusd(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_well_and_too_large_must_be_smaller() {
        let told = |unit: Unit, text: &str| unit.read(&Amount::Text(text.into())).expect_err(text);
        assert_eq!(told(Unit::Usd, "99999999999999999999"), "smaller");
        assert_eq!(told(Unit::Usd, "1,5"), "dollars with up to 6 decimals");
        assert_eq!(told(Unit::Time, "99999999999999999999d"), "smaller");
        assert_eq!(told(Unit::Time, "10"), "a time in s, m, h or d");
        assert_eq!(told(Unit::Bytes, "99999999999999999999KiB"), "smaller");
    }

    #[test]
    fn time_has_a_unit() {
        assert_eq!(milliseconds("120s"), Some(120_000));
        assert_eq!(milliseconds("30d"), Some(30 * 86_400_000));
        for bad in ["", "s", "10", "-1s", "1.5h", "99999999999999999999d", "18446744073709551615d", "1ms", "1é"] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(bytes("10MiB"), Some(10 * MIB));
        assert_eq!((bytes("1GiB"), bytes("1KiB"), bytes("7B")), (Some(1024 * MIB), Some(1024), Some(7)));
        for bad in ["", "B", "10", "10MB", "10 MiB", "-1B", "1.5MiB", "99999999999GiB", "1KiBB", "1mib"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }
}
