//! What an admin changes about requests: `extra_headers`, `extra_body`, `drop` and `map`, of a provider and of a model. They change how
//! something is said, never what is asked, nor how much of it: those fields are refused here.

use std::collections::BTreeMap;

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use serde_json::{Map, Value};
use toml::de::DeValue;

// The keys that providers and models have in common. `cargo xtask tidy` reads them here.
/// What both may say about requests.
pub const REQUEST_KEYS: [&str; 4] = ["extra_headers", "extra_body", "drop", "map"];

/// What was asked, how long an answer may be and how many there are: what is held for a call is held for these.
const FIXED: [&str; 26] = [
    "model",
    "messages",
    "system",
    "input",
    "contents",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "tools",
    "tool_choice",
    "response_format",
    "text",
    "format",
    "n",
    "best_of",
    "generationConfig",
    "toolConfig",
    "systemInstruction",
    "instructions",
    "prompt",
    "inferenceConfig",
    "toolConfig",
    "options",
    "candidate_count",
    "store",
];

/// What this host says of itself in a request, and who it is.
const FIXED_HEADERS: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "accept",
    "accept-encoding",
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
];

/// Changes to requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adjust {
    /// Sent along with each request, besides what stands there anyway.
    pub headers: BTreeMap<String, String>,
    /// Fields of the body, instead of what stands there.
    pub body: Map<String, Value>,
    /// Fields of the body that are not sent.
    pub drop: Vec<String>,
    /// Fields of the body that have another name.
    pub map: BTreeMap<String, String>,
}

impl Adjust {
    /// Whether bodies stay as they are.
    pub fn leaves_bodies(&self) -> bool {
        self.body.is_empty() && self.drop.is_empty() && self.map.is_empty()
    }

    /// The same with what a model says of its own, which goes before.
    pub(super) fn and(mut self, model: Self) -> Self {
        self.headers.extend(model.headers);
        self.body.extend(model.body);
        self.drop.extend(model.drop);
        self.map.extend(model.map);
        self
    }
}

pub(super) fn parse(table: &Table<'_>) -> Result<Adjust, ConfigError> {
    let mut adjust = Adjust::default();
    if let Some(headers) = table.get_table("extra_headers")? {
        for name in headers.keys() {
            let lower = name.to_ascii_lowercase();
            let (well_formed, value) = (reqwest::header::HeaderName::try_from(name).is_ok(), headers.needs_text(name)?);
            if FIXED_HEADERS.contains(&lower.as_str())
                || !well_formed
                || reqwest::header::HeaderValue::try_from(value).is_err()
            {
                let hint = "keys go under `key`; a header has a name and one line of text";
                return Err(headers.mistake_in(name, format!("`{name}` cannot be an extra header"), hint));
            }
            adjust.headers.insert(lower, value.to_owned());
        }
    }
    if let Some(body) = table.get_table("extra_body")? {
        for name in body.keys() {
            open(&body, name, name)?;
            let value = body.value(name).expect("its name was listed");
            let Some(value) = json(value) else {
                let hint = "write texts, numbers, true, false, lists and tables of these";
                return Err(body.mistake_in(name, format!("`{name}` has no form in JSON"), hint));
            };
            adjust.body.insert(name.to_owned(), value);
        }
    }
    let dropped = table.texts("drop")?;
    if dropped.is_empty() && table.value("drop").is_some() {
        return Err(table.mistake_in("drop", "`drop` names no field", "write drop = [\"…\"], or leave it out"));
    }
    for name in dropped {
        open(table, "drop", name)?;
        adjust.drop.push(name.to_owned());
    }
    if let Some(map) = table.get_table("map")? {
        for from in map.keys() {
            let to = map.needs_text(from)?;
            // The longest answer may have another name; it keeps its meaning.
            if !from.starts_with("max_") {
                open(&map, from, from)?;
            }
            if !to.starts_with("max_") || !from.starts_with("max_") {
                open(&map, from, to)?;
            }
            adjust.map.insert(from.to_owned(), to.to_owned());
        }
    }
    Ok(adjust)
}

/// Refuses fields that are not the admin's to change.
fn open(table: &Table<'_>, at: &str, field: &str) -> Result<(), ConfigError> {
    if FIXED.contains(&field) {
        let message = format!("`{field}` says what is asked, or how much of it, and is what a budget is held for");
        return Err(table.mistake_in(at, message, "change only how a request is written"));
    }
    Ok(())
}

fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::from(number.as_str().parse::<f64>().ok().filter(|number| number.is_finite())?),
        DeValue::Array(items) => {
            Value::from(items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Table(table) => {
            let pair = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                Some((name.as_ref().to_owned(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(pair).collect::<Option<Map<_, _>>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}
