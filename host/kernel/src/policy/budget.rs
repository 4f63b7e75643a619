//! The words of `[budget]`, in grants, in the site's ceiling and in manifests: what they limit, for how long, and how
//! their amounts are written.

use alloc::format;
use alloc::string::{String, ToString};

use toml::de::{DeTable, DeValue};

use self::amount::Unit;
use super::document::{Document, Words};
use crate::approval::Required;
use crate::budget::{Limits, Resource, Window};
use crate::limits::{MEMORY_MAX_BYTES, WALL_RUN_MAX_MS};
use crate::manifest::Amount;
use crate::refusal::Rule;

mod amount;

pub(super) use amount::milliseconds;

/// The limits that one `[budget]` sets.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Of each run.
    pub run: Limits,
    /// Of all runs in a minute, UTC.
    pub minute: Limits,
    /// Of all runs in a day, UTC; of storage, at any time.
    pub day: Limits,
    /// Who is asked for more when an amount is used up; nobody if none.
    pub ask: Option<Required>,
    /// Whose it is and where it stands: `reporter/budget`.
    pub rule: Rule,
    lines: [[u32; Resource::COUNT]; 3],
}

/// One word.
struct Word {
    key: &'static str,
    what: Resource,
    window: Window,
    unit: Unit,
}

const fn word(key: &'static str, what: Resource, window: Window, unit: Unit) -> Word {
    Word { key, what, window, unit }
}

/// Fuel and wall time are held from a run's start to its end, so that a minute's limit on them would only keep runs out.
const WORDS: [Word; 27] = [
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

/// What a grant may say besides: what happens when an amount is used up. No word of a site's ceiling, which nobody raises.
const ASK: &[&str] = &["on_exhausted", "approval"];

const WHOLE: Words = Words {
    table: "[budget]",
    known: &{
        let mut keys = [""; KEYS.len() + ASK.len()];
        let mut at = 0;
        while at < keys.len() {
            keys[at] = if at < KEYS.len() { KEYS[at] } else { ASK[at - KEYS.len()] };
            at += 1;
        }
        keys
    },
    later: &["usd_month", "tokens_month"],
};
const CEILING: Words = Words { table: "`budget` of the ceiling", known: KEYS, later: &["usd_month", "tokens_month"] };

/// What one word limits.
pub(crate) struct Limit {
    what: Resource,
    window: Window,
    amount: u64,
}

/// The word that limits a resource.
pub(super) fn key(what: Resource, window: Window) -> Option<&'static str> {
    WORDS.iter().find(|word| word.what == what && word.window == window).map(|word| word.key)
}

/// An amount in the right form for a word; `0` for an unknown one.
pub(super) fn example(key: &str) -> &'static str {
    WORDS.iter().find(|word| word.key == key).map_or("0", |word| word.unit.example())
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

/// Reads `[budget]` of a grant; mistakes go into the document.
pub(super) fn read(document: &mut Document<'_>, file: &DeTable<'_>, owner: &Rule) -> Budget {
    let (budget, table) = amounts(document, file, owner, &WHOLE);
    Budget { ask: table.and_then(|table| on_exhausted(document, table, &budget.rule)), ..budget }
}

/// Reads `budget` of the site's ceiling, which nobody raises.
pub(super) fn read_ceiling(document: &mut Document<'_>, ceiling: &DeTable<'_>, site: &Rule) -> Budget {
    amounts(document, ceiling, site, &CEILING).0
}

/// Who is asked for more: whoever is at this machine, if `approval` does not say.
fn on_exhausted(document: &mut Document<'_>, table: &DeTable<'_>, rule: &Rule) -> Option<Required> {
    let (word, place) = document.string(table, "on_exhausted", "\"ask\"").unzip();
    let approval = super::extra::approval(document, table, rule);
    let line = place.as_ref().map_or(rule.line, |place| document.line(place));
    match (word, place) {
        (Some("ask"), _) => {
            Some(Required { rule: Rule { line, ..rule.clone() }, ..approval.unwrap_or_else(Required::of_anyone) })
        }
        (None | Some("deny"), _) if approval.is_some() => {
            let place =
                table.iter().find(|(name, _)| name.get_ref() == "approval").map_or(0..0, |(name, _)| name.span());
            let hint = "add `on_exhausted = \"ask\"`, or leave `approval` out";
            document.mistake(place, "`approval` of a budget says whom to ask, and nobody is asked", hint);
            None
        }
        (None | Some("deny"), _) => None,
        (Some(other), place) => {
            super::condition::unknown(document, place.unwrap_or(0..0), "on_exhausted", other, &["ask", "deny"]);
            None
        }
    }
}

fn amounts<'t>(
    document: &mut Document<'_>,
    file: &'t DeTable<'t>,
    owner: &Rule,
    words: &Words,
) -> (Budget, Option<&'t DeTable<'t>>) {
    let mut budget = Budget { rule: Rule { id: format!("{}/budget", owner.id), ..owner.clone() }, ..Budget::default() };
    let Some((table, place)) = document.table(file, "budget", "{ usd_day = \"2.00\" }") else { return (budget, None) };
    budget.rule.line = document.line(&place);
    document.closed(table, words);
    super::grant::why(document, table);
    for (name, value) in table.iter().filter(|(name, _)| KEYS.contains(&(name.get_ref() as &str))) {
        let key: &str = name.get_ref();
        let amount = match value.get_ref() {
            _ if key == "why" => continue,
            DeValue::String(text) => Some(Amount::Text(text.to_string())),
            DeValue::Integer(_) => document.number(table, key, example(key)).map(|(n, _)| Amount::Number(n)),
            other => document.wrong(value.span(), key, other.type_str(), "an amount", example(key)),
        };
        match amount.as_ref().map(|amount| limit(key, amount)) {
            Some(Ok(limit)) => budget.set(&limit, document.line(&name.span())),
            Some(Err(message)) => {
                document.mistake(value.span(), message, "amounts are exact: no fractions but in money, no guesses");
            }
            None => {}
        }
    }
    (budget, Some(table))
}

impl Budget {
    /// The limits of a window.
    pub fn limits(&self, window: Window) -> &Limits {
        match window {
            Window::Run => &self.run,
            Window::Minute => &self.minute,
            Window::Day => &self.day,
        }
    }

    /// True if any window has a limit on this resource.
    pub fn has(&self, what: Resource) -> bool {
        [&self.run, &self.minute, &self.day].into_iter().any(|limits| limits.get(what).is_some())
    }

    /// The word that sets a limit, and where it stands; the budget's own place if nothing sets it.
    pub fn word(&self, what: Resource, window: Window) -> (Option<&'static str>, Rule) {
        let line = self.lines[window as usize][what as usize];
        let line = if line == 0 { self.rule.line } else { line };
        (key(what, window), Rule { line, ..self.rule.clone() })
    }

    fn set(&mut self, limit: &Limit, line: u32) {
        let limits = match limit.window {
            Window::Run => &mut self.run,
            Window::Minute => &mut self.minute,
            Window::Day => &mut self.day,
        };
        *limits = limits.with(limit.what, limit.amount);
        self.lines[limit.window as usize][limit.what as usize] = line;
    }
}
