//! The words of `[budget]`, in grants and in manifests: what they limit and how their amounts are written. Integers only.

use alloc::format;
use alloc::string::String;

use crate::budget::{Limits, Resource};
use crate::limits::{MEMORY_MAX_BYTES, WALL_RUN_MAX_MS};
use crate::manifest::Amount;

/// One word.
struct Word {
    key: &'static str,
    what: Resource,
    daily: bool,
    unit: Unit,
}

/// How an amount is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// `"2.00"`
    Usd,
    /// `400_000`
    Count,
    /// `"120s"`, `"10m"`, `"2h"`, `"30d"`
    Time,
    /// `64`
    Mebibytes,
}

const fn word(key: &'static str, what: Resource, daily: bool, unit: Unit) -> Word {
    Word { key, what, daily, unit }
}

const WORDS: [Word; 13] = [
    word("usd_run", Resource::Usd, false, Unit::Usd),
    word("usd_day", Resource::Usd, true, Unit::Usd),
    word("tokens_run", Resource::Tokens, false, Unit::Count),
    word("tokens_day", Resource::Tokens, true, Unit::Count),
    word("llm_calls_run", Resource::LlmCalls, false, Unit::Count),
    word("llm_calls_day", Resource::LlmCalls, true, Unit::Count),
    word("tool_calls_run", Resource::ToolCalls, false, Unit::Count),
    word("tool_calls_day", Resource::ToolCalls, true, Unit::Count),
    word("fuel_run", Resource::Fuel, false, Unit::Count),
    word("fuel_day", Resource::Fuel, true, Unit::Count),
    word("wall_run", Resource::WallTime, false, Unit::Time),
    word("wall_day", Resource::WallTime, true, Unit::Time),
    word("memory_mb", Resource::Memory, false, Unit::Mebibytes),
];

/// The words of `[budget]`, and `why`.
pub(super) const KEYS: &[&str] = &{
    let mut keys = ["why"; WORDS.len() + 1];
    let mut at = 0;
    while at < WORDS.len() {
        keys[at] = WORDS[at].key;
        at += 1;
    }
    keys
};

/// What one word limits.
pub(crate) struct Limit {
    pub(crate) what: Resource,
    pub(crate) daily: bool,
    pub(crate) amount: u64,
}

/// The word that limits a resource.
pub(super) fn key(what: Resource, daily: bool) -> Option<&'static str> {
    WORDS.iter().find(|word| word.what == what && word.daily == daily).map(|word| word.key)
}

/// An amount in the right form for a word; `0` for an unknown one.
pub(super) fn example(key: &str) -> &'static str {
    match WORDS.iter().find(|word| word.key == key).map(|word| word.unit) {
        Some(Unit::Usd) => "\"2.00\"",
        Some(Unit::Count) => "400_000",
        Some(Unit::Time) => "\"120s\"",
        Some(Unit::Mebibytes) => "64",
        None => "0",
    }
}

/// Reads one line of a budget.
///
/// # Errors
/// What is wrong with it, as a sentence about the key.
pub(crate) fn limit(key: &str, amount: &Amount) -> Result<Limit, String> {
    let word = WORDS.iter().find(|word| word.key == key).ok_or_else(|| format!("unknown key `{key}` in a budget"))?;
    let wrong = |must: &str| format!("`{key}` must be {must}, for example {}", example(key));
    let amount = match (word.unit, amount) {
        (Unit::Usd, Amount::Text(text)) => microusd(text).ok_or_else(|| wrong("dollars with up to 6 decimals"))?,
        (Unit::Usd, Amount::Number(_)) => return Err(wrong("dollars in quotes")),
        (Unit::Count, Amount::Number(number)) => *number,
        (Unit::Count, Amount::Text(_)) => return Err(wrong("a whole number")),
        (Unit::Time, Amount::Text(text)) => milliseconds(text).ok_or_else(|| wrong("a time in s, m, h or d"))?,
        (Unit::Time, Amount::Number(_)) => return Err(wrong("a time in quotes, with its unit")),
        (Unit::Mebibytes, Amount::Number(number)) => number.saturating_mul(1024 * 1024),
        (Unit::Mebibytes, Amount::Text(_)) => return Err(wrong("a whole number of MiB")),
    };
    if word.what == Resource::Memory && !(1..=MEMORY_MAX_BYTES).contains(&amount) {
        return Err(wrong(&format!("from 1 to {}", MEMORY_MAX_BYTES / (1024 * 1024))));
    }
    if word.what == Resource::WallTime && amount > WALL_RUN_MAX_MS {
        return Err(wrong("at most 366d"));
    }
    Ok(Limit { what: word.what, daily: word.daily, amount })
}

/// `"2.00"` is 2 000 000: exact or not at all.
fn microusd(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let fraction: u64 = decimals.parse().ok()?;
    let fraction = fraction * 10u64.pow(6 - u32::try_from(decimals.len()).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// `"120s"` is 120 000.
fn milliseconds(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1000,
        b'm' => 60 * 1000,
        b'h' => 60 * 60 * 1000,
        b'd' => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Where each limit stands in its file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    run: [u32; Resource::COUNT],
    day: [u32; Resource::COUNT],
}

impl Lines {
    pub(super) fn get(&self, what: Resource, daily: bool) -> u32 {
        if daily { self.day[what as usize] } else { self.run[what as usize] }
    }

    pub(super) fn set(&mut self, limit: &Limit, line: u32) {
        let lines = if limit.daily { &mut self.day } else { &mut self.run };
        lines[limit.what as usize] = line;
    }
}

impl Limit {
    /// Adds it to the limits of a run or of a day.
    pub(super) fn apply(&self, run: &mut Limits, day: &mut Limits) {
        let limits = if self.daily { day } else { run };
        *limits = limits.with(self.what, self.amount);
    }
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
    fn time_has_a_unit() {
        assert_eq!(milliseconds("120s"), Some(120_000));
        assert_eq!(milliseconds("30d"), Some(30 * 86_400_000));
        for bad in ["", "s", "10", "-1s", "1.5h", "99999999999999999999d", "18446744073709551615d", "1ms", "1é"] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }
}
