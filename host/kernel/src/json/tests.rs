//! What is JSON to us and what is not, and that there is one way to write a value.

use alloc::format;
use alloc::string::{String, ToString};

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_only_passed_on_is_json_that_everybody_reads_the_same() {
    let deep = |depth: usize| alloc::format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for good in ["null", "18446744073709551615", "-9223372036854775808", "1.5e300", " {\"a\":{\"a\":1}} ", &deep(128)] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    let bad = ["", "{} {}", "NaN", "1e999", "18446744073709551616", "-9223372036854775809", &deep(129)];
    for bad in bad.into_iter().chain(["{\"a\":1,\"a\":2}", "[{\"a\":1,\"\\u0061\":2}]", "\"\\ud800\""]) {
        assert!(check(bad).is_err(), "{bad}");
    }
    assert_eq!(check(&alloc::format!("[{}0]", "0,".repeat(100_000))), Ok(()), "it may be long");
}

fn canonical(text: &str) -> String {
    parse(text).unwrap_or_else(|flaw| panic!("{text}: {flaw}")).to_string()
}

#[test]
fn a_value_is_written_in_one_way() {
    assert_eq!(canonical(r#" { "b" : [ 1.0 , 1e2, -0, 0.10 ] , "a" : "\u0041\/\ud83d\ude00\n\u0001" } "#), {
        "{\"a\":\"A/😀\\n\\u0001\",\"b\":[1,100,0,0.1]}"
    });
    assert_eq!(canonical("1e300"), "1e300");
    assert_eq!(canonical("9223372036854775807"), "9223372036854775807");
    assert_eq!(canonical("[]"), "[]");
    assert_eq!(canonical("{}"), "{}");
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let many = format!("[{}0]", "0,".repeat(70_000));
    let long = format!("\"{}\"", "x".repeat(JSON_MAX_BYTES));
    let cases = [
        ("{\"a\":1,\"a\":2}", "a key that stands twice in the object"),
        ("{\"a\":1,\"\\u0061\":2}", "a key that stands twice in the object"),
        ("{\"b\":{\"a\":1,\"a\":1}}", "a key that stands twice in the object"),
        ("\"\\ud800\"", "half of a surrogate pair"),
        ("\"\\udc00\"", "half of a surrogate pair"),
        ("\"\\ud800\\u0041\"", "half of a surrogate pair"),
        ("9223372036854775808", "a number that does not fit 64 bits"),
        ("1e999", "a number that does not fit 64 bits"),
        ("01", "a number with a zero before it"),
        ("+1", "not a value"),
        (".5", "not a value"),
        ("1.", "a digit is missing"),
        ("NaN", "not a value"),
        ("Infinity", "not a value"),
        ("nul", "not a value"),
        ("'a'", "not a value"),
        ("[1,]", "not a value"),
        ("{\"a\":1,}", "a key is missing"),
        ("{a:1}", "a key is missing"),
        ("[1] x", "something behind the value"),
        ("1 // one", "something behind the value"),
        ("\"a\nb\"", "a control character in a text"),
        ("\"a", "a text does not end"),
        ("\"\\x41\"", "an unknown escape"),
        ("\"\\u00é0\"", "four hexadecimal digits are missing"),
        ("", "a value is missing"),
        ("\u{feff}1", "not a value"),
        (&deep, "nested deeper than 32"),
        (&many, "more than 65536 values"),
        (&long, "longer than 1 MiB"),
    ];
    for (text, what) in cases {
        assert_eq!(parse(text).map_err(|flaw| flaw.what), Err(what), "{}", text.get(..40).unwrap_or(text));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(|n| {
            // Only what the reader itself makes of a number is one of its values.
            parse(&format!("{n:e}")).unwrap_or_default()
        }),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_as_the_same_value(value in any_value()) {
        let text = value.to_string();
        prop_assert_eq!(parse(&text), Ok(value));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), cut in 0usize..64) {
        let _ = parse(&text);
        let _ = parse(&format!("{{\"{text}\":[1,\"\\u{text}"));
        let whole = r#"{"a":["\ud83d\ude00",-1.5e3,true,null],"b":{}}"#;
        let _ = parse(whole.get(..cut).unwrap_or(whole));
    }
}
