//! How a file says what arguments must be: `args.to = { each_in = […], min_items = 1 }`. A constraint that constrains
//! nothing, or half a range, is a mistake.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Span, Words, quoted};
use super::grant::fits;
use crate::constraint::{Arguments, Constraint, Literal, Test};
use crate::limits::{ARGUMENTS_MAX, LIST_MAX};
use crate::rights::shapes;
use crate::text;

const CONSTRAINT: Words = Words {
    table: "a constraint",
    known: &[
        "any",
        "in",
        "each_in",
        "prefix",
        "min",
        "max",
        "max_bytes",
        "min_items",
        "max_items",
        "host",
        "path",
        "optional",
    ],
    later: &[],
};

const EXAMPLE: &str = "{ in = [\"a\", \"b\"] }";

/// `args` of an [[allow]]: a table of constraints, or "any". None at all where it is missing.
pub(super) fn arguments(document: &mut Document<'_>, rule: &DeTable<'_>) -> Arguments {
    let Some(value) = rule.get("args") else { return Arguments::default() };
    match value.get_ref() {
        DeValue::String(word) if word == "any" => Arguments::Any,
        DeValue::Table(table) => Arguments::Listed(listed(document, table, &value.span(), &[])),
        other => {
            let must = "a table of constraints, or \"any\"";
            document.wrong::<()>(value.span(), "args", other.type_str(), must, "{ subject = { prefix = \"report\" } }");
            Arguments::default()
        }
    }
}

/// Every entry of a table as an argument and its constraint, but those that are `skipped`; in order of their names.
pub(super) fn listed(
    document: &mut Document<'_>,
    table: &DeTable<'_>,
    place: &Span,
    skipped: &[&str],
) -> Vec<(String, Constraint)> {
    if table.len() > ARGUMENTS_MAX {
        let message = format!("{} arguments are listed, more than {ARGUMENTS_MAX}", table.len());
        document.mistake(place.clone(), message, "list those that matter");
        return Vec::new();
    }
    let mut listed = Vec::new();
    for (name, value) in table.iter().filter(|(name, _)| !skipped.contains(&(name.get_ref() as &str))) {
        let key: &str = name.get_ref();
        fits(document, &name.span(), "an argument's name", key, text::prefix(key));
        match value.get_ref() {
            DeValue::Table(inner) => listed.extend(constraint(document, name, inner).map(|c| (key.to_string(), c))),
            other => {
                document.wrong::<()>(value.span(), &text::show(key), other.type_str(), "a constraint", EXAMPLE);
            }
        }
    }
    listed.sort_by(|(a, _), (b, _)| a.cmp(b));
    listed
}

fn constraint(document: &mut Document<'_>, name: &Spanned<impl AsRef<str>>, table: &DeTable<'_>) -> Option<Constraint> {
    document.closed(table, &CONSTRAINT);
    let before = document.mistakes.len();
    let mut tests = Vec::new();
    if flag(document, table, "any") {
        tests.push(Test::Any);
    }
    tests.extend(literals(document, table, "in").map(Test::In));
    tests.extend(literals(document, table, "each_in").map(Test::EachIn));
    if let Some((prefix, place)) = document.string(table, "prefix", "\"report\"") {
        if prefix.is_empty() {
            document.mistake(
                place,
                "`prefix` is empty, so everything begins with it",
                "write `any = true` for anything",
            );
        }
        tests.push(Test::Prefix(prefix.into()));
    }
    tests.extend(range(document, table));
    tests.extend(count(document, table, "max_bytes").map(Test::BytesMax));
    tests.extend(count(document, table, "min_items").map(Test::ItemsMin));
    tests.extend(count(document, table, "max_items").map(Test::ItemsMax));
    tests.extend(texts(document, table, "host", "\"*.example.org\"", shapes::host).map(Test::Host));
    tests.extend(texts(document, table, "path", "\"/reports\"", shapes::subtree).map(Test::Path));
    let optional = flag(document, table, "optional");
    let shown = text::show(name.get_ref().as_ref());
    if tests.is_empty() && document.mistakes.len() == before {
        let message = format!("`{shown}` has a constraint that constrains nothing");
        document.mistake(name.span(), message, "say what it must be, or `any = true` if it does not matter");
    }
    if tests.contains(&Test::Any) && tests.len() > 1 {
        document.mistake(name.span(), format!("`{shown}` is anything and yet something"), "take `any` out");
    }
    let items = |wanted: fn(&Test) -> Option<u64>| tests.iter().find_map(wanted);
    let least = items(|test| if let Test::ItemsMin(min) = test { Some(*min) } else { None });
    let most = items(|test| if let Test::ItemsMax(max) = test { Some(*max) } else { None });
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        document.mistake(name.span(), format!("no list fits `{shown}`"), "`min_items` is at most `max_items`");
    }
    (document.mistakes.len() == before).then_some(Constraint { tests, optional })
}

/// A number has two ends: who thinks of one only has not thought of the other.
fn range(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<Test> {
    let (min, max) = (document.integer(table, "min", "1"), document.integer(table, "max", "50_000"));
    match (min, max, table.get_key_value("min"), table.get_key_value("max")) {
        (Some(min), Some(max), Some((key, _)), _) if min > max => {
            document.mistake(key.span(), format!("no number is from {min} to {max}"), "`min` is at most `max`");
            None
        }
        (Some(min), Some(max), ..) => Some(Test::Between { min, max }),
        (_, _, Some((key, _)), None) => {
            document.mistake(key.span(), "`min` has no `max`", "a number needs both bounds");
            None
        }
        (_, _, None, Some((key, _))) => {
            document.mistake(key.span(), "`max` has no `min`", "a number needs both bounds");
            None
        }
        _ => None,
    }
}

fn count(document: &mut Document<'_>, table: &DeTable<'_>, key: &str) -> Option<u64> {
    document.number(table, key, "20").map(|(number, _)| number)
}

pub(super) fn flag(document: &mut Document<'_>, table: &DeTable<'_>, key: &str) -> bool {
    match table.get(key).map(|value| (value.get_ref(), value.span())) {
        Some((DeValue::Boolean(true), _)) => true,
        Some((DeValue::Boolean(false), place)) => {
            document.mistake(place, format!("`{key} = false` says nothing"), "leave it out");
            false
        }
        Some((other, place)) => {
            document.wrong::<()>(place, key, other.type_str(), "true, or left out", "true");
            false
        }
        None => false,
    }
}

fn literals(document: &mut Document<'_>, table: &DeTable<'_>, key: &str) -> Option<Vec<Literal>> {
    const EXAMPLE: &str = "[\"ops@example.org\"]";
    let value = table.get(key)?;
    let DeValue::Array(array) = value.get_ref() else {
        return document.wrong(value.span(), key, value.get_ref().type_str(), "a list", EXAMPLE);
    };
    if array.is_empty() || array.len() > LIST_MAX {
        let message = format!("`{key}` lists {} values", array.len());
        document.mistake(value.span(), message, format!("from 1 to {LIST_MAX}"));
        return None;
    }
    let mut literals = Vec::new();
    for item in array.iter() {
        match item.get_ref() {
            DeValue::String(text) => literals.push(Literal::Text(text.to_string())),
            DeValue::Boolean(value) => literals.push(Literal::Bool(*value)),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => literals.push(Literal::Integer(number)),
                Err(_) => {
                    let hint = format!("from {} to {}", i64::MIN, i64::MAX);
                    document.mistake(item.span(), format!("a number in `{key}` does not fit"), hint);
                }
            },
            other => {
                let must = "a list of texts, whole numbers, true or false";
                document.wrong::<()>(item.span(), key, other.type_str(), must, EXAMPLE);
            }
        }
    }
    Some(literals)
}

/// One text, or a list of them, each in the right form; none if the key is missing.
pub(super) fn texts(
    document: &mut Document<'_>,
    table: &DeTable<'_>,
    key: &str,
    example: &str,
    check: impl Fn(&str) -> Result<(), text::TextFlaw>,
) -> Option<Vec<String>> {
    let value = table.get(key)?;
    let found = document.strings(table, key, &format!("[{example}]"));
    if found.is_empty() && matches!(value.get_ref(), DeValue::Array(_)) {
        document.mistake(value.span(), format!("`{key}` is empty"), format!("for example `{key} = [{example}]`"));
    }
    let good = found.into_iter().filter(|(text, place)| fits(document, place, key, text, check(text)));
    Some(good.map(|(text, _)| text.to_string()).collect())
}

/// What is not known among a few words, with the nearest that is.
pub(super) fn unknown(document: &mut Document<'_>, place: Span, what: &str, word: &str, known: &[&str]) {
    let hint = match text::nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("one of {}", known.join(", ")),
    };
    document.mistake(place, format!("unknown {what} {}", quoted(word)), hint);
}
