//! An input made of words and flags, as the agent's `input_schema` names its fields: `agentry run reminder "buy milk tomorrow"`. It only
//! makes JSON; whether that fits is the host's business.

use std::collections::{BTreeMap, BTreeSet};

use agentry_kernel::json;
use agentry_kernel::manifest::Manifest;
use agentry_kernel::text::nearest;
use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use super::own::options;
use crate::screen::{BOLD, styled, text};

/// Alternatives of a schema that are looked at.
const FORMS_MAX: usize = 32;

/// One shape that an input may have.
struct Form<'a> {
    fields: Map<String, Value>,
    required: Vec<&'a str>,
}

/// Where stands what somebody wants to say with an option that `run` does not have.
fn elsewhere(flag: &str) -> Option<String> {
    let budget = ["budget", "budgets", "max-cost", "cost", "usd", "limit", "max-usd"].contains(&flag);
    budget.then(|| {
        "budgets stand in the agent's grant, in the policy directory: usd_run = \"0.50\" under [budget]".to_owned()
    })
}

/// What an agent whose input is nobody's to know takes: its input whole, and no flags.
fn whole(agent: &str, words: &[String]) -> anyhow::Error {
    let flag = words.iter().find_map(|word| Some(word.strip_prefix("--")?.split('=').next().unwrap_or_default()));
    let no_schema = format!("agent `{agent}` does not say what its input is made of");
    let Some(flag) = flag else {
        return anyhow!("{no_schema}\nhint: give it whole: --input '{{\"field\": \"…\"}}'");
    };
    let options = options();
    let near = nearest(flag, options.iter().map(String::as_str)).map(|near| format!("did you mean `--{near}`?"));
    let hint = near.or_else(|| elsewhere(flag)).unwrap_or_else(|| {
        "`agentry run --help` lists its options; an input is given whole: --input '{\"field\": \"…\"}'".to_owned()
    });
    anyhow!("`agentry run` has no option `--{}`, and {no_schema}\nhint: {hint}", text::line(flag))
}

/// The input that these words and flags are.
pub fn input(manifest: &Manifest, words: &[String]) -> Result<Vec<u8>> {
    let agent = text::line(manifest.agent());
    let Some(schema) = schema(manifest) else {
        return Err(whole(&agent, words));
    };
    let forms = forms(&schema);
    if forms.is_empty() && is(&schema, "string") {
        return Ok(Value::String(words.join(" ")).to_string().into_bytes());
    }
    let known: Vec<&str> = forms.iter().flat_map(|form| form.fields.keys().map(String::as_str)).collect();
    // A sentence that begins with dashes is a text.
    let flag = |word: &str| {
        let key = word.strip_prefix("--")?.split('=').next().unwrap_or_default();
        (known.contains(&key) || !key.is_empty() && !key.contains(char::is_whitespace)).then(|| key.to_owned())
    };
    let (mut given, mut bare): (Vec<(String, Option<String>)>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let pair = word.split_once('=');
        match (flag(word), pair) {
            (Some(key), Some((_, value))) => given.push((key, Some(value.to_owned()))),
            (Some(key), None) => {
                let on_or_off = forms.iter().any(|form| form.fields.get(&key).is_some_and(is_flag));
                let value = rest.next_if(|next| match on_or_off {
                    true => ["true", "false"].contains(&next.as_str()),
                    false => flag(next).is_none(),
                });
                given.push((key, value.cloned()));
            }
            // A word that sets something sets a field, and a misspelt one is no text.
            (None, Some((key, value))) if known.contains(&key) || !known.is_empty() && is_name(key) => {
                given.push((key.to_owned(), Some(value.to_owned())));
            }
            (None, _) => bare.push(word),
        }
    }
    for (key, _) in &given {
        if !known.contains(&key.as_str()) {
            let options = options();
            let near = nearest(key, known.iter().copied().chain(options.iter().map(String::as_str)));
            let near = near.map(|near| match near == key {
                // Behind `--` all is the agent's.
                true => format!("`--{near}` is an option of `agentry run`: it stands in front of `--`"),
                false => format!("did you mean `--{near}`?"),
            });
            let hint = match near.or_else(|| elsewhere(key)) {
                Some(hint) => hint,
                None if known.is_empty() => "it takes one JSON value: --input JSON".to_owned(),
                None => format!(
                    "it takes {}; a text with `=` in it stands behind its field: --FIELD TEXT",
                    known.join(", ")
                ),
            };
            bail!("agent `{agent}` takes no `{}`\nhint: {hint}", text::line(key));
        }
    }
    if forms.is_empty() {
        return Ok(bare.join(" ").into_bytes());
    }
    let mut fitting = forms.iter().filter(|form| given.iter().all(|(key, _)| form.fields.contains_key(key)));
    let named = given.iter().map(|(key, _)| (key.clone(), Value::Null)).collect();
    let first = fitting.clone().next();
    let form = fitting.find(|form| bare.is_empty() || main_field(form, &named).is_some()).or(first);
    let form = form.ok_or_else(|| {
        anyhow!("these flags are never given together\nhint: `agentry run AGENT --help` shows its forms")
    })?;
    let mut object = Map::new();
    for (key, value) in given {
        put(&mut object, &key, &form.fields[&key], value.as_deref())?;
    }
    if !bare.is_empty() {
        let field = main_field(form, &object).ok_or_else(|| {
            let free = form.fields.keys().filter(|key| !object.contains_key(*key));
            let free: Vec<String> = free.map(|key| format!("--{key}")).collect();
            let hint = match free.as_slice() {
                [] => "leave it out: each field is given already; a text of several words stands in quotes".to_owned(),
                free => format!("name it: {}", free.join(", ")),
            };
            anyhow!("nobody can say which field `{}` is\nhint: {hint}", text::cut(&bare.join(" "), 60))
        })?;
        object.insert(field, Value::String(bare.join(" ")));
    }
    Ok(Value::Object(object).to_string().into_bytes())
}

/// The one text that an agent has to be told: a field of its input, or all of it.
pub struct OneText(Option<String>);

impl OneText {
    /// The input with this text in it.
    pub fn of(&self, text: &str) -> Vec<u8> {
        match &self.0 {
            None => Value::from(text),
            Some(_) if text.is_empty() => Value::Object(Map::new()),
            Some(field) => Value::Object(Map::from_iter([(field.clone(), text.into())])),
        }
        .to_string()
        .into_bytes()
    }
}

/// What one line can tell this agent; none if it needs nothing or more.
pub fn one_text(manifest: &Manifest) -> Option<OneText> {
    let schema = schema(manifest)?;
    let forms = forms(&schema);
    if forms.is_empty() {
        return is(&schema, "string").then_some(OneText(None));
    }
    forms.iter().find_map(|form| {
        let field = main_field(form, &Map::new())?;
        form.required.iter().all(|needed| *needed == field).then_some(OneText(Some(field)))
    })
}

/// The flags that an agent has and `agentry run` has not, each with the values that it may take if it says so.
pub fn flags(manifest: &Manifest) -> BTreeMap<String, BTreeSet<String>> {
    let Some(schema) = schema(manifest) else { return BTreeMap::new() };
    let values = |field: &Value| {
        if is_flag(field) {
            return BTreeSet::from(["true".to_owned(), "false".to_owned()]);
        }
        let of = if is(field, "array") { field.get("items").unwrap_or(field) } else { field };
        let all = of.get("enum").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let own = options();
    let fields = forms(&schema).into_iter().flat_map(|form| form.fields).filter(|(key, _)| !own.contains(key));
    fields.map(|(key, field)| (key, values(&field))).collect()
}

/// What an agent takes, for `run AGENT --help`; empty if it does not say.
pub fn about(manifest: &Manifest) -> String {
    let Some(schema) = schema(manifest) else { return String::new() };
    let mut page = format!("\n{}\n", styled(BOLD, format_args!("Input of {}:", text::line(manifest.agent()))));
    let (forms, own) = (forms(&schema), options());
    if forms.is_empty() {
        page.push_str(&format!("  {}\n", text::cut(&schema.to_string(), 400)));
    }
    for (count, form) in forms.iter().enumerate() {
        if count > 0 {
            page.push_str("  or\n");
        }
        for (key, field) in &form.fields {
            let flag = text::line(&format!("--{key} {}", value_of(field)));
            let mut told = said_of(field, form.required.contains(&key.as_str()));
            if own.contains(key) {
                told.push_str(" (behind `--`: `run` has an option of this name)");
            }
            page.push_str(&format!("  {flag:<28}{}\n", text::cut(&told, 200)));
        }
    }
    page
}

/// What stands behind the flag of a field: nothing behind one that is on or off, and one item of a list behind each.
fn value_of(field: &Value) -> String {
    let kind = |field: &Value| field.get("type").and_then(Value::as_str).unwrap_or("json").to_uppercase();
    match field.get("items").filter(|_| is(field, "array")) {
        Some(items) => format!("<{}> ...", kind(items)),
        None if is_flag(field) => String::new(),
        None => format!("<{}>", kind(field)),
    }
}

/// What a schema says of a field: what for, which values, and what it is without one.
fn said_of(field: &Value, is_needed: bool) -> String {
    let mut told = field.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = if is(field, "array") { field.get("items").unwrap_or(field) } else { field };
    if let Some(values) = of.get("enum").and_then(Value::as_array) {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        told.push_str(&format!(" (one of: {})", values.iter().map(shown).collect::<Vec<_>>().join(", ")));
    }
    if let Some(default) = field.get("default") {
        told.push_str(&format!(" [default: {default}]"));
    }
    if is_needed {
        told.push_str(" (needed)");
    }
    told.trim_start().to_owned()
}

/// Whether a field is on or off, and nothing else: its flag takes no value, or `true` or `false`.
fn is_flag(field: &Value) -> bool {
    field.get("type").is_some_and(|kind| kind == "boolean")
}

/// Whether this could be the name of a field, and not the beginning of a sentence.
fn is_name(word: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    word.starts_with(|first: char| first.is_ascii_alphabetic()) && word.bytes().all(known)
}

fn schema(manifest: &Manifest) -> Option<Value> {
    serde_json::from_str(manifest.input_schema.as_deref()?).ok()
}

fn forms(schema: &Value) -> Vec<Form<'_>> {
    let alternatives = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let all = std::iter::once(schema).chain(alternatives).take(FORMS_MAX);
    all.filter_map(|schema| {
        let list = schema.get("required").and_then(Value::as_array);
        let required = list.into_iter().flatten().filter_map(Value::as_str).collect();
        Some(Form { fields: schema.get("properties")?.as_object()?.clone(), required })
    })
    .collect()
}

/// The one field that words without a name are: the needed text, or the only one.
fn main_field(form: &Form<'_>, given: &Map<String, Value>) -> Option<String> {
    let texts = || {
        form.fields.iter().filter(|(key, field)| is(field, "string") && !given.contains_key(*key)).map(|(key, _)| key)
    };
    let needed: Vec<&String> = texts().filter(|key| form.required.contains(&key.as_str())).collect();
    let all: Vec<&String> = texts().collect();
    match (needed.as_slice(), all.as_slice()) {
        ([one], _) | ([], [one]) => Some((*one).clone()),
        _ => None,
    }
}

fn is(field: &Value, kind: &str) -> bool {
    match field.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

/// Adds a flag's value in the type that its field has; a list takes one more with each.
fn put(object: &mut Map<String, Value>, key: &str, field: &Value, value: Option<&str>) -> Result<()> {
    if is(field, "array") {
        let items = field.get("items").cloned().unwrap_or_default();
        let all = match value.map(read).transpose()?.flatten().filter(|_| !is(&items, "array")) {
            // The list itself, as JSON.
            Some(Value::Array(all)) => all,
            _ => vec![converted(key, &items, value)?],
        };
        if let Value::Array(list) = object.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
            list.extend(all);
        }
        return Ok(());
    }
    if object.insert(key.to_owned(), converted(key, field, value)?).is_some() {
        bail!("`--{}` is given twice\nhint: it is one value", text::line(key));
    }
    Ok(())
}

fn converted(key: &str, field: &Value, value: Option<&str>) -> Result<Value> {
    let Some(value) = value else {
        return match is(field, "boolean") {
            true => Ok(Value::Bool(true)),
            false => bail!("`--{0}` lacks its value\nhint: --{0}=VALUE", text::line(key)),
        };
    };
    if field.get("type").is_some_and(|kind| kind == "string") {
        return Ok(Value::String(value.to_owned()));
    }
    match read(value)? {
        Some(read) if !is(field, "string") || is_of(field, &read) => Ok(read),
        // One of its types is a text, and none of the others is this.
        _ if is(field, "string") => Ok(Value::String(value.to_owned())),
        Some(read) => Ok(read),
        None if field.get("type").is_some() => {
            let kind = field["type"].as_str().unwrap_or("another type");
            bail!(
                "`--{}` is of type {kind}, and this is not: {}\nhint: write it as JSON",
                text::line(key),
                text::cut(value, 60)
            )
        }
        None => Ok(Value::String(value.to_owned())),
    }
}

/// A word as JSON, if it is some.
///
/// # Errors
/// If it is JSON that two read differently, such as a number beyond 64 bits.
fn read(word: &str) -> Result<Option<Value>> {
    let Ok(read) = serde_json::from_str(word) else { return Ok(None) };
    json::check(word).map_err(|why| anyhow!("{}: {why}\nhint: write it as a text", text::cut(word, 60)))?;
    Ok(Some(read))
}

/// Whether a value is of one of the types of a field.
fn is_of(field: &Value, value: &Value) -> bool {
    match value {
        Value::Null => is(field, "null"),
        Value::Bool(_) => is(field, "boolean"),
        Value::Number(number) => is(field, "number") || is(field, "integer") && !number.is_f64(),
        Value::String(_) => is(field, "string"),
        Value::Array(_) => is(field, "array"),
        Value::Object(_) => is(field, "object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(schema: &str) -> Manifest {
        let text = format!(
            "format = 1\nname = \"a:b\"\nversion = \"0.1.0\"\nwit = \"0.1.0\"\ninput_schema = '''{schema}'''\n"
        );
        Manifest::parse_toml(&text).expect("it is a manifest")
    }

    fn made(schema: &str, words: &[&str]) -> Result<Value> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(serde_json::from_slice(&input(&manifest(schema), &words)?)?)
    }

    const ONE: &str = r#"{"type": "object", "required": ["say"], "properties": {"say": {"type": "string"},
        "loud": {"type": "boolean"}, "times": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}}"#;

    #[test]
    fn words_are_the_one_text_that_is_needed_and_flags_are_fields_of_their_type() {
        for (words, input) in [
            (&["buy", "milk"][..], r#"{"say":"buy milk"}"#),
            (&["buy milk", "--loud", "--times", "3"], r#"{"say":"buy milk","loud":true,"times":3}"#),
            (&["--say=a=b", "times=2"], r#"{"say":"a=b","times":2}"#),
            (&["x", "--times", "-3"], r#"{"say":"x","times":-3}"#),
            (&["x", "--tags", "a", "--tags", "b"], r#"{"say":"x","tags":["a","b"]}"#),
            (&["1 + 1 = 2"], r#"{"say":"1 + 1 = 2"}"#),
            (&["x", "--loud", "false"], r#"{"say":"x","loud":false}"#),
            (&["x", "--tags", r#"["a", "b"]"#], r#"{"say":"x","tags":["a","b"]}"#),
        ] {
            assert_eq!(
                made(ONE, words).expect("an input"),
                serde_json::from_str::<Value>(input).expect("JSON"),
                "{words:?}"
            );
        }
        assert_eq!(made(r#"{"type": "string"}"#, &["a", "b"]).expect("an input"), "a b");
        let union = r#"{"properties": {"due": {"type": ["boolean", "string"]}}}"#;
        let yes = Value::Bool(true);
        for (words, due) in
            [(&["--due", "true"][..], yes.clone()), (&["--due", "today"], "today".into()), (&["--due"], yes)]
        {
            assert_eq!(made(union, words).expect("an input"), serde_json::json!({"due": due}), "{words:?}");
        }
        let either = r#"{"oneOf": [{"properties": {"say": {"type": "string"}}}, {"properties": {"done": {"type": "integer"}}}]}"#;
        assert_eq!(made(either, &["--done", "3"]).expect("an input"), serde_json::json!({"done": 3}));
        assert_eq!(made(either, &["milk"]).expect("an input"), serde_json::json!({"say": "milk"}));
    }

    #[test]
    fn what_cannot_be_is_told_with_a_remedy() {
        for (words, told) in [
            (&["--tims", "3"][..], "did you mean `--times`?"),
            (&["sya=Bob"], "did you mean `--say`?"),
            (&["who=Bob"], "it takes loud, say, tags, times; a text with `=`"),
            (&["--times", "many"], "is of type integer"),
            (&["x", "--times", "99999999999999999999"], "99999999999999999999: "),
            (&["--times"], "lacks its value"),
            (&["--say", "a", "--say", "b"], "given twice"),
        ] {
            let error = made(ONE, words).expect_err(told).to_string();
            assert!(error.contains(told) && error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn an_agent_without_a_schema_tells_a_misspelt_option_from_an_input() {
        let manifest = Manifest::parse_toml("format = 1\nname = \"a:b\"\nversion = \"0.1.0\"\nwit = \"0.1.0\"\n")
            .expect("it is one");
        for (words, told) in [
            (
                &["--inputs", "x"][..],
                "no option `--inputs`, and agent `b` does not say what its input is made of\nhint: did you mean `--input`?",
            ),
            (&["--budget", "1"], "hint: budgets stand in the agent's grant"),
            (&["--wibble"], "`agentry run --help` lists its options"),
            (&["x"], "does not say what its input is made of\nhint: give it whole"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let error = input(&manifest, &words).expect_err(told).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
