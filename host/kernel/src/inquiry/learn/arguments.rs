//! What the arguments of a tool were, as the tightest constraints that say so.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::key;
use crate::constraint::Literal;
use crate::json::Value;
use crate::policy::quoted;

/// Values that are listed; more become a length or a span.
const VALUES_MAX: usize = 16;

/// The longest text that is listed as it is.
const TEXT_MAX_BYTES: usize = 256;

/// The shortest beginning that says anything.
const PREFIX_MIN_BYTES: usize = 3;

/// Writes the constraints on all arguments of these calls of one tool.
pub(super) fn write(text: &mut String, calls: &[&Value]) {
    let mut arguments: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for call in calls {
        let Some(entries) = call.entries() else {
            text.push_str("args = \"any\"    # what it passed was not kept\n");
            return;
        };
        entries.iter().for_each(|(name, value)| arguments.entry(name).or_default().push(value));
    }
    for (name, values) in arguments {
        let optional = if values.len() < calls.len() { ", optional = true" } else { "" };
        let (rule, note) = constraint(&values);
        text.push_str(&format!("args.{} = {{ {rule}{optional} }}{note}\n", key(name)));
    }
}

fn constraint(values: &[&Value]) -> (String, &'static str) {
    const ANYTHING: (&str, &str) = ("any = true", "    # nothing narrower can be said of it");
    let (any, note) = ANYTHING;
    if let Some(numbers) = all(values, |value| if let Value::Integer(number) = value { Some(*number) } else { None }) {
        let (min, max) = numbers.iter().fold((i64::MAX, i64::MIN), |(min, max), one| (min.min(*one), max.max(*one)));
        return (format!("min = {min}, max = {max}"), "");
    }
    if let Some(literals) = listed(values.iter().copied()) {
        return (format!("in = [{literals}]"), "");
    }
    if let Some(texts) = all(values, Value::as_str) {
        let most = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let beginning = beginning(&texts);
        let prefix = if beginning.len() >= PREFIX_MIN_BYTES {
            format!("prefix = {}, ", quoted(beginning))
        } else {
            String::new()
        };
        return (format!("{prefix}max_bytes = {most}"), "");
    }
    let lists = all(values, |value| if let Value::List(items) = value { Some(items) } else { None });
    let Some(lists) = lists else { return (any.into(), note) };
    let sizes = lists.iter().map(|list| list.len());
    let (min, max) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
    match listed(lists.iter().flat_map(|list| list.iter())) {
        Some(literals) if !literals.is_empty() => {
            (format!("each_in = [{literals}], min_items = {min}, max_items = {max}"), "")
        }
        _ => (format!("min_items = {min}, max_items = {max}"), if max > 0 { note } else { "" }),
    }
}

fn all<'a, T>(values: &[&'a Value], of: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|value| of(value)).collect()
}

/// Few and short values that a rule can name, as it names them.
fn listed<'a>(values: impl Iterator<Item = &'a Value>) -> Option<String> {
    let mut literals: Vec<Literal> = Vec::new();
    for value in values {
        let literal = match value {
            Value::Bool(value) => Literal::Bool(*value),
            Value::Integer(number) => Literal::Integer(*number),
            Value::Text(text) if text.len() <= TEXT_MAX_BYTES => Literal::Text(text.clone()),
            _ => return None,
        };
        if !literals.contains(&literal) {
            literals.push(literal);
        }
    }
    literals.sort();
    let shown = literals.iter().map(|literal| match literal {
        Literal::Text(text) => quoted(text),
        other => other.to_string(),
    });
    (literals.len() <= VALUES_MAX).then(|| shown.collect::<Vec<_>>().join(", "))
}

/// What all texts begin with.
fn beginning<'a>(texts: &[&'a str]) -> &'a str {
    let Some((first, others)) = texts.split_first() else { return "" };
    let common =
        |length: usize, other: &&str| first.bytes().zip(other.bytes()).take(length).take_while(|(a, b)| a == b).count();
    let length = others.iter().fold(first.len(), common);
    &first[..first.floor_char_boundary(length)]
}
