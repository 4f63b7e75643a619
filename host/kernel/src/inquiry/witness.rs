//! Values on both sides of every line that constraints draw: for each argument a few that stand for all others. Whoever looks
//! for a call that one policy allows and another does not needs no more than these.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::constraint::{Constraint, Literal, Test};
use crate::json::Value;

/// Values that stand for one argument.
const VALUES_MAX: usize = 96;

/// The longest text that is made up: whoever allows a megabyte is not shown one.
const TEXT_MAX_BYTES: u64 = 4096;

/// The longest list that is made up.
const ITEMS_MAX: u64 = 64;

/// What fits a pattern of names, simplest first: `mail.*` is met by `mail.x`.
pub(crate) fn names(pattern: &str) -> Vec<String> {
    match pattern.strip_suffix('*') {
        None => alloc::vec![pattern.to_string()],
        Some("") => alloc::vec!["x".into()],
        Some(beginning) => alloc::vec![format!("{beginning}x"), format!("{beginning}y")],
    }
}

/// What fits a pattern of namespaces.
pub(crate) fn namespaces(pattern: &str) -> Vec<String> {
    match pattern.strip_suffix("**") {
        None => alloc::vec![pattern.to_string()],
        Some("") => alloc::vec!["x".into(), "x/y".into()],
        Some(subtree) => alloc::vec![format!("{subtree}x"), subtree.trim_end_matches('/').into()],
    }
}

/// Paths in a subtree of a root.
pub(crate) fn paths(at: &str) -> Vec<String> {
    match at.strip_prefix('/').unwrap_or(at) {
        "" => alloc::vec!["x".into(), String::new()],
        top => alloc::vec![format!("{top}/x"), top.into()],
    }
}

/// What fits a pattern of hosts.
pub(crate) fn hosts(pattern: &str) -> Vec<String> {
    match pattern.strip_prefix('*') {
        None => alloc::vec![pattern.into()],
        Some("") => alloc::vec!["x.example".into()],
        Some(below) => alloc::vec![format!("x{below}"), format!("x.y{below}")],
    }
}

/// What fits a pattern of an address's paths.
pub(crate) fn url_paths(pattern: &str) -> Vec<String> {
    match pattern.strip_suffix("/**") {
        None => alloc::vec![pattern.into()],
        Some("") => alloc::vec!["/".into(), "/x".into()],
        Some(top) => alloc::vec![format!("{top}/x"), top.into()],
    }
}

/// Values around all lines that these constraints draw, those that fit the first one first.
pub(crate) fn values(constraints: &[&Constraint]) -> Vec<Value> {
    let tests: Vec<&Test> = constraints.iter().flat_map(|constraint| &constraint.tests).collect();
    let mut values = Vec::new();
    let mut numbers = alloc::vec![0];
    let mut texts = alloc::vec![String::new(), "x".into()];
    let mut items = alloc::vec![Value::Text("x".into())];
    let mut sizes = alloc::vec![0, 1, 2];
    let mut lengths = Vec::new();
    for test in &tests {
        match test {
            Test::Any => {}
            Test::In(literals) => literals.iter().for_each(|literal| match literal {
                Literal::Integer(number) => numbers.extend(around(*number, *number)),
                Literal::Text(text) => texts.extend([text.clone(), format!("{text}x")]),
                Literal::Bool(_) => {}
            }),
            Test::EachIn(literals) => items.extend(literals.iter().map(Literal::value)),
            Test::Prefix(prefix) => texts.extend([prefix.clone(), format!("{prefix}x"), cut(prefix)]),
            Test::Between { min, max } => numbers.extend(around(*min, *max)),
            Test::BytesMax(most) => lengths.extend([*most, most.saturating_add(1)]),
            Test::ItemsMin(least) => sizes.extend([least.saturating_sub(1), *least]),
            Test::ItemsMax(most) => sizes.extend([*most, most.saturating_add(1)]),
            Test::Host(patterns) => texts.extend(patterns.iter().flat_map(|pattern| hosts(pattern))),
            Test::Path(tops) => texts.extend(tops.iter().flat_map(|top| paths(top))),
        }
    }
    values.extend(numbers.into_iter().map(Value::Integer));
    values.extend([true, false].map(Value::Bool));
    for length in lengths.into_iter().filter(|length| *length <= TEXT_MAX_BYTES) {
        let filled: Vec<_> = texts.iter().filter_map(|text| filled(text, length)).collect();
        texts.extend(filled);
        texts.truncate(VALUES_MAX);
    }
    values.extend(texts.into_iter().map(Value::Text));
    values.extend(lists(&items, sizes));
    values.extend([Value::Null, Value::Decimal(0.5), Value::Object(Vec::new())]);
    let mut kept: Vec<Value> = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    if let Some(first) = constraints.first() {
        kept.sort_by_key(|value| !first.fits(value));
    }
    kept.truncate(VALUES_MAX);
    kept
}

fn around(min: i64, max: i64) -> impl Iterator<Item = i64> {
    [Some(min), Some(max), min.checked_sub(1), max.checked_add(1)].into_iter().flatten()
}

/// Without its last character.
fn cut(text: &str) -> String {
    let mut chars = text.chars();
    chars.next_back();
    chars.as_str().into()
}

/// A text made so long by what no rule names.
fn filled(text: &str, length: u64) -> Option<String> {
    let missing = usize::try_from(length).ok()?.checked_sub(text.len())?;
    Some(format!("{text}{}", "x".repeat(missing)))
}

/// Lists of each size: all of one item, and with another one among them.
fn lists(items: &[Value], sizes: Vec<u64>) -> Vec<Value> {
    let mut lists = Vec::new();
    let mut sizes: Vec<usize> =
        sizes.into_iter().filter(|size| *size <= ITEMS_MAX).filter_map(|size| usize::try_from(size).ok()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        if size == 0 {
            lists.push(Value::List(Vec::new()));
            continue;
        }
        for item in items.iter().rev().take(8) {
            lists.push(Value::List(alloc::vec![item.clone(); size]));
            for other in items.iter().filter(|other| *other != item).take(if size > 1 { 4 } else { 0 }) {
                let mut list = alloc::vec![item.clone(); size];
                list[size - 1] = other.clone();
                lists.push(Value::List(list));
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_on_each_side_of_every_line() {
        let constraint = |test| Constraint { tests: alloc::vec![test], optional: false };
        let tests = [
            Test::In(alloc::vec![Literal::Integer(7)]),
            Test::EachIn(alloc::vec![Literal::Text("a".into())]),
            Test::Prefix("report".into()),
            Test::Between { min: 1, max: 50 },
            Test::BytesMax(20),
            Test::ItemsMin(2),
            Test::ItemsMax(3),
            Test::Host(alloc::vec!["*.example.org".into()]),
            Test::Path(alloc::vec!["/out".into()]),
        ];
        for constraint in tests.map(constraint) {
            let values = values(&[&constraint]);
            assert!(values.first().is_some_and(|value| constraint.fits(value)), "{constraint}: {values:?}");
            assert!(values.iter().any(|value| !constraint.fits(value)), "{constraint}");
        }
    }
}
