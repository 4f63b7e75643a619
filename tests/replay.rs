//! Runs executed again beside their journals: the same calls, the same end, and nothing done a second time.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, begin, end, guest};

const ANSWERS: &str = "{\"script\": 1, \"repeat\": true}\n{\"chunks\": [\"one \", \"two\"]}\n";

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "steps"
memory = { read = ["team/**"], write = ["team/**"] }
files = [{ root = "documents", at = "/", access = "rw" }]
"#;

fn steps(stage: &Stage, steps: &Value) -> std::process::Command {
    let mut run = stage.run(&guest("steps"), steps);
    run.arg("--root").arg(format!("documents={}", stage.directory("documents").display()));
    run
}

fn replay(stage: &Stage, code: i32) -> Value {
    end(stage.agentry("replay last").arg("--json")).with(code).json()
}

#[test]
fn a_run_does_the_same_when_it_is_executed_again_and_nothing_is_done() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let order = json!([
        ["write", "documents", "a.txt", "first"],
        ["put", "team/board", "todo", "buy milk"],
        ["put", "agent/other", "todo", "not mine"],
        ["sleep", "300"],
        ["read", "documents", "a.txt"],
        ["get", "team/board", "todo"],
        ["read", "documents", "none.txt"]
    ]);
    end(&mut steps(&stage, &order)).with(0);
    let (last, calls) = (stage.last(), stage.calls());
    fs::write(stage.path("documents/a.txt"), "changed since").expect("it is ours");
    let found = replay(&stage, 0);
    assert_eq!((&found["same"], &found["cut"], &found["status"]), (&json!(true), &json!(false), &json!("done")));
    assert_eq!(found["calls"], last["calls"], "{found}");
    let file = fs::read_to_string(stage.path("documents/a.txt")).expect("it is there");
    assert_eq!(file, "changed since", "the write was done again");
    assert_eq!((stage.last(), stage.calls()), (last, calls), "the journal or the accounts have moved");
    let page = end(&mut stage.agentry("replay last")).with(0).stdout;
    assert!(page.contains("the same") && page.contains("done"), "{page}");
}

#[test]
fn a_run_that_was_killed_is_the_same_as_far_as_it_came() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let order = json!([["put", "team/board", "todo", "buy milk"], ["sleep", "3600000"]]);
    let running = begin(&mut steps(&stage, &order));
    let begun = || stage.last()["calls"].is_u64() && stage.calls().iter().any(|call| call["name"] == "timers.sleep");
    while !begun() {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    let found = replay(&stage, 0);
    assert_eq!((&found["same"], &found["cut"]), (&json!(true), &json!(true)), "{found}");
}

#[test]
fn another_component_than_the_one_that_ran_is_refused_with_both_digests() {
    let component = guest("echo");
    let stage = Stage::granting(&component);
    end(&mut stage.run(&component, &json!(1))).with(0);
    end(stage.agentry("replay last").arg("--component").arg(&component)).with(0);
    let refused = end(stage.agentry("replay last").arg("--component").arg(guest("steps"))).with(2);
    let recorded = stage.last()["component"].as_str().expect("a digest").to_owned();
    refused.complains(&recorded);
    assert!(refused.stderr.contains("and this one is "), "{}", refused.stderr);
}

#[test]
fn what_never_began_or_is_not_there_is_not_executed_again() {
    let component = guest("echo");
    let stage = Stage::granting(&component);
    let policies = stage.home().join("policies");
    end(stage.agentry("replay last").arg("--policies").arg(&policies)).with(2).complains("nothing has run");
    let nowhere = end(stage.agentry("replay last").arg("--policies").arg(stage.path("nowhere"))).with(2);
    nowhere.complains("no policy directory");
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"somebody\"\n");
    end(&mut stage.run(&component, &json!(1))).with(3);
    end(stage.agentry("replay last").arg("--json")).with(2).complains("never began");
}

#[test]
fn pieces_of_an_answer_and_answers_in_flight_come_again_in_the_order_in_which_they_were_seen() {
    for name in ["stream", "stream-drop", "joined"] {
        let component = guest(name);
        let stage = Stage::granting(&component);
        for _ in 0..3 {
            end(&mut stage.run_on(ANSWERS, &component, &json!({}))).with(0);
        }
        stage.replays();
    }
}
