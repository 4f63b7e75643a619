//! Numbers as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

use agentry_abi::clock::date;
use agentry_kernel::time::{self, Millis};

/// Dollars of millionths of a dollar: no digit that counts is rounded away.
pub fn dollars(microusd: u64) -> String {
    let (whole, rest) = (microusd / 1_000_000, microusd % 1_000_000);
    let digits = format!("{rest:06}");
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("${}.{}", count(whole), &digits[..kept])
}

/// A count with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count too large for its digits to matter: `1.2 G`.
pub fn rough(number: u64) -> String {
    let scaled = |unit: u64, letter: &str| format!("{}.{} {letter}", number / unit, number % unit * 10 / unit);
    match number {
        0..10_000 => count(number),
        10_000..1_000_000 => format!("{} k", number / 1_000),
        1_000_000..1_000_000_000 => scaled(1_000_000, "M"),
        _ => scaled(1_000_000_000, "G"),
    }
}

/// Milliseconds.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => time::length(ms / 1_000),
    }
}

/// `1 call`, `2 calls`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Entries of a journal.
pub fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{} entries", count(number)) }
}

/// Bytes.
pub fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => format!("{} KiB", number / 1_024),
        1_048_576..1_073_741_824 => format!("{}.{} MiB", number / 1_048_576, number % 1_048_576 * 10 / 1_048_576),
        _ => format!("{}.{} GiB", number >> 30, ((number & 0x3fff_ffff) * 10) >> 30),
    }
}

/// This moment.
pub fn now() -> Millis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// A moment in UTC, to the second, as RFC 3339 writes it.
pub fn moment(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1_000 % 86_400);
    let (year, month, day) = date(i64::try_from(days).unwrap_or_default());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_every_digit_that_counts() {
        assert_eq!(dollars(0), "$0.00");
        assert_eq!(dollars(1), "$0.000001");
        assert_eq!(dollars(1_250_000), "$1.25");
        assert_eq!(dollars(12_000_000_000), "$12 000.00");
    }

    #[test]
    fn counts_and_times_are_read_at_a_glance() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(rough(1_234_567_890), "1.2 G");
        assert_eq!(duration(1_250), "1.2 s");
        assert_eq!(duration(61_000), "1 min 1 s");
        assert_eq!(duration(3_700_000), "1 h 1 min");
        assert_eq!(duration(1_095 * 86_400_000), "1095 d 0 h");
        assert_eq!(plural(1, "call"), "1 call");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
    }

    #[test]
    fn a_moment_is_a_date_in_utc() {
        assert_eq!(moment(0), "1970-01-01 00:00:00");
        assert_eq!(moment(951_827_696_000), "2000-02-29 12:34:56");
        assert_eq!(moment(1_798_761_599_000), "2026-12-31 23:59:59");
    }
}
