//! Reads `[budget]` of grants and `budget` of the site's ceiling; mistakes go into the document.

use alloc::format;
use alloc::string::ToString;

use toml::de::{DeTable, DeValue};

use super::document::{Document, Words};
use crate::approval::Required;
use crate::budget::words::{Amount, Limit, WORDS, example, key, limit, meant};
use crate::budget::{Limits, Resource, Window};
use crate::refusal::Rule;

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
        let Some(amount) = amount else { continue };
        match limit(key, &amount) {
            Ok(limit) => budget.set(&limit, document.line(&name.span())),
            Err(message) => document.mistake(value.span(), message, meant(key, &amount)),
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
