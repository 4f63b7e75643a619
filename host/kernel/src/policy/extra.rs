//! What may stand in any rule besides the thing that it names: labels, how often, and who must be asked.

use alloc::format;
use alloc::string::ToString;

use toml::de::DeTable;

use super::condition::{texts, unknown};
use super::document::{Document, Words};
use crate::approval::{Approvers, Factor, Required};
use crate::labels::{self, Labels};
use crate::limits::RATE_MAX;
use crate::refusal::Rule;
use crate::rights::{Extra, Rate};

const UNLESS: Words = Words { table: "`unless` of a grant", known: &["labels_any", "labels_all"], later: &[] };
const APPROVAL: Words = Words { table: "`approval`", known: &["from", "factor", "quorum", "ttl"], later: &[] };

/// Reads `unless`, `rate`, `approval` and `labels` of a rule.
pub(super) fn extra(document: &mut Document<'_>, table: &DeTable<'_>, rule: &Rule) -> Extra {
    let mut extra = Extra {
        rate: rate(document, table),
        approval: approval(document, table, rule),
        labels: names(document, table, "labels"),
        ..Extra::default()
    };
    if let Some((unless, place)) = document.table(table, "unless", "{ labels_any = [\"untrusted\"] }") {
        document.closed(unless, &UNLESS);
        extra.unless_any = names(document, unless, "labels_any");
        extra.unless_all = names(document, unless, "labels_all");
        if unless.is_empty() {
            document.mistake(place, "`unless` is empty", "for example `unless = { labels_any = [\"untrusted\"] }`");
        }
    }
    extra
}

/// A set of labels.
pub(super) fn names(document: &mut Document<'_>, table: &DeTable<'_>, key: &str) -> Labels {
    Labels::of(texts(document, table, key, "\"untrusted\"", labels::check).unwrap_or_default())
}

/// `"20/h"`
fn rate(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<Rate> {
    let (text, place) = document.string(table, "rate", "\"20/h\"")?;
    let rate = text.split_once('/').and_then(|(calls, unit)| {
        let digits = !calls.is_empty() && calls.bytes().all(|byte| byte.is_ascii_digit());
        let calls = digits.then(|| calls.parse().ok())??;
        let (_, span_ms) = Rate::UNITS.into_iter().find(|(word, _)| *word == unit)?;
        (1..=RATE_MAX).contains(&calls).then_some(Rate { calls, span_ms })
    });
    if rate.is_none() {
        let hint =
            format!("for example `rate = \"20/h\"`: from 1 to {RATE_MAX} a second, minute, hour or day (s, m, h, d)");
        document.mistake(place, "`rate` is not a number of calls in a time", hint);
    }
    rate
}

/// Who must say yes.
pub(super) fn approval(document: &mut Document<'_>, table: &DeTable<'_>, rule: &Rule) -> Option<Required> {
    const EXAMPLE: &str = "{ from = \"group:ops\", factor = \"totp\" }";
    let (table, place) = document.table(table, "approval", EXAMPLE)?;
    document.closed(table, &APPROVAL);
    if !table.contains_key("from") {
        let hint = "for example `from = \"group:ops\"`, or \"anyone\"";
        document.lacks((table, &place), &["from"], "`from` is missing", hint);
    }
    let from = document.string(table, "from", "\"group:ops\"").and_then(|(text, place)| {
        text.parse::<Approvers>()
            .map_err(|flaw| document.mistake(place, format!("`from` {flaw}"), "see `agentry approver`"))
            .ok()
    });
    let factor = document.string(table, "factor", "\"totp\"").and_then(|(word, place)| {
        let factor = Factor::ALL.into_iter().find(|factor| factor.word() == word);
        if factor.is_none() {
            unknown(document, place, "factor", word, &Factor::ALL.map(Factor::word));
        }
        factor
    });
    let quorum =
        document.number(table, "quorum", "1").map_or(1, |(number, _)| u32::try_from(number).unwrap_or(u32::MAX));
    let ttl_ms = match document.string(table, "ttl", "\"10m\"") {
        None => Required::TTL_DEFAULT_MS,
        Some((text, place)) => crate::budget::words::milliseconds(text).unwrap_or_else(|| {
            document.mistake(place, "`ttl` must be a time in s, m, h or d", "for example `ttl = \"10m\"`");
            Required::TTL_DEFAULT_MS
        }),
    };
    let factor = factor.unwrap_or(Factor::Confirm);
    let required = Required { rule: rule.clone(), from: from?, factor, quorum, ttl_ms };
    if let Some(flaw) = required.flaw() {
        document.mistake(place, flaw.to_string(), format!("for example `approval = {EXAMPLE}`"));
        return None;
    }
    Some(required)
}
