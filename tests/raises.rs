//! A budget that ran out and a person who adds to it, or does not: what they are shown, what stands there after, and after each no
//! nothing was spent.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::refusals::costs_nothing;
use crate::stage::{Ended, Stage, begin, end, guest};

const PRICED: &str = "{\"script\": 1, \"repeat\": true, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n\
                      {\"text\": \"an answer\", \"usage\": {\"input_fresh\": 7, \"output\": 3}}\n";

/// A home in which `ask` may ask a model once a day.
fn stage(more: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(&format!(
        "format = 1\nlayer = \"grant\"\nagent = \"ask\"\nllm = {{ models = [\"scripted\"], max_tokens = 100 }}\n\
         [budget]\nusd_day = \"1.00\"\nllm_calls_day = 1\nwall_run = \"110s\"\n{more}"
    ));
    stage
}

fn ask(stage: &Stage, waits: bool) -> std::process::Command {
    let mut run = stage.run_on(PRICED, &guest("ask"), &json!({"prompt": "hello", "max_tokens": 32}));
    if waits {
        run.arg("--wait");
    }
    run
}

/// Runs into the empty budget, and answers what people are asked about it.
fn answered(stage: &Stage, verb: &str, more: &[&str]) -> (Value, Ended) {
    let running = begin(&mut ask(stage, true));
    let begun = Instant::now();
    let question = loop {
        let all = end(stage.agentry("approvals").arg("--json")).with(0).json();
        if let Some(question) = all["questions"].as_array().and_then(|all| all.first()) {
            break question.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody is asked");
        thread::sleep(Duration::from_millis(200));
    };
    let id = question["id"].as_str().expect("it has an id");
    end(stage.agentry(verb).arg(id).args(more)).with(0);
    (question, running.end())
}

/// Limit, added and spent of today's model calls.
fn today(stage: &Stage) -> [u64; 3] {
    let all = end(stage.agentry("budget").args(["ask", "--json"])).with(0).json();
    let lines = all["agents"][0]["lines"].as_array().expect("it has lines").clone();
    let line = lines.iter().find(|line| line["what"] == "llm-calls" && line["window"] == "day").expect("a limit");
    ["limit", "given", "spent"].map(|of| line[of].as_u64().unwrap_or(0))
}

#[test]
fn a_person_adds_what_a_budget_lacks_and_it_is_there_for_the_day() {
    let stage = stage("on_exhausted = \"ask\"\n");
    end(&mut ask(&stage, true)).with(0);
    assert_eq!(today(&stage), [1, 0, 1]);
    let (question, ended) = answered(&stage, "approve", &[]);
    let asked = json!([{"what": "llm-calls", "window": "day", "limit": 1, "spent": 1, "reserved": 0, "more": 1}]);
    assert_eq!((&question["budgets"], &question["agent"]), (&asked, &json!("ask")), "{question}");
    assert_eq!((&question["rule"]["id"], &question["rule"]["line"]), (&json!("ask/budget"), &json!(9)), "{question}");
    assert_eq!(ended.with(0).json()["output"], "an answer");
    assert_eq!(today(&stage), [2, 1, 2], "another host knows of it");
    let shown = end(stage.agentry("budget").arg("ask")).with(0).stdout;
    assert!(shown.contains("1 of it by a person"), "{shown}");
    let calls = stage.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked");
    assert_eq!((&call["decision"], &call["raised"]), (&json!("allowed"), &asked), "{call}");
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_no_or_nobody_to_ask_is_the_exhausted_budget_that_it_was() {
    let stage = stage("on_exhausted = \"ask\"\n");
    end(&mut ask(&stage, true)).with(0);
    let (_, denied) = answered(&stage, "deny", &["--because", "not today"]);
    let alone = end(&mut ask(&stage, false));
    for (ended, said) in [(denied, Some("not today")), (alone, None)] {
        let report = ended.with(4).json();
        let refusal = &report["refusals"][0];
        assert_eq!(refusal["code"], "exhausted", "{report}");
        let because = refusal["because"].as_str().unwrap_or_default();
        assert!(said.is_none_or(|said| because.contains(said)), "{because}");
        costs_nothing(&stage, &report);
    }
    assert_eq!(today(&stage), [1, 0, 1]);
}

#[test]
fn a_budget_names_whom_it_asks_and_a_ceiling_asks_nobody() {
    let named = stage("on_exhausted = \"ask\"\napproval = { from = \"group:ops\", factor = \"totp\" }\n");
    end(&mut ask(&named, true)).with(0);
    let check = |stage: &Stage| end(&mut stage.agentry("policy check"));
    check(&named).with(0);
    let lonely = stage("approval = { from = \"anyone\" }\n");
    assert!(check(&lonely).with(2).stdout.contains("whom to ask"));
    let ceiling = "format = 1\nlayer = \"site\"\n[ceiling]\nbudget = { usd_day = \"1.00\", on_exhausted = \"ask\" }\n";
    named.write("home/policies/00-site.toml", ceiling);
    assert!(check(&named).with(2).stdout.contains("unknown key `on_exhausted`"));
}
