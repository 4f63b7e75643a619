//! The words of `[budget]`, in grants, in the site's ceiling and in manifests: what they limit, for how long, and how their amounts are
//! written. It reads no document.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use self::amount::Unit;
use super::{Resource, Window};
use crate::limits::{MEMORY_MAX_BYTES, WALL_RUN_MAX_MS};

mod amount;

pub use amount::{microusd, milliseconds};

/// A number or a text such as `"2.00"` or `"120s"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// A count.
    Number(u64),
    /// Money or time.
    Text(String),
}

/// One word.
pub(crate) struct Word {
    pub(crate) key: &'static str,
    what: Resource,
    window: Window,
    unit: Unit,
}

const fn word(key: &'static str, what: Resource, window: Window, unit: Unit) -> Word {
    Word { key, what, window, unit }
}

/// Fuel and wall time are held from a run's start to its end, so that a minute's limit on them would only keep runs out.
pub(crate) const WORDS: [Word; 29] = [
    word("usd_run", Resource::Usd, Window::Run, Unit::Usd),
    word("usd_minute", Resource::Usd, Window::Minute, Unit::Usd),
    word("usd_day", Resource::Usd, Window::Day, Unit::Usd),
    word("tokens_run", Resource::Tokens, Window::Run, Unit::Count),
    word("tokens_minute", Resource::Tokens, Window::Minute, Unit::Count),
    word("tokens_day", Resource::Tokens, Window::Day, Unit::Count),
    word("tokens_in_run", Resource::TokensIn, Window::Run, Unit::Count),
    word("tokens_in_minute", Resource::TokensIn, Window::Minute, Unit::Count),
    word("tokens_in_day", Resource::TokensIn, Window::Day, Unit::Count),
    word("tokens_out_run", Resource::TokensOut, Window::Run, Unit::Count),
    word("tokens_out_minute", Resource::TokensOut, Window::Minute, Unit::Count),
    word("tokens_out_day", Resource::TokensOut, Window::Day, Unit::Count),
    word("llm_calls_run", Resource::LlmCalls, Window::Run, Unit::Count),
    word("llm_calls_minute", Resource::LlmCalls, Window::Minute, Unit::Count),
    word("llm_calls_day", Resource::LlmCalls, Window::Day, Unit::Count),
    word("tool_calls_run", Resource::ToolCalls, Window::Run, Unit::Count),
    word("tool_calls_minute", Resource::ToolCalls, Window::Minute, Unit::Count),
    word("tool_calls_day", Resource::ToolCalls, Window::Day, Unit::Count),
    word("egress_run", Resource::Egress, Window::Run, Unit::Bytes),
    word("egress_minute", Resource::Egress, Window::Minute, Unit::Bytes),
    word("egress_day", Resource::Egress, Window::Day, Unit::Bytes),
    word("fuel_run", Resource::Fuel, Window::Run, Unit::Count),
    word("fuel_day", Resource::Fuel, Window::Day, Unit::Count),
    word("wall_run", Resource::WallTime, Window::Run, Unit::Time),
    word("wall_day", Resource::WallTime, Window::Day, Unit::Time),
    word("memory_mb", Resource::Memory, Window::Run, Unit::Mebibytes),
    word("storage_mb", Resource::Storage, Window::Day, Unit::Mebibytes),
    word("written_run", Resource::Written, Window::Run, Unit::Bytes),
    word("written_day", Resource::Written, Window::Day, Unit::Bytes),
];

/// What one word limits.
pub(crate) struct Limit {
    pub(crate) what: Resource,
    pub(crate) window: Window,
    pub(crate) amount: u64,
}

/// The word that limits a resource.
pub(crate) fn key(what: Resource, window: Window) -> Option<&'static str> {
    WORDS.iter().find(|word| word.what == what && word.window == window).map(|word| word.key)
}

/// An amount in the right form for a word; `0` for an unknown one.
pub(crate) fn example(key: &str) -> &'static str {
    WORDS.iter().find(|word| word.key == key).map_or("0", |word| word.unit.example())
}

/// The line that somebody meant who wrote an amount in another form; else one that is an example.
pub(crate) fn meant(key: &str, amount: &Amount) -> String {
    let word = WORDS.iter().find(|word| word.key == key);
    let meant = word.and_then(|word| word.unit.meant(amount)).filter(|meant| {
        let read = meant.replace('_', "").parse().map(Amount::Number);
        limit(key, &read.unwrap_or_else(|_| Amount::Text(meant.trim_matches('"').into()))).is_ok()
    });
    meant.map_or_else(|| format!("for example `{key} = {}`", example(key)), |meant| format!("write `{key} = {meant}`"))
}

/// Reads one line of a budget.
///
/// # Errors
/// What is wrong with it, as a sentence about the key.
pub(crate) fn limit(key: &str, amount: &Amount) -> Result<Limit, String> {
    let word = WORDS.iter().find(|word| word.key == key).ok_or_else(|| format!("unknown key `{key}` in a budget"))?;
    let wrong = |must: &str| format!("`{key}` must be {must}, for example {}", example(key));
    let amount = word.unit.read(amount).map_err(wrong)?;
    if word.what == Resource::Memory && !(1..=MEMORY_MAX_BYTES).contains(&amount) {
        return Err(wrong(&format!("from 1 to {}", MEMORY_MAX_BYTES / (1024 * 1024))));
    }
    if word.what == Resource::WallTime && amount > WALL_RUN_MAX_MS {
        return Err(wrong("at most 366d"));
    }
    Ok(Limit { what: word.what, window: word.window, amount })
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a text such as \"2.00\" or \"120s\"")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::Number(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                let number = u64::try_from(number);
                number.map(Amount::Number).map_err(|_| E::custom("an amount is never negative"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount::Text(text.into()))
            }
        }
        from.deserialize_any(Visitor)
    }
}
