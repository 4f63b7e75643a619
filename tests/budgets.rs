//! Budgets from outside: the last cent under many calls at once, a host that is killed in the middle of one, and what
//! `agentry budget` says of it all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Stage, agentry, begin, end, guest};

/// Answers that come after all calls have been decided on, and cost less than was held.
const SLOW: &str = "{\"script\": 1, \"repeat\": true, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n\
                    {\"text\": \"x\", \"delay_ms\": 1500}\n";
/// An answer that nobody waits for to its end.
const ENDLESS: &str = "{\"script\": 1, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n\
                       {\"text\": \"x\", \"delay_ms\": 60000}\n";

/// What `agentry budget` says of the site, or of an agent.
fn lines(stage: &Stage, agent: Option<&str>) -> Vec<Value> {
    let all = end(stage.agentry("budget").arg("--json")).with(0).json();
    let found = match agent {
        None => Some(all["site"].clone()),
        Some(name) => all["agents"]
            .as_array()
            .and_then(|agents| Some(agents.iter().find(|agent| agent["agent"] == name)?["lines"].clone())),
    };
    found.as_ref().and_then(Value::as_array).cloned().unwrap_or_default()
}

/// What is spent and reserved today.
fn today(stage: &Stage, agent: Option<&str>, what: &str) -> (u64, u64) {
    let lines = lines(stage, agent);
    let line = lines.iter().find(|line| line["what"] == what && line["window"] == "day");
    let amount = |of: &str| line.and_then(|line| line[of].as_u64()).unwrap_or(0);
    (amount("spent"), amount("reserved"))
}

#[test]
fn of_a_hundred_calls_at_once_exactly_as_many_pass_as_fit_the_last_cent() {
    let component = guest("last-cent");
    let measured = Stage::granting_within(&component, "usd_run = \"1.00\"\n");
    end(&mut measured.run_on(SLOW, &component, &json!(1))).with(0);
    let calls = measured.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked");
    let held = call["held"]["usd"].as_u64().expect("money was held");
    for (budget, passes) in [(7 * held, 7), (8 * held - 1, 7), (held - 1, 0)] {
        let usd = format!("{}.{:06}", budget / 1_000_000, budget % 1_000_000);
        let stage = Stage::granting_within(&component, &format!("usd_run = \"{usd}\"\nusd_day = \"{usd}\"\n"));
        let report = end(&mut stage.run_on(SLOW, &component, &json!(100))).with(0).json();
        assert_eq!(report["output"], json!([passes, 100 - passes, 0]), "{budget}: {report}");
        let (spent, reserved) = today(&stage, Some("last-cent"), "usd");
        assert!(spent <= budget && reserved == 0, "{spent} of {budget} spent, {reserved} reserved");
        stage.nothing_moved(&[]);
    }
}

#[test]
fn a_host_that_is_killed_in_the_middle_of_a_call_has_paid_for_it_at_its_worst() {
    let component = guest("ask");
    let stage = Stage::granting_within(&component, "usd_day = \"1.00\"\ntokens_day = 100_000\nwall_run = \"100s\"\n");
    let host = begin(&mut stage.run_on(ENDLESS, &component, &json!({"prompt": "hello", "max_tokens": 32})));
    let begun = Instant::now();
    let held = loop {
        match today(&stage, Some("ask"), "usd") {
            (0, 0) if begun.elapsed() < Duration::from_secs(60) => std::thread::sleep(Duration::from_millis(50)),
            (spent, reserved) => break (spent, reserved),
        }
    };
    assert!(held.0 == 0 && held.1 > 0, "the host that runs says what it holds: {held:?}");
    let tokens = today(&stage, Some("ask"), "tokens").1;
    host.kill();
    // Its run may go on, and until then holds what it held: for all others that is gone.
    let gone = |whose, what| {
        let (spent, reserved) = today(&stage, whose, what);
        spent + reserved
    };
    for whose in [Some("ask"), None] {
        assert_eq!(gone(whose, "usd"), held.1, "{whose:?}");
        assert_eq!(gone(whose, "tokens"), tokens, "{whose:?}");
        assert_eq!(gone(whose, "llm-calls"), 1, "{whose:?}");
        assert_eq!(gone(whose, "wall-time"), 100_000, "{whose:?}");
    }
    let quick = "{\"script\": 1, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n{\"text\": \"x\"}\n";
    let input = json!({"prompt": "hello", "max_tokens": 32});
    let report = end(&mut stage.run_on(quick, &component, &input)).with(0).json();
    let spent = held.1 + report["cost_microusd"].as_u64().expect("it cost something");
    assert_eq!(gone(Some("ask"), "usd"), spent, "the next host goes on from there");
}

#[test]
fn limits_what_is_spent_and_when_it_refills_are_shown_the_site_first() {
    let component = guest("ask");
    let stage = Stage::granting_within(&component, "usd_day = \"1.00\"\nllm_calls_minute = 3\nstorage_mb = 2\n");
    let input = json!({"prompt": "hello", "max_tokens": 32});
    let cost = end(&mut stage.run_on(SLOW, &component, &input)).with(0).json()["cost_microusd"].clone();
    let lines = lines(&stage, Some("ask"));
    let line = |what: &str, window: &str| {
        let found = lines.iter().find(|line| line["what"] == what && line["window"] == window);
        found.unwrap_or_else(|| panic!("no line of {what} for a {window}: {lines:?}")).clone()
    };
    let money = line("usd", "day");
    assert_eq!((&money["limit"], &money["spent"], &money["reserved"]), (&json!(1_000_000), &cost, &json!(0)));
    assert!(money["refills_in_s"].as_u64().is_some_and(|seconds| (1..=86_400).contains(&seconds)), "{money}");
    let calls = line("llm-calls", "minute");
    assert_eq!(calls["limit"], 3);
    assert!(calls["refills_in_s"].as_u64().is_some_and(|seconds| (1..=60).contains(&seconds)), "{calls}");
    assert_eq!(line("storage", "always")["refills_in_s"], Value::Null);
    let shown = end(stage.agentry("budget").arg("ask")).with(0).stdout;
    let site = shown.find("the site").expect("it is shown");
    assert!(shown.find("agent ask").is_some_and(|agent| site < agent), "{shown}");
    assert!(shown.contains("$1.00") && shown.contains("2.0 MiB"), "{shown}");
}

#[test]
fn a_budget_of_nobody_or_of_a_policy_that_is_wrong_is_not_shown() {
    let stage = Stage::granting(&guest("ask"));
    end(stage.agentry("budget").args(["nobody", "--json"])).with(2).complains("no agent `nobody`");
    let broken = stage.write("broken/50-x.toml", "format = 1\nlayer = \"grant\"\nagnet = \"x\"\n");
    let directory = broken.parent().expect("it lies in a directory");
    let refused = end(stage.agentry("budget").arg("--policies").arg(directory)).with(2);
    assert!(refused.stderr.contains("50-x.toml:3") && refused.stdout.is_empty(), "{}", refused.stderr);
    end(agentry().args(["budget", "--home", "/nowhere/to/be/found"])).with(2);
}
