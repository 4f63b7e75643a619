use serde_json::json;

use super::super::Schema;
use super::walk::Estimate;
use super::*;

/// `count` parts, each of which names the next one so often under this key.
fn doubled(count: usize, key: &str, times: usize) -> Value {
    let name = |at: usize| json!({"$ref": format!("#/$defs/d{at}")});
    let mut parts = serde_json::Map::new();
    for at in 0..count {
        parts.insert(format!("d{at}"), json!({key: vec![name(at + 1); times]}));
    }
    parts.insert(format!("d{count}"), json!({"type": "object"}));
    json!({"$ref": "#/$defs/d0", "$defs": parts})
}

/// So many `not`, one inside the other, a hundred in each part.
fn nots(count: usize) -> Value {
    let mut parts = serde_json::Map::new();
    for at in 0..count / 100 {
        let next = if at + 1 < count / 100 { json!({"$ref": format!("#/$defs/{}", at + 1)}) } else { json!({}) };
        parts.insert(at.to_string(), (0..100).fold(next, |inner, _| json!({"not": inner})));
    }
    json!({"$ref": "#/$defs/0", "$defs": parts})
}

#[test]
fn a_schema_whose_work_nobody_can_bear_or_foresee_is_refused() {
    let circle = json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    let chain = (0..850).map(|at| (format!("d{at}"), json!({"$ref": format!("#/$defs/d{}", at + 1)})));
    let mut chain: serde_json::Map<String, Value> = chain.collect();
    chain.insert("d850".to_owned(), json!({"additionalProperties": {"$ref": "#/$defs/d0"}}));
    let again = |times: usize| json!({"allOf": vec![json!({"properties": {"a": {"$ref": "#"}}}); times]});
    let many: serde_json::Map<String, Value> =
        (0..65).map(|at| (format!("p{at}"), json!({"pattern": "^a$"}))).collect();
    let apart = json!({"$defs": {"a": {"$id": "https://example.org/a", "$defs": {"b": {"$ref": "#/x"}}}}, "$ref": "#/$defs/a/$defs/b"});
    for (bad, why) in [
        (doubled(26, "allOf", 2), "too many parts"),
        (doubled(40, "anyOf", 2), "through each other"),
        (doubled(60, "oneOf", 2), "through each other"),
        (doubled(5, "allOf", 8), "would be looked at"),
        (nots(1_000), "through each other"),
        (nots(3_500), "through each other"),
        (json!({"$ref": "#"}), "points at itself"),
        (json!({"not": {"$ref": "#"}}), "points at itself"),
        (circle, "points at itself"),
        (json!({"$defs": chain, "$ref": "#/$defs/d0"}), "through each other"),
        (again(2), "would be looked at"),
        (again(8), "would be looked at"),
        (
            json!({"items": [{"$ref": "#"}], "contains": {"$ref": "#"}, "unevaluatedItems": {"$ref": "#"}}),
            "would be looked at",
        ),
        (json!({"$dynamicAnchor": "x", "properties": {"a": {"$dynamicRef": "#x"}}}), "cannot be foreseen"),
        (apart, "only the whole may have an address"),
        (json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}), "only point into itself"),
        (json!({"anyOf": [{"pattern": "\\pL{180}0"}]}), "is not taken"),
        (json!({"patternProperties": {"((a{1000}){1000}){1000}": true}}), "is not taken"),
        (json!({ "properties": many }), "more than 64 patterns"),
    ] {
        let told = Schema::new(&bad.to_string()).err().unwrap_or_else(|| panic!("it is taken: {bad}"));
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_people_write_is_taken_and_its_work_grows_as_the_value_does() {
    let tool = |at: usize| {
        json!({"properties": {"tool": {"const": format!("t{at}")}, "arguments": {"type": "object", "required": ["a"],
        "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/number"}}}}})
    };
    let tools: Vec<Value> = (0..100).map(tool).collect();
    let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "additionalProperties": false});
    let date = json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"day": {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"}},
        "type": "object", "properties": {"day": {"$ref": "#/definitions/day"}, "who": {"pattern": "^[\\w.-]{1,64}@[\\w-]+\\.[a-z]{2,}$", "format": "email"}},
        "patternProperties": {"^x-": {"type": "string"}}, "propertyNames": {"maxLength": 20}});
    let named = json!({"$id": "https://example.org/whole", "$defs": {"a": {"$anchor": "here", "type": "integer"}}, "items": {"$ref": "#here"}, "uniqueItems": true});
    for (schema, good, bad) in [
        (
            json!({"oneOf": tools, "$defs": {"number": {"type": "number"}}}),
            json!({"tool": "t7", "arguments": {"a": "x", "b": 1}}),
            json!({"tool": "t7"}),
        ),
        (tree, json!({"left": {"right": {}}}), json!({"left": {"middle": {}}})),
        (date, json!({"day": "2026-12-01", "who": "a@example.org", "x-1": "y"}), json!({"day": "1.12."})),
        (named, json!([1, 2, 3]), json!([1, 1])),
    ] {
        let made = Schema::new(&schema.to_string()).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(made.fits(&good, "it"), Ok(()), "{schema}");
        assert!(made.fits(&bad, "it").is_err(), "{schema}");
    }
    let numbers = Work::of(&json!({"type": "array", "items": {"type": "integer"}})).unwrap();
    let takes = |count: usize| numbers.on(&json!(vec![1; count]), "it");
    assert_eq!(takes(1_000).unwrap(), Estimate { work: 2 + 3 * 1_000, text: 0, levels: 2 });
    assert_eq!(takes(100_000).unwrap().work, 2 + 3 * 100_000);
    assert!(takes(1_000_000).unwrap_err().contains("make it smaller"));
}

#[test]
fn texts_are_weighed_by_the_patterns_that_read_them() {
    let work = |schema: Value| Work::of(&schema).unwrap();
    let long = json!("a".repeat(1 << 20));
    assert!(work(json!({"pattern": "^(a|a|a?)+$"})).on(&long, "it").is_ok());
    assert!(work(json!({"anyOf": [{"pattern": "^a+$"}, {"pattern": "^b+$"}]})).on(&long, "it").is_err());
    assert!(work(json!({"pattern": "^[\\p{L}]+$"})).on(&long, "it").is_err());
    let name = json!({"a".repeat(1 << 20): 1});
    assert!(work(json!({"patternProperties": {"^[\\p{L}]+$": true}})).on(&name, "it").is_err());
    assert!(work(json!({"propertyNames": {"pattern": "^[\\p{L}]+$"}})).on(&name, "it").is_err());
}

#[test]
fn the_deepest_value_and_the_deepest_schema_have_room_on_a_stack() {
    let mut schema = json!({"additionalProperties": {"$ref": "#"}});
    for _ in 0..50 {
        schema = json!({"allOf": [schema]});
    }
    let schema = Schema::new(&schema.to_string()).expect("it is one");
    let deep = (0..120).fold(json!({}), |inner, _| json!({"a": inner}));
    assert_eq!(schema.fits(&deep, "it"), Ok(()));
}
