//! The schema of a package's input, made of the schemas of a server's tools: an object with one property a tool, of which a call has one. Models take
//! that; `oneOf` at the top some providers refuse. What a tool's schema says of arguments stays as it is.

use agentry_kernel::limits::SCHEMA_MAX_BYTES;
use agentry_kernel::text::{self, cut};
use agentry_mcp::Tool;
use agentry_packages::Fault;
use serde_json::Value;

use crate::screen::text as screen;

/// The longest text that says what a tool or an argument is.
const TEXT_MAX_BYTES: usize = 2 * 1024;

/// Words below which stand names of the author's own, each with a schema.
const OF_NAMES: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Words below which stand values, and no schemas.
const OF_VALUES: [&str; 4] = ["const", "default", "enum", "examples"];

/// Words that give a schema another place to point from, or a name of its own.
const OF_PLACES: [&str; 6] = ["$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"];

/// The schema as text of JSON, a line for each tool, in which nothing ends a literal text of TOML and nothing hides.
///
/// # Errors
/// If a tool's cannot be a part of it, or all together are too long.
pub(super) fn of(tools: &[Tool]) -> Result<String, Fault> {
    let mut parts = Vec::new();
    for tool in tools {
        let part = part(tool).map_err(|why| {
            let message = format!("the tool `{}` {}", tool.name, text::line(&why));
            Fault::usage(message, "leave it out: choose the others by --tool NAME, once for each")
        })?;
        // No apostrophe: the whole stands between three of them.
        parts.push(format!(" \"{}\": {}", tool.name, screen::json(&part.to_string()).replace('\'', "\\u0027")));
    }
    let head = "{\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 1, \"additionalProperties\": false, \"properties\": {";
    let whole = format!("{head}\n{}\n}}}}", parts.join(",\n"));
    if whole.len() > SCHEMA_MAX_BYTES {
        let message = format!(
            "what {} tools take has {} bytes of schemas, and a package {SCHEMA_MAX_BYTES}",
            tools.len(),
            whole.len()
        );
        return Err(Fault::usage(
            message,
            "choose fewer: --tool NAME, once for each; the rest may be a package of its own",
        ));
    }
    Ok(whole)
}

fn part(tool: &Tool) -> Result<Value, String> {
    let mut part = tool.input_schema.clone();
    let words = part.as_object_mut().ok_or("has a schema that is none")?;
    // Of which draft it is, the whole says.
    words.remove("$schema");
    if words.entry("type").or_insert_with(|| "object".into()) != "object" {
        return Err("takes something else than an object".to_owned());
    }
    if !tool.description.is_empty() {
        words.insert("description".to_owned(), tool.description.as_str().into());
    }
    moved(&mut part, &format!("#/properties/{}", tool.name))?;
    Ok(part)
}

/// Has a schema point into itself where it lies now, and its texts show what they are.
fn moved(schema: &mut Value, root: &str) -> Result<(), String> {
    let words = match schema {
        Value::Array(schemas) => return schemas.iter_mut().try_for_each(|schema| moved(schema, root)),
        Value::Object(words) => words,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(()),
    };
    for (word, below) in words {
        match below {
            Value::Object(names) if OF_NAMES.contains(&word.as_str()) => {
                names.values_mut().try_for_each(|schema| moved(schema, root))?;
            }
            Value::String(to) if word == "$ref" => match to.strip_prefix('#') {
                Some(inside) if inside.is_empty() || inside.starts_with('/') => *to = format!("{root}{inside}"),
                _ => return Err(format!("has a schema that points elsewhere: {to}")),
            },
            Value::String(said) if ["description", "title", "$comment"].contains(&word.as_str()) => {
                *said = cut(text::ours(said), TEXT_MAX_BYTES);
            }
            _ if OF_PLACES.contains(&word.as_str()) => {
                return Err(format!("has a schema with `{word}`, which is not moved"));
            }
            _ if word == "x-mcp-header" => {
                return Err("wants arguments in headers (`x-mcp-header`), and nobody sends them".to_owned());
            }
            _ if OF_VALUES.contains(&word.as_str()) => {}
            below => moved(below, root)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(schema: Value) -> Tool {
        Tool { name: "add".into(), description: "Adds.".into(), input_schema: schema }
    }

    fn made(schema: Value) -> Result<Value, Fault> {
        of(&[tool(schema)]).map(|text| serde_json::from_str::<Value>(&text).expect("JSON")["properties"]["add"].clone())
    }

    #[test]
    fn a_schema_points_into_itself_wherever_it_lies() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "$defs": {"n": {"type": "integer", "description": "a\u{200b}b"}},
            "properties": {
                "a": {"$ref": "#/$defs/n"},
                "$ref": {"anyOf": [{"$ref": "#"}, {"type": "null"}], "default": {"$ref": "#/$defs/n"}},
                "enum": {"items": {"$ref": "#/$defs/n"}},
            },
        });
        let made = made(schema).expect("a schema");
        assert_eq!(made["$schema"], Value::Null);
        assert_eq!(made["description"], "Adds.");
        assert_eq!(made["$defs"]["n"]["description"], "a\\u{200b}b");
        assert_eq!(made["properties"]["a"]["$ref"], "#/properties/add/$defs/n");
        assert_eq!(made["properties"]["$ref"]["anyOf"][0]["$ref"], "#/properties/add");
        assert_eq!(made["properties"]["$ref"]["default"]["$ref"], "#/$defs/n", "a value stays as it is");
        assert_eq!(made["properties"]["enum"]["items"]["$ref"], "#/properties/add/$defs/n");
    }

    #[test]
    fn what_no_manifest_can_describe_is_refused_with_what_to_do() {
        for (schema, says) in [
            (json!({"type": "string"}), "something else than an object"),
            (json!({"properties": {"a": {"$ref": "https://evil.example/schema"}}}), "points elsewhere"),
            (json!({"properties": {"a": {"$ref": "other"}}}), "points elsewhere"),
            (json!({"$id": "https://a.example/x"}), "`$id`"),
            (json!({"properties": {"a": {"type": "string", "x-mcp-header": "Region"}}}), "headers"),
            (json!({"enum": ["x".repeat(SCHEMA_MAX_BYTES)]}), "choose fewer: --tool NAME"),
        ] {
            let fault = made(schema).expect_err(says);
            assert!(format!("{fault}").contains(says) || fault.hint.contains(says), "{fault}");
            assert!(fault.hint.contains("--tool"), "{fault}");
        }
        assert_eq!(made(json!({})).expect("a schema")["type"], "object");
    }
}
