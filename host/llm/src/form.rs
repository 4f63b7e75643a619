//! Whether an answer has the form that it was asked for. Schema and answer are strangers': it looks at no more places than its limit,
//! fetches nothing, and what it does not know of a schema it takes as kept.

use serde_json::{Map, Value};

use agentry_abi::bindings::agentry::agent::llm::{OutputForm, Part, Response, StopReason};

/// How much is looked at: places of an answer, each anew for each part of a schema that speaks of it, and what is listed there.
const STEPS_MAX: usize = 200_000;

/// How deep a schema may point into itself.
const DEPTH_MAX: u32 = 64;

/// What an answer lacks of its form, in words without the answer's own; none if it has it, or was never whole.
pub fn lacks(form: &OutputForm, response: &Response) -> Option<String> {
    let is_whole = matches!(response.stop, StopReason::End | StopReason::Sequence(_));
    if *form == OutputForm::Text || !is_whole {
        return None;
    }
    let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
    let text: String = response.parts.iter().filter_map(text).collect();
    let answer: Value = match serde_json::from_str(&text) {
        Ok(answer) => answer,
        Err(_) => return Some("it is no JSON".to_owned()),
    };
    let OutputForm::Schema(schema) = form else { return None };
    let schema: Value = serde_json::from_str(schema).ok()?;
    let mut check = Check { root: &schema, steps: 0 };
    check.value(&schema, &answer, &Place::Root, 0).err()
}

/// Where something stands.
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("answer"),
            // A name of the schema, which the guest wrote.
            Self::Field(within, name) => write!(f, "{within}/{name}"),
            Self::Item(within, index) => write!(f, "{within}/{index}"),
        }
    }
}

struct Check<'a> {
    root: &'a Value,
    steps: usize,
}

type Checked = Result<(), String>;

impl<'a> Check<'a> {
    /// Whether there is time for so many things more.
    fn goes_on(&mut self, count: usize) -> bool {
        self.steps = self.steps.saturating_add(count);
        self.steps <= STEPS_MAX
    }

    fn value(&mut self, schema: &'a Value, value: &Value, place: &Place<'_>, depth: u32) -> Checked {
        if !self.goes_on(1) || depth > DEPTH_MAX {
            return Ok(());
        }
        let schema = match schema {
            Value::Bool(false) => return Err(format!("`{place}` must not be there")),
            Value::Object(schema) => schema,
            _ => return Ok(()),
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| self.target(path)) {
            self.value(target, value, place, depth + 1)?;
        }
        is_of_type(schema, value, place)?;
        if self.goes_on(list(schema, "enum").len()) {
            is_listed(schema, value, place)?;
        }
        for part in list(schema, "allOf") {
            self.value(part, value, place, depth + 1)?;
        }
        for word in ["anyOf", "oneOf"] {
            let parts = list(schema, word);
            if !parts.is_empty() && !parts.iter().any(|part| self.value(part, value, place, depth + 1).is_ok()) {
                return Err(format!("`{place}` is nothing of `{word}`"));
            }
        }
        match value {
            Value::Object(fields) => self.fields(schema, fields, place, depth),
            Value::Array(items) => self.items(schema, items, place, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn fields(
        &mut self,
        schema: &'a Map<String, Value>,
        fields: &Map<String, Value>,
        place: &Place<'_>,
        depth: u32,
    ) -> Checked {
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if self.goes_on(1) && !fields.contains_key(name) {
                return Err(format!("`{place}` has no `{name}`"));
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let other = schema.get("additionalProperties").filter(|_| !schema.contains_key("patternProperties"));
        for (name, value) in fields {
            match known.and_then(|known| known.get_key_value(name)) {
                Some((name, schema)) => self.value(schema, value, &Place::Field(place, name), depth + 1)?,
                None if other == Some(&Value::Bool(false)) => {
                    return Err(format!("`{place}` has more than it may have"));
                }
                None => {
                    other.map_or(Ok(()), |schema| self.value(schema, value, &Place::Field(place, "…"), depth + 1))?
                }
            }
        }
        Ok(())
    }

    fn items(&mut self, schema: &'a Map<String, Value>, items: &[Value], place: &Place<'_>, depth: u32) -> Checked {
        let count = |name: &str| schema.get(name).and_then(Value::as_u64);
        if count("minItems").is_some_and(|least| (items.len() as u64) < least)
            || count("maxItems").is_some_and(|most| items.len() as u64 > most)
        {
            return Err(format!("`{place}` has {} items", items.len()));
        }
        let first = list(schema, "prefixItems");
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or_else(|| schema.get("items")) {
                self.value(schema, item, &Place::Item(place, index), depth + 1)?;
            }
        }
        Ok(())
    }

    fn target(&self, path: &str) -> Option<&'a Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }
}

fn list<'a>(schema: &'a Map<String, Value>, word: &str) -> &'a [Value] {
    schema.get(word).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_of_type(schema: &Map<String, Value>, value: &Value, place: &Place<'_>) -> Checked {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    let fits = match schema.get("type") {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if fits || value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(format!("`{place}` is of another type"))
}

fn is_listed(schema: &Map<String, Value>, value: &Value, place: &Place<'_>) -> Checked {
    let listed = schema.get("enum").and_then(Value::as_array).is_none_or(|values| values.contains(value));
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    if listed && constant { Ok(()) } else { Err(format!("`{place}` is another value")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentry_abi::bindings::agentry::agent::llm::Usage;
    use agentry_abi::bindings::agentry::agent::types::Cost;

    fn lacks(schema: &str, text: &str, stop: StopReason) -> Option<String> {
        let usage = Usage { input_fresh: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, estimated: false };
        let cost = Cost { microusd: 0, duration_ms: 0 };
        let parts = vec![Part::Text(text.to_owned())];
        let response = Response { model: String::new(), parts, stop, usage, cost, preemptions: 0 };
        super::lacks(&OutputForm::Schema(schema.to_owned()), &response)
    }

    #[track_caller]
    fn check(schema: &str, text: &str, lack: &str) {
        assert_eq!(lacks(schema, text, StopReason::End).unwrap_or_default(), lack, "{schema} {text}");
    }

    const CITY: &str = r##"{"type":"object","required":["name"],"additionalProperties":false,"properties":{
        "name":{"type":"string"},"size":{"type":["integer","null"]},"kind":{"enum":["old","new"]},
        "parts":{"type":"array","minItems":1,"items":{"$ref":"#"}},"at":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/at"}]}},
        "$defs":{"at":{"type":"object","required":["x"]}}}"##;

    #[test]
    fn an_answer_of_the_form_lacks_nothing() {
        check(CITY, r#"{"name":"Bonn"}"#, "");
        check(CITY, r#" {"name":"Bonn","size":3.0,"kind":"old","parts":[{"name":"Beuel"}],"at":{"x":1}} "#, "");
        check(CITY, r#"{"name":"Bonn","size":null,"at":null}"#, "");
        check(r#"{"unheard-of":1,"type":"thing"}"#, "7", "");
        check("true", "7", "");
    }

    #[test]
    fn what_is_lacking_is_told_with_its_place() {
        check(CITY, "Bonn is a city.", "it is no JSON");
        check(CITY, "```json\n{\"name\":\"Bonn\"}\n```", "it is no JSON");
        check(CITY, "[]", "`answer` is of another type");
        check(CITY, "{}", "`answer` has no `name`");
        check(CITY, r#"{"name":1}"#, "`answer/name` is of another type");
        check(CITY, r#"{"name":"a","secret":1}"#, "`answer` has more than it may have");
        check(CITY, r#"{"name":"a","kind":"ugly"}"#, "`answer/kind` is another value");
        check(CITY, r#"{"name":"a","parts":[]}"#, "`answer/parts` has 0 items");
        check(CITY, r#"{"name":"a","parts":[{"name":"b"},{}]}"#, "`answer/parts/1` has no `name`");
        check(CITY, r#"{"name":"a","at":{}}"#, "`answer/at` is nothing of `anyOf`");
    }

    #[test]
    fn an_answer_that_is_not_whole_is_not_judged() {
        assert_eq!(lacks(CITY, "{\"na", StopReason::MaxOutput), None);
        assert_eq!(lacks(CITY, "no", StopReason::Filtered), None);
    }

    #[test]
    fn no_schema_keeps_the_host_busy() {
        let wide: Vec<String> = (0..40)
            .map(|n| format!(r##""d{n}":{{"anyOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1))
            .collect();
        let schema = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":{{"type":"null"}}}}}}"##, wide.join(","));
        let began = std::time::Instant::now();
        lacks(&schema, "1", StopReason::End);
        lacks(r##"{"$ref":"#"}"##, "1", StopReason::End);
        lacks(r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##, "1", StopReason::End);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
