//! One value of a policy file changed, as text: for questions of the kind "what if this limit were higher". Every line stays where
//! it stands; what comes out is read like any file.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::policy::quoted;
use crate::text;

/// How deep a value may stand; the language nests less.
const DEPTH_MAX: usize = 8;

/// Keys that are told to somebody who named one that is not there.
const SHOWN_MAX: usize = 24;

/// Changes what `target` names: a rule's id or an agent's name, a dot, and a key in it: `site/pay-cap.max`,
/// `clerk.usd_day`, `clerk/pay.args.cents.max`. None if nothing in this file has that name.
///
/// # Errors
/// If the rule is here but the key is not, or stands in it more than once.
pub fn amend(file: &str, target: &str, value: &str) -> Result<Option<String>, String> {
    let Ok(table) = DeTable::parse(file) else { return Ok(None) };
    let Some((rule, key)) = find(table.get_ref(), target) else { return Ok(None) };
    let parts: Vec<&str> = key.split('.').collect();
    let mut places = Vec::new();
    collect(rule, &parts, 0, &mut places);
    let (place, is) = match places.as_slice() {
        [(place, is)] => (place.clone(), *is),
        [] => return Err(absent(rule, target, key)),
        _ => {
            return Err(format!(
                "`{}` stands in `{}` more than once: name what it stands in",
                text::show(key),
                name_of(target, key)
            ));
        }
    };
    let value = alike(is, target, value)?;
    Ok(Some(format!("{}{value}{}", &file[..place.start], &file[place.end..])))
}

/// A value that does not stand there cannot be changed: which could be.
fn absent(rule: &DeTable<'_>, target: &str, key: &str) -> String {
    let mut keys = Vec::new();
    leaves(rule, "", 0, &mut keys);
    let name = name_of(target, key);
    let last = |path: &str| path.rsplit('.').next().map(String::from);
    let lasts: Vec<String> = keys.iter().filter_map(|path| last(path)).collect();
    let hint = match text::nearest(key, keys.iter().chain(&lasts).map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if keys.is_empty() => "--set changes a value that stands in the file".into(),
        None => format!("--set changes a value that stands in the file: in `{name}` that is {}", keys.join(", ")),
    };
    format!("nothing in `{name}` is called `{}`\nhint: {hint}", text::show(key))
}

/// The paths of values, those of rules with an id of their own left out.
fn leaves(table: &DeTable<'_>, above: &str, depth: usize, keys: &mut Vec<String>) {
    for (key, value) in table.iter() {
        let path =
            if above.is_empty() { String::from(key.get_ref().as_ref()) } else { format!("{above}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if depth < DEPTH_MAX => leaves(inner, &path, depth + 1, keys),
            // A rule of a list has a name of its own.
            DeValue::Array(list) if list.iter().any(|one| matches!(one.get_ref(), DeValue::Table(_))) => {}
            _ if keys.len() < SHOWN_MAX && !matches!(&*path, "agent" | "id" | "format" | "layer") => keys.push(path),
            _ => {}
        }
    }
}

/// The value as TOML of the kind that stands there: a shell takes quotes away, so a text may come without.
fn alike(is: &str, target: &str, value: &str) -> Result<String, String> {
    let line = format!("x = {value}");
    let parsed = DeTable::parse(&line).ok();
    let kind = parsed.as_ref().and_then(|table| Some(table.get_ref().get("x")?.get_ref().type_str()));
    let (what, example) = match (is, kind) {
        ("string", None | Some("integer" | "float" | "boolean" | "datetime")) => return Ok(quoted(value.trim())),
        (is, Some(kind)) if is == kind => return Ok(value.into()),
        // Some keys take a word or a table; what fits where, the language says.
        ("string" | "table", Some("string" | "table" | "array")) => return Ok(value.into()),
        ("array", _) => ("a list", format!("'{target}=[\"{}\"]'", text::show(value.trim().trim_matches('"')))),
        ("table", _) => ("a table", format!("'{target}={{ key = \"value\" }}'")),
        ("boolean", _) => ("true or false", format!("{target}=true")),
        (_, _) => ("a number", format!("{target}=80000")),
    };
    Err(format!("`{target}` is {what}, and `{}` is not\nhint: write --set {example}", text::show(value)))
}

fn name_of<'a>(target: &'a str, key: &str) -> &'a str {
    &target[..target.len().saturating_sub(key.len() + 1)]
}

/// The table that the beginning of `target` names, and what is left of it.
fn find<'t, 'i, 'k>(file: &'t DeTable<'i>, target: &'k str) -> Option<(&'t DeTable<'i>, &'k str)> {
    let rest = |name: &str| target.strip_prefix(name)?.strip_prefix('.').filter(|key| !key.is_empty());
    let named = |table: &'t DeTable<'i>, key: &str| match table.get(key).map(Spanned::get_ref) {
        Some(DeValue::String(name)) => rest(name),
        _ => None,
    };
    for list in ["forbid", "require", "label", "allow", "http"] {
        let Some(DeValue::Array(tables)) = file.get(list).map(Spanned::get_ref) else { continue };
        let tables: &DeArray<'_> = tables;
        for table in tables.iter() {
            if let DeValue::Table(table) = table.get_ref()
                && let Some(key) = named(table, "id")
            {
                return Some((table, key));
            }
        }
    }
    if let Some(DeValue::Table(ceiling)) = file.get("ceiling").map(Spanned::get_ref)
        && let Some(key) = rest("site/ceiling")
    {
        return Some((ceiling, key));
    }
    named(file, "agent").map(|key| (file, key))
}

/// The places of values whose path ends in these keys. Rules with an id of their own are not looked into from outside.
fn collect(table: &DeTable<'_>, key: &[&str], depth: usize, places: &mut Vec<(Range<usize>, &'static str)>) {
    if depth == DEPTH_MAX {
        return;
    }
    let mut whole = Some(table);
    let mut value = None;
    for part in key {
        value = whole.and_then(|table| table.get(*part));
        whole = match value.map(Spanned::get_ref) {
            Some(DeValue::Table(inner)) => Some(inner),
            _ => None,
        };
    }
    places.extend(value.map(|value| (value.span(), value.get_ref().type_str())));
    for (_, value) in table.iter() {
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, key, depth + 1, places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "agent = \"clerk\"\n[budget]\nusd_day = \"1.00\"\n[[allow]]\nid = \"clerk/pay\"\n\
                        args.cents = { min = 1, max = 5 }\nargs.count = { min = 1, max = 9 }\n";

    #[test]
    fn a_value_is_changed_where_it_stands() {
        let changed = amend(FILE, "clerk/pay.args.cents.max", "80").expect("it is there").expect("it is here");
        assert_eq!(changed, FILE.replace("max = 5", "max = 80"));
        // A shell takes quotes away.
        let changed = amend(FILE, "clerk.usd_day", "2.50").map(|text| text.unwrap_or_default());
        assert_eq!(changed, Ok(FILE.replace("\"1.00\"", "\"2.50\"")));
    }

    #[test]
    fn a_key_that_is_not_there_or_there_twice_is_told() {
        assert_eq!(amend(FILE, "other/rule.max", "1"), Ok(None));
        assert!(amend(FILE, "clerk/pay.max", "1").is_err_and(|error| error.contains("more than once")));
        assert!(amend(FILE, "clerk/pay.prefix", "1").is_err_and(|error| error.contains("is called `prefix`")));
        let error = amend(FILE, "clerk/pay.most", "1").expect_err("it is not there");
        let keys = "args.cents.max, args.cents.min, args.count.max, args.count.min";
        assert!(error.ends_with(&format!("that stands in the file: in `clerk/pay` that is {keys}")), "{error}");
        let error = amend(FILE, "clerk.usd_dy", "1").expect_err("it is not there");
        assert!(error.ends_with("hint: did you mean `usd_day`?"), "{error}");
        let error = amend(FILE, "clerk.tool_calls_run", "1").expect_err("it is not there");
        assert!(error.ends_with("in `clerk` that is budget.usd_day"), "{error}");
        let site = "layer = \"site\"\n[ceiling]\nbudget = { usd_day = \"5\" }\n";
        assert_eq!(amend(site, "site/ceiling.usd_day", "\"2\""), Ok(Some(site.replace("\"5\"", "\"2\""))));
        assert_eq!(amend("not [ toml", "a.b", "1"), Ok(None));
        let error = amend(FILE, "clerk/pay.cents.max", "abc").expect_err("it is a number");
        assert!(
            error.contains("is a number, and `abc` is not\nhint: write --set clerk/pay.cents.max=80000"),
            "{error}"
        );
        let list = "agent = \"clerk\"\nllm = { models = [\"a\"] }\n";
        let error = amend(list, "clerk.models", "b").expect_err("it is a list");
        assert!(error.ends_with("hint: write --set 'clerk.models=[\"b\"]'"), "{error}");
    }
}
