//! How an amount is written: exact or not at all.

use alloc::format;
use alloc::string::String;

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

    /// The same amount as it is written here, of one that is written as elsewhere: `"$1"`, `"1 minute"`, `"10MB"`. It is shown, and never taken.
    pub(super) fn meant(self, amount: &Amount) -> Option<String> {
        let number = match amount {
            Amount::Number(number) => format!("{number}"),
            Amount::Text(text) => text.to_ascii_lowercase(),
        };
        let number = number.trim().trim_start_matches('$').trim_start();
        let (number, unit) =
            number.split_at(number.find(|char: char| !"0123456789._".contains(char)).unwrap_or(number.len()));
        let unit = unit.trim();
        let number = number.replace('_', "");
        let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
        if !digits(whole) || !(decimals.is_empty() || self == Self::Usd && digits(decimals)) {
            return None;
        }
        match self {
            Self::Usd if ["", "$", "usd", "dollar", "dollars"].contains(&unit) => {
                Some(format!("\"{whole}.{decimals:0<2}\""))
            }
            Self::Count => match unit {
                "" => Some(whole.into()),
                "k" => Some(format!("{whole}_000")),
                "m" => Some(format!("{whole}_000_000")),
                _ => None,
            },
            Self::Time => of(unit, "s", &TIMES).map(|unit| format!("\"{whole}{unit}\"")),
            Self::Bytes => of(unit, "B", &SIZES).map(|unit| format!("\"{whole}{unit}\"")),
            Self::Mebibytes if ["", "m", "mb", "mib"].contains(&unit) => Some(whole.into()),
            Self::Usd | Self::Mebibytes => None,
        }
    }
}

/// Units of time and the words that people have for them.
const TIMES: [(&str, &[&str]); 4] = [
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
];

/// The same of sizes.
const SIZES: [(&str, &[&str]); 4] = [
    ("B", &["b", "byte", "bytes"]),
    ("KiB", &["k", "kb", "kib"]),
    ("MiB", &["m", "mb", "mib"]),
    ("GiB", &["g", "gb", "gib"]),
];

/// The unit that has this word; without one, what is written of it elsewhere.
fn of(word: &str, without: &'static str, units: &[(&'static str, &[&str])]) -> Option<&'static str> {
    let known = units.iter().find(|(_, words)| words.contains(&word)).map(|(unit, _)| *unit);
    known.or_else(|| word.is_empty().then_some(without))
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
    fn an_amount_that_is_written_as_elsewhere_is_shown_as_it_is_written_here() {
        let text = |text: &str| Amount::Text(text.into());
        for (unit, amount, meant) in [
            (Unit::Usd, text("$1"), "\"1.00\""),
            (Unit::Usd, text("2.5 USD"), "\"2.50\""),
            (Unit::Usd, Amount::Number(5), "\"5.00\""),
            (Unit::Count, text("1000"), "1000"),
            (Unit::Count, text("400k"), "400_000"),
            (Unit::Time, Amount::Number(60), "\"60s\""),
            (Unit::Time, text("1 minute"), "\"1m\""),
            (Unit::Bytes, text("10MB"), "\"10MiB\""),
            (Unit::Bytes, Amount::Number(1000), "\"1000B\""),
            (Unit::Mebibytes, text("64MiB"), "64"),
        ] {
            assert_eq!(unit.meant(&amount).as_deref(), Some(meant), "{amount:?}");
        }
        // What could be two amounts is none.
        for (unit, amount) in [(Unit::Usd, "1,5"), (Unit::Usd, "1.2.3"), (Unit::Time, "soon"), (Unit::Bytes, "1.5GB")] {
            assert_eq!(unit.meant(&text(amount)), None, "{amount}");
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
