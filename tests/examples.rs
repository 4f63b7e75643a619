//! The agents that are shown to people, on their own policies: the researcher, granted and not.

use std::fs;

use serde_json::{Value, json};

use crate::stage::{Ended, Stage, end, example, repository};

const SCRIPT: &str = "{\"script\": 1, \"repeat\": true}\n{\"text\": \"Congress does [1].\"}\n";

fn policy_of(agent: &str) -> String {
    fs::read_to_string(repository(&format!("policies/50-{agent}.toml"))).expect("an example has a policy")
}

fn research(policy: &str) -> (Stage, Ended) {
    let stage = Stage::new();
    stage.policy(policy);
    let mut run = stage.run_on(SCRIPT, &example("researcher"), &json!({"question": "Who declares war?"}));
    let documents = repository("example-agents/researcher/corpus");
    for (root, directory) in [("documents", documents), ("reports", stage.directory("reports"))] {
        run.arg("--root").arg(format!("{root}={}", directory.display()));
    }
    let ended = end(&mut run);
    stage.replays();
    (stage, ended)
}

#[test]
fn the_researcher_cites_its_documents_and_writes_a_report() {
    let (stage, ended) = research(&policy_of("researcher"));
    let report = ended.with(0).json();
    let citation = &report["output"]["citations"][0];
    let file = repository("example-agents/researcher/corpus").join(citation["file"].as_str().expect("a file"));
    let text = fs::read_to_string(file).expect("what it cites is there");
    let line = citation["line"].as_u64().and_then(|line| text.lines().nth(usize::try_from(line).ok()? - 1));
    assert!(line.is_some_and(|line| !line.is_empty()), "{citation}");
    assert_eq!(fs::read_dir(stage.path("reports")).expect("it is there").count(), 1);
}

#[test]
fn the_researcher_without_its_model_is_denied_or_does_without_and_pays_nothing() {
    let policy: String =
        policy_of("researcher").lines().filter(|line| !line.starts_with("llm = ")).map(|l| format!("{l}\n")).collect();
    let (stage, ended) = research(&policy);
    let report = ended.with(3).json();
    assert_eq!(report["refusals"][0]["code"], "no-grant");
    assert_eq!(report["cost_microusd"], 0);
    assert_eq!(stage.last()["spent"]["tokens"], Value::Null);
}

#[test]
fn the_researcher_with_one_token_too_few_is_exhausted() {
    let (stage, ended) = research(&policy_of("researcher"));
    ended.with(0);
    let calls = stage.calls();
    let asked = calls.iter().find(|call| {
        call["name"].as_str().is_some_and(|name| name.starts_with("llm.") && call["held"]["tokens"].is_u64())
    });
    let held = asked.and_then(|call| call["held"]["tokens"].as_u64()).expect("it asked a model");
    let short = policy_of("researcher").replace("tokens_run = 6_000", &format!("tokens_run = {}", held - 1));
    let (stage, ended) = research(&short);
    assert_eq!(ended.with(4).json()["refusals"][0]["code"], "exhausted");
    assert_eq!(stage.last()["spent"]["tokens"], Value::Null);
}

#[test]
fn the_researcher_without_its_documents_does_not_begin() {
    let stage = Stage::new();
    stage.policy(&policy_of("researcher"));
    let mut run = stage.run_on(SCRIPT, &example("researcher"), &json!({"question": "Who declares war?"}));
    let ended = end(&mut run).with(2);
    ended.complains("needs the roots `documents` and `reports`");
    assert!(
        ended
            .stderr
            .contains("hint: add --root documents=DIR --root reports=DIR, where a host serves to its own command; "),
        "{}",
        ended.stderr
    );
}
