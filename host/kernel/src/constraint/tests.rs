//! Values that fit, that do not, and that could be taken for some that do.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::json;

fn one(test: Test) -> Constraint {
    Constraint { tests: vec![test], optional: false }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn literals(words: &[&str]) -> Vec<Literal> {
    words.iter().map(|word| Literal::Text(word.to_string())).collect()
}

/// Each value, with whether it fits and whether it could be taken for one that fits.
fn check(test: Test, values: &[(&str, bool, bool)]) {
    let constraint = one(test);
    for (text, fits, may_fit) in values {
        let value = json::parse(text).expect("it is JSON");
        assert_eq!(constraint.fits(&value), *fits, "{constraint}: {text}");
        assert_eq!(constraint.may_fit(&value), *may_fit, "{constraint}, read by a careless tool: {text}");
    }
}

#[test]
fn a_value_is_among_those_listed_or_only_looks_so() {
    check(
        Test::In(literals(&["main"])),
        &[
            (r#""main""#, true, true),
            (r#""Main""#, false, true),
            (r#""ma\u200bin""#, false, true),
            (r#""%6dain""#, false, true),
            (r#"" main ""#, false, true),
            (r#""dev""#, false, false),
            ("7", false, true),
            (r#"["main"]"#, false, true),
        ],
    );
    check(
        Test::In(vec![Literal::Integer(7)]),
        &[("7", true, true), ("7.0", true, true), ("8", false, false), ("\"7\"", false, true)],
    );
    check(Test::In(vec![Literal::Bool(true)]), &[("true", true, true), ("false", false, false), ("1", false, true)]);
}

#[test]
fn each_item_of_a_list_is_looked_at() {
    check(
        Test::EachIn(literals(&["a@x", "b@x"])),
        &[
            (r#"["a@x","b@x"]"#, true, true),
            (r#"["a@x","evil@x"]"#, false, true),
            (r#"["evil@x"]"#, false, false),
            ("[]", true, false),
            (r#""a@x""#, false, true),
            (r#"[["a@x"]]"#, false, true),
        ],
    );
}

#[test]
fn numbers_lie_between_two_bounds_and_are_never_texts() {
    check(
        Test::Between { min: 1, max: 50_000 },
        &[
            ("1", true, true),
            ("50000", true, true),
            ("5e4", true, true),
            ("0", false, false),
            ("-1", false, false),
            ("50001", false, false),
            ("1.5", false, true),
            ("1e300", false, true),
            ("\"80000\"", false, true),
            ("null", false, true),
        ],
    );
}

#[test]
fn texts_and_lists_have_a_size() {
    check(
        Test::Prefix("report".into()),
        &[(r#""report 1""#, true, true), (r#""Report""#, false, true), (r#""a report""#, false, false)],
    );
    check(Test::BytesMax(4), &[(r#""ää""#, true, true), (r#""äää""#, false, false), ("1", false, true)]);
    check(Test::ItemsMin(1), &[("[]", false, false), ("[1]", true, true), ("{}", false, true)]);
    check(Test::ItemsMax(1), &[("[]", true, true), ("[1,2]", false, false)]);
}

#[test]
fn a_path_in_an_argument_has_no_tricks() {
    check(
        Test::Path(texts(&["/out"])),
        &[
            (r#""out""#, true, true),
            (r#""/out/a.md""#, true, true),
            (r#""outside""#, false, false),
            (r#""out/../etc""#, false, true),
            (r#""x/../out""#, false, true),
            (r#""OUT/a""#, false, true),
            (r#""out//a""#, false, true),
            (r#""out\\a""#, false, true),
            (r#""./out""#, false, true),
            (r#""%6fut/a""#, false, true),
            (r#""//out""#, false, true),
            (r#""ｏut/a""#, false, true),
        ],
    );
}

#[test]
fn a_host_in_an_argument_is_itself_and_no_look_alike() {
    check(
        Test::Host(texts(&["*.example.org"])),
        &[
            (r#""api.example.org""#, true, true),
            (r#""https://api.example.org/x?y""#, true, true),
            (r#""https://api.example.org:8443/""#, true, true),
            (r#""example.org""#, false, false),
            (r#""evilexample.org""#, false, false),
            (r#""api.example.org.evil.net""#, false, false),
            (r#""https://api.example.org@evil.net/""#, false, true),
            (r#""https://evil.net/api.example.org""#, false, false),
            (r#""https://evil.net?.example.org""#, false, true),
            (r#""https://evil.net#.example.org""#, false, true),
            (r#""https://evil.net\\.example.org/""#, false, true),
            (r#""API.example.org""#, false, true),
            (r#""api.example.org.""#, false, true),
            (r#""api。example.org""#, false, true),
            (r#""api.example.org:443""#, false, true),
        ],
    );
    assert!(
        !one(Test::Host(texts(&["*"]))).fits(&json::parse("\"127.0.0.1\"").expect("JSON")),
        "a star names no number"
    );
}

#[test]
fn all_arguments_are_listed_and_all_that_must_be_are_there() {
    let constraint = |test, optional| Constraint { tests: vec![test], optional };
    let arguments = Arguments::Listed(vec![
        ("body".into(), constraint(Test::BytesMax(5), true)),
        ("to".into(), constraint(Test::EachIn(literals(&["ops"])), false)),
    ]);
    let misfit = |text: &str| {
        let value = json::parse(text).expect("it is JSON");
        arguments
            .misfit(&value)
            .map(|misfit| (misfit.name.to_string(), misfit.value.is_some(), misfit.allowed.is_some()))
    };
    assert_eq!(misfit(r#"{"to":["ops"]}"#), None);
    assert_eq!(misfit(r#"{"body":"x","to":[]}"#), None);
    assert_eq!(misfit(r#"{"body":"x"}"#), Some(("to".into(), false, true)));
    assert_eq!(misfit(r#"{"to":["ops"],"zcc":["evil"]}"#), Some(("zcc".into(), true, false)));
    assert_eq!(misfit(r#"{"bcc":["evil"],"to":["ops"]}"#), Some(("bcc".into(), true, false)));
    assert_eq!(misfit(r#"{"To":["ops"],"to":["ops"]}"#), Some(("To".into(), true, false)));
    assert_eq!(misfit(r#"{"to":["evil"]}"#), Some(("to".into(), true, true)));
    assert_eq!(misfit("[]"), Some((String::new(), true, false)));
    assert!(Arguments::default().misfit(&json::parse("{}").expect("JSON")).is_none());
    assert!(Arguments::Any.misfit(&json::parse("[]").expect("JSON")).is_some());
}

fn any_test() -> impl Strategy<Value = Test> {
    prop_oneof![
        prop::collection::vec("[a-zA-Z%/. é]{0,8}".prop_map(Literal::Text), 1..3).prop_map(Test::In),
        prop::collection::vec("[a-c]{1,2}".prop_map(Literal::Text), 1..3).prop_map(Test::EachIn),
        "[a-zA-Zé%]{1,3}".prop_map(Test::Prefix),
        (any::<i8>(), any::<i8>()).prop_map(|(a, b)| Test::Between { min: a.min(b).into(), max: a.max(b).into() }),
        (0u64..9).prop_map(Test::BytesMax),
        (0u64..3).prop_map(Test::ItemsMin),
        (0u64..3).prop_map(Test::ItemsMax),
        "/[a-z]{1,3}".prop_map(|top| Test::Path(vec![top])),
        "\\*\\.[a-z]{1,3}\\.org".prop_map(|host| Test::Host(vec![host])),
    ]
}

fn any_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zA-Z%/. é0-9]{0,10}".prop_map(Value::Text),
        any::<String>().prop_map(Value::Text),
        any::<i8>().prop_map(|n| Value::Integer(n.into())),
        prop::collection::vec("[a-c]{1,2}".prop_map(Value::Text), 1..4).prop_map(Value::List),
        "[a-z]{1,3}\\.[a-z]{1,3}\\.org".prop_map(Value::Text),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_fits_could_be_taken_for_what_fits(test in any_test(), value in any_text()) {
        let constraint = one(test);
        prop_assert!(!constraint.fits(&value) || constraint.may_fit(&value), "{} {}", constraint, value);
    }

    #[test]
    fn a_forbidden_word_is_known_in_every_spelling(word in "[a-z]{1,8}", at in 0usize..8) {
        let forbids = one(Test::In(vec![Literal::Text(word.clone())]));
        let at = at.min(word.len());
        let (front, back) = word.split_at(at);
        let first = back.chars().next();
        let escaped = first.map_or(word.clone(), |char| format!("{front}%{:02x}{}", u32::from(char), &back[1..]));
        let twice = escaped.replace('%', "%25");
        let wide: String = word.chars().filter_map(|char| char::from_u32(u32::from(char) + 0xFEE0)).collect();
        for spelling in [word.to_uppercase(), escaped, twice, wide, format!("{front}\u{200d}{back}"), format!("\u{a0}{word} ")] {
            prop_assert!(forbids.may_fit(&Value::Text(spelling.clone())), "{spelling:?}");
        }
    }
}
