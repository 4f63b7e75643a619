//! Arguments: read strictly, written in one way, and held against constraints in two ways that must agree.

use agentry_kernel::constraint::{Arguments, Constraint, Test};
use agentry_kernel::json::{self, Value};
use agentry_kernel::rights::ToolRight;

use crate::{BETWEEN, parse};

/// An input is lines of an `[[allow]]` and a JSON text.
pub fn holds(text: &str) {
    let (rules, text) = text.split_once(BETWEEN).unwrap_or(("", text));
    let Ok(value) = json::parse(text) else { return };
    let canonical = value.to_string();
    assert_eq!(json::parse(&canonical).as_ref(), Ok(&value), "the canonical form is read as something else");
    assert_eq!(json::parse(&format!(" {canonical}\n")).as_ref(), Ok(&value), "space around it matters");
    in_order(&value);
    as_others_read_it(text, &value);
    let grant = format!("format = 1\nlayer = \"grant\"\nagent = \"a\"\n[[allow]]\nid = \"a/t\"\ntool = \"t\"\n{rules}");
    let Ok(policy) = parse(&[&grant]) else { return };
    for right in policy.grants.iter().flat_map(|grant| &grant.rights.tools) {
        decided(right, &value);
    }
}

/// Each key stands once, in order, so that looking one up finds it.
fn in_order(value: &Value) {
    match value {
        Value::List(items) => items.iter().for_each(in_order),
        Value::Object(entries) => {
            assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "keys out of order");
            for (key, inner) in entries {
                assert_eq!(value.get(key), Some(inner));
                in_order(inner);
            }
        }
        Value::Decimal(number) => assert!(number.is_finite()),
        _ => {}
    }
}

/// A reader that knows nothing of ours sees the same value in what was sent and in what a tool is given.
fn as_others_read_it(sent: &str, value: &Value) {
    let theirs: serde_json::Value = serde_json::from_str(sent).expect("what we read is JSON");
    let given: serde_json::Value = serde_json::from_str(&value.to_string()).expect("what we write is JSON");
    assert!(same(&theirs, &given), "{theirs} is not {given}");
}

/// Equal, with numbers compared by what they are: `1.0` is `1`.
fn same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value as V;
    match (one, other) {
        (V::Number(a), V::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (V::Array(a), V::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (V::Object(a), V::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn decided(right: &ToolRight, value: &Value) {
    let misfit = right.args.misfit(value);
    assert_eq!(misfit.is_none(), fits(&right.args, value), "the walk and the definition disagree");
    let Arguments::Listed(listed) = &right.args else { return };
    let Some(entries) = value.entries() else {
        assert!(misfit.is_some(), "what is no object has no arguments");
        return;
    };
    for (name, constraint) in listed {
        if let Some(value) = value.get(name) {
            a_forbid_takes_in_what_a_grant_does(constraint, value);
        }
    }
    // One more that no rule lists is one too many.
    let unlisted = "~unlisted";
    if misfit.is_none() && value.get(unlisted).is_none() {
        let mut more = entries.to_vec();
        more.push((unlisted.into(), Value::Null));
        more.sort_by(|(a, _), (b, _)| a.cmp(b));
        assert_eq!(fits(&right.args, &Value::Object(more.clone())), right.args.misfit(&Value::Object(more)).is_none());
    }
}

/// The definition, without the walk along two ordered lists.
fn fits(arguments: &Arguments, value: &Value) -> bool {
    let Some(given) = value.entries() else { return false };
    let Arguments::Listed(listed) = arguments else { return true };
    let each_is_listed = given.iter().all(|(name, _)| listed.iter().any(|(listed, _)| listed == name));
    each_is_listed
        && listed.iter().all(|(name, constraint)| match value.get(name) {
            Some(value) => constraint.fits(value),
            None => constraint.optional,
        })
}

/// What a rule means exactly it also means loosely, however the text is spelt.
fn a_forbid_takes_in_what_a_grant_does(constraint: &Constraint, value: &Value) {
    // An empty list has no item that is forbidden.
    let about_items = constraint.tests.iter().any(|test| matches!(test, Test::EachIn(_)));
    let is_empty = matches!(value, Value::List(items) if items.is_empty());
    if !constraint.fits(value) || (about_items && is_empty) {
        return;
    }
    assert!(constraint.may_fit(value), "a forbid lets through {value}, which it names");
    if let Value::Text(text) = value
        && !constraint.tests.iter().any(|test| matches!(test, Test::BytesMax(_)))
    {
        for other in [text.to_ascii_uppercase(), wide(text), format!(" {text}"), text.replace('a', "a\u{200b}")] {
            let other = Value::Text(other);
            assert!(constraint.may_fit(&other), "another spelling slips by: {other}");
        }
    }
}

/// The same letters, as wide ones.
fn wide(text: &str) -> String {
    let wide = |char: char| char::from_u32(u32::from(char) - u32::from('a') + 0xFF41).unwrap_or(char);
    text.chars().map(|char| if char.is_ascii_lowercase() { wide(char) } else { char }).collect()
}
