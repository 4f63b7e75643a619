//! Words of a JSON Schema that were meant and not written. It checks no more than that: what a schema says is its reader's to say.

use agentry_kernel::text::nearest;
use serde_json::Value;

use crate::screen::text;

/// The words of JSON Schema, draft 2020-12, and those before them that people still write.
const WORDS: [&str; 50] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "$dynamicAnchor",
    "$dynamicRef",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
];

/// The rest of them.
const MORE: [&str; 9] = [
    "readOnly",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "contentSchema",
];

/// Words below which stand names of the author's own, each with a schema.
const OF_NAMES: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Words below which stand schemas.
const OF_SCHEMAS: [&str; 14] = [
    "items",
    "additionalProperties",
    "additionalItems",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "prefixItems",
    "propertyNames",
    "unevaluatedProperties",
];

/// The first such word, and what was meant by it.
pub fn misspelt(schema: &Value) -> Option<(String, &'static str)> {
    let known = || WORDS.into_iter().chain(MORE);
    match schema {
        Value::Object(words) => words.iter().find_map(|(word, value)| {
            if !known().any(|known| known == word) {
                return nearest(word, known()).map(|near| (text::line(word), near));
            }
            match value {
                Value::Object(names) if OF_NAMES.contains(&word.as_str()) => names.values().find_map(misspelt),
                _ if OF_SCHEMAS.contains(&word.as_str()) => misspelt(value),
                _ => None,
            }
        }),
        Value::Array(schemas) => schemas.iter().find_map(misspelt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_that_is_nearly_one_of_json_schema_is_found_and_a_name_of_the_author_is_none() {
        let found = |schema: Value| misspelt(&schema);
        assert_eq!(found(json!({"type": "object", "requird": ["a"]})), Some(("requird".to_owned(), "required")));
        assert_eq!(found(json!({"properties": {"a": {"tpye": "string"}}})), Some(("tpye".to_owned(), "type")));
        assert_eq!(found(json!({"oneOf": [{}, {"items": {"minimun": 1}}]})), Some(("minimun".to_owned(), "minimum")));
        assert_eq!(found(json!({"properties": {"requird": {}, "tpye": {"enum": [{"tpye": 1}]}}, "x-mine": 1})), None);
        assert_eq!(found(json!(true)), None);
    }
}
