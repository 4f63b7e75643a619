//! The clock as a tool: an agent learns the time of the host by a grant, and from nobody whom it may not ask.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::stage::{end, guest};
use crate::tools::{ANY, answer, answers, call, error, registry, stage, text};

/// A tool that is a clock.
fn clock(effect: &str, clock: &str) -> String {
    format!(
        "[tools.\"test.now\"]\ndescription = \"For a test.\"\neffect = \"{effect}\"\nschema = {ANY}\nclock = {{ {clock} }}\n"
    )
}

#[test]
fn a_clock_tells_the_time_of_the_host_at_an_offset() {
    let stage = stage(&clock("read", "offset = \"+05:30\""));
    let listed = end(stage.agentry("tools").arg("--json")).with(0).json();
    assert_eq!((&listed[0]["kind"], &listed[0]["where"]), (&json!("clock"), &json!("of this host, at +05:30")));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let before = now();
    let calls = [json!({}), json!({"offset": "Z"}), json!({"format": "unix_ms"})];
    let told = answers(&stage, &calls.map(|arguments| call("test.now", &arguments)));
    assert!(text(&told[0]).ends_with("+05:30") && text(&told[0]).len() == 29, "{}", told[0]);
    assert!(text(&told[1]).ends_with('Z') && text(&told[1]).contains('T'), "{}", told[1]);
    let ms: u128 = text(&told[2]).parse().expect("milliseconds");
    assert!((before..=now()).contains(&ms), "{before} {ms}");
}

#[test]
fn a_clock_that_is_not_granted_or_asked_for_nonsense_tells_nothing() {
    let stage = stage(&clock("read", ""));
    let told = answer(&stage, "test.now", &json!({"offset": "noon"}));
    assert!(error(&told).contains("argument `offset`"), "{told}");
    registry(&stage, &clock("read", "").replace("test.now", "other.now"));
    let told = answer(&stage, "other.now", &json!({}));
    assert!(error(&told).contains("denied (no-grant, argument `name`)"), "{told}");
    registry(&stage, &clock("irreversible", ""));
    // A registry that makes no sense keeps the home from being opened at all.
    let refused = || end(&mut stage.run(&guest("tools"), &json!({"calls": []}))).with(2);
    refused().complains("a clock is read");
    registry(&stage, &clock("read", "offset = \"noon\""));
    refused().complains("no offset from UTC");
}
