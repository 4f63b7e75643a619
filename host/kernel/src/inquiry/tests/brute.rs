//! The widening check against brute force: in a small universe every call is put to both kernels, and what is newly allowed must
//! have been foretold.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{call, scenario};
use crate::inquiry::{DiffVerdict, Question, Verdict, diff};
use crate::labels::Labels;

const LABELS: [&[&str]; 4] = [&[], &["s"], &["u"], &["s", "u"]];

/// Every call of the universe.
fn universe() -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    let numbers = ["0", "1", "2", "3", "4", "5", "\"1\"", "true", "null", "1.5"];
    let texts = [
        "\"\"",
        "\"a\"",
        "\"ab\"",
        "\"abc\"",
        "\"b\"",
        "\"bb\"",
        "[]",
        "[\"a\"]",
        "[\"a\",\"b\"]",
        "[\"b\",\"b\",\"b\"]",
        "{}",
    ];
    for tool in ["t.a", "t.b", "u"] {
        calls.push(format!(r#"{{"tool":"{tool}"}}"#));
        for n in numbers {
            calls.push(format!(r#"{{"tool":"{tool}","args":{{"n":{n}}}}}"#));
            for s in texts {
                calls.push(format!(r#"{{"tool":"{tool}","args":{{"n":{n},"s":{s}}}}}"#));
            }
        }
        for s in texts {
            calls.push(format!(r#"{{"tool":"{tool}","args":{{"s":{s}}}}}"#));
            calls.push(format!(r#"{{"tool":"{tool}","args":{{"s":{s},"x":1}}}}"#));
        }
    }
    calls.extend(["m-1", "m-2", "n"].map(|model| format!(r#"{{"model":"{model}"}}"#)));
    for act in ["read", "write", "delete"] {
        calls.extend(["a", "a/b", "a/b/c", "b", "b/a"].map(|name| format!(r#"{{"memory":"{name}","act":"{act}"}}"#)));
        calls.extend(["", "o", "o/p", "q"].map(|path| format!(r#"{{"root":"r","path":"{path}","act":"{act}"}}"#)));
    }
    for host in ["x.example.org", "y.x.example.org", "z.example.org", "other.example"] {
        for path in ["/", "/v", "/v/a", "/w"] {
            calls.extend(
                ["GET", "POST"].map(|method| format!(r#"{{"http":"https://{host}{path}","method":"{method}"}}"#)),
            );
        }
    }
    calls
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4i64, 0..3i64).prop_map(|(min, more)| format!("min = {min}, max = {}", min + more)),
        prop::sample::subsequence(vec!["1", "2", "3", "true", "\"1\""], 1..3)
            .prop_map(|list| format!("in = [{}]", list.join(", "))),
        Just("any = true".into()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["a", "ab", "b"]).prop_map(|text| format!("prefix = \"{text}\"")),
        (0..4u64).prop_map(|most| format!("max_bytes = {most}")),
        (prop::sample::select(vec!["a", "b"]), 0..4u64)
            .prop_map(|(text, most)| format!("prefix = \"{text}\", max_bytes = {most}")),
        prop::sample::subsequence(vec!["\"a\"", "\"ab\"", "\"bb\""], 1..3)
            .prop_map(|list| format!("in = [{}]", list.join(", "))),
        (prop::sample::subsequence(vec!["\"a\"", "\"b\""], 1..3), 0..2u64, 0..3u64).prop_map(
            |(list, least, more)| format!(
                "each_in = [{}], min_items = {least}, max_items = {}",
                list.join(", "),
                least + more
            )
        ),
        Just("any = true".into()),
    ]
}

fn optional(rule: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (rule, any::<bool>())
        .prop_map(|(rule, optional)| format!("{{ {rule}{} }}", if optional { ", optional = true" } else { "" }))
}

fn labels(key: &'static str) -> impl Strategy<Value = String> {
    let some = prop::sample::subsequence(vec!["\"s\"", "\"u\""], 1..3);
    some.prop_map(move |list| format!("{key} = [{}]", list.join(", ")))
}

/// One [[allow]].
fn allow() -> impl Strategy<Value = String> {
    let tool = prop::sample::select(vec!["t.a", "t.b", "t.*", "u", "*"]);
    let args = prop_oneof![
        1 => Just(String::from("args = \"any\"\n")),
        4 => (prop::option::of(optional(number())), prop::option::of(optional(text()))).prop_map(|(n, s)| {
            let line = |key: &str, rule: Option<String>| rule.map(|rule| format!("args.{key} = {rule}\n")).unwrap_or_default();
            line("n", n) + &line("s", s)
        }),
    ];
    let unless = prop::option::weighted(0.3, prop_oneof![labels("labels_any"), labels("labels_all")]);
    let approval = prop::bool::weighted(0.2);
    (tool, args, unless, approval).prop_map(|(tool, args, unless, approval)| {
        let unless = unless.map(|unless| format!("unless = {{ {unless} }}\n")).unwrap_or_default();
        let approval = if approval { "approval = { from = \"anyone\" }\n" } else { "" };
        format!("tool = \"{tool}\"\n{args}{unless}{approval}")
    })
}

fn grant() -> impl Strategy<Value = String> {
    let memory = prop::sample::subsequence(vec!["\"a/**\"", "\"a\"", "\"a/b\"", "\"b/**\"", "\"**\""], 0..3);
    let files =
        prop::option::of((prop::sample::select(vec!["/", "/o", "/o/p"]), prop::sample::select(vec!["r", "rw"])));
    let models = prop::sample::subsequence(vec!["\"m-1\"", "\"m-*\"", "\"n\"", "\"*\""], 0..3);
    let http = prop::option::of((
        prop::sample::select(vec!["x.example.org", "*.example.org", "*.x.example.org", "*"]),
        prop::sample::subsequence(vec!["\"GET\"", "\"POST\""], 1..3),
        prop::sample::subsequence(vec!["\"/**\"", "\"/v/**\"", "\"/v\"", "\"/\""], 1..3),
    ));
    (prop::collection::vec(allow(), 0..4), memory.clone(), memory, files, models, http).prop_map(
        |(allow, read, write, files, models, http)| {
            let mut text = String::from("format = 1\nlayer = \"grant\"\nagent = \"a\"\n");
            text.push_str(&format!("memory = {{ read = [{}], write = [{}] }}\n", read.join(", "), write.join(", ")));
            if !models.is_empty() {
                text.push_str(&format!("llm = {{ models = [{}] }}\n", models.join(", ")));
            }
            if let Some((at, access)) = files {
                text.push_str(&format!("files = [{{ root = \"r\", at = \"{at}\", access = \"{access}\" }}]\n"));
            }
            if let Some((host, methods, paths)) = http {
                let (methods, paths) = (methods.join(", "), paths.join(", "));
                text.push_str(&format!(
                    "http = [{{ to = \"https://{host}\", methods = [{methods}], paths = [{paths}] }}]\n"
                ));
            }
            for (place, rule) in allow.iter().enumerate() {
                text.push_str(&format!("[[allow]]\nid = \"a/{place}\"\n{rule}"));
            }
            text
        },
    )
}

fn rule() -> impl Strategy<Value = String> {
    let target = prop::sample::select(vec![
        "tool = \"t.a\"",
        "tool = \"t.*\"",
        "tool = \"*\"",
        "effect = \"irreversible\"",
        "effect = \"egress\"",
        "model = \"m-*\"",
        "memory = \"a/**\"",
        "memory = \"a/b\"\nacts = [\"delete\"]",
        "root = \"r\"\nat = \"/o\"",
        "root = \"r\"\nacts = [\"write\"]",
        "host = \"x.example.org\"",
        "host = \"*\"\nmethods = [\"POST\"]",
        "host = \"*.example.org\"\npaths = [\"/v\"]",
    ]);
    let when = prop::option::weighted(0.4, prop_oneof![labels("labels_any"), labels("labels_all")]);
    let args = prop::option::weighted(0.4, (any::<bool>(), number()));
    (target, when, args, any::<bool>()).prop_map(|(target, when, args, asks)| {
        let about_tools = target.starts_with("tool") || target.starts_with("effect");
        let (mut conditions, mut unless) = (Vec::from_iter(when), String::new());
        if let Some((lifts, rule)) = args.filter(|_| about_tools) {
            if lifts {
                unless = format!("unless = {{ n = {{ {rule} }} }}\n");
            } else {
                conditions.push(format!("n = {{ {rule} }}"));
            }
        }
        let when =
            if conditions.is_empty() { String::new() } else { format!("when = {{ {} }}\n", conditions.join(", ")) };
        let (kind, approval) = if asks { ("require", "approval = { from = \"anyone\" }\n") } else { ("forbid", "") };
        format!("[[{kind}]]\n{target}\n{when}{unless}{approval}")
    })
}

fn site() -> impl Strategy<Value = String> {
    let bound = |key: &'static str, words: Vec<&'static str>| {
        prop::option::weighted(0.3, prop::sample::subsequence(words, 1..3))
            .prop_map(move |list| list.map(|list| format!("{key} = [{}]\n", list.join(", "))).unwrap_or_default())
    };
    let ceiling = (
        bound("models", vec!["\"m-1\"", "\"m-*\"", "\"*\""]),
        bound("tools", vec!["\"t.a\"", "\"t.*\"", "\"*\""]),
        bound("egress", vec!["\"https://x.example.org\"", "\"https://*.example.org\"", "\"https://*\""]),
    );
    (ceiling, prop::collection::vec(rule(), 0..4)).prop_map(|((models, tools, egress), rules)| {
        let mut text = String::from("format = 1\nlayer = \"site\"\n");
        let bounds = models + &tools + &egress;
        if !bounds.is_empty() {
            text.push_str(&format!("[ceiling]\n{bounds}"));
        }
        for (place, rule) in rules.iter().enumerate() {
            let (head, rest) = rule.split_once('\n').unwrap_or((rule, ""));
            text.push_str(&format!("{head}\nid = \"site/{place}\"\n{rest}"));
        }
        text
    })
}

/// Another policy that is not far: one of its two files changed.
fn pair() -> impl Strategy<Value = [String; 4]> {
    (site(), grant(), site(), grant(), 0..4u8).prop_map(|(site, grant, other_site, other_grant, kind)| match kind {
        0 => [site.clone(), grant, site, other_grant],
        1 => [site, grant.clone(), other_site, grant],
        2 => {
            // One rule fewer.
            let cut = site.rfind("\n[[").map_or(site.clone(), |at| site[..=at].into());
            [site, grant.clone(), cut, grant]
        }
        _ => [site, grant, other_site, other_grant],
    })
}

fn check([old_site, old_grant, new_site, new_grant]: &[String; 4]) -> Result<(), TestCaseError> {
    let (mut old, mut new) = (scenario(&[old_site, old_grant]), scenario(&[new_site, new_grant]));
    let told = diff(&old, &new);
    for example in told.opened.iter().filter_map(|change| change.example.as_ref()) {
        prop_assert!(example.more.exceeds(&example.less));
    }
    let calls: Vec<_> = universe().iter().map(|text| call(text)).collect();
    calls.iter().for_each(|call| {
        old.complete(call);
        new.complete(call);
    });
    for call in calls {
        for labels in LABELS {
            let labels = Labels::of(labels.iter().copied());
            let question = Question { agent: "a".into(), package: None, labels, call: call.clone() };
            let is = new.ask(&question);
            if matches!(is, Verdict::Refused(_)) {
                continue;
            }
            let was = old.ask(&question);
            let foretold = told.verdict() == DiffVerdict::Wider;
            prop_assert!(foretold || !is.exceeds(&was), "{question:?}\nwas {was:?}\nis {is:?}\n{told:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_newly_allowed_was_foretold(pair in pair()) {
        check(&pair)?;
    }
}
