//! The log of everything that happened: whole after honest work, and broken wherever somebody had a hand in it.

use std::fs;

use serde_json::{Value, json};

use crate::stage::{Stage, end, guest};

fn stage() -> Stage {
    let stage = Stage::granting(&guest("echo"));
    stage.write("home/agentry.toml", "format = 1\n[audit]\nheads = \"../heads\"\n");
    stage
}

fn run(stage: &Stage, word: &str) {
    end(&mut stage.run(&guest("echo"), &json!({ "word": word }))).with(0);
}

fn verify(stage: &Stage, code: i32) -> Value {
    end(stage.agentry("audit verify").arg("--json")).with(code).json()
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_its_heads_stand_in_the_second_place() {
    let stage = stage();
    run(&stage, "one");
    run(&stage, "two");
    let audit = verify(&stage, 0);
    assert_eq!(audit["broken"], Value::Null);
    assert!(audit["segments"].as_u64() > Some(1) && audit["contents"].as_u64() > Some(1), "{audit}");
    assert!(audit["heads"].as_u64() >= Some(2), "{audit}");
    let page = end(&mut stage.agentry("audit verify")).with(0).stdout;
    assert!(page.contains("whole"), "{page}");
    let elsewhere = stage.write("elsewhere", "");
    let none = end(stage.agentry("audit verify").arg("--json").arg("--heads").arg(elsewhere)).with(0).json();
    assert_eq!(none["heads"], 0);
}

#[test]
fn a_byte_of_the_store_that_somebody_changed_is_found() {
    let stage = stage();
    run(&stage, "a-word-that-stands-out");
    run(&stage, "two");
    let store = stage.path("home/store.redb");
    let mut bytes = fs::read(&store).expect("the store");
    let word = b"a-word-that-stands-out";
    let places: Vec<usize> = (0..bytes.len() - word.len()).filter(|at| bytes[*at..].starts_with(word)).collect();
    assert!(!places.is_empty(), "the input is stored as it is");
    for at in places {
        bytes[at] = b'A';
    }
    fs::write(&store, bytes).expect("it is ours");
    let broken = verify(&stage, 1)["broken"].clone();
    assert!(broken["what"].as_str().is_some_and(|what| what.contains("changed")), "{broken}");
    assert!(broken["run"].is_string() && broken["segment"].is_u64(), "{broken}");
    assert!(end(&mut stage.agentry("audit verify")).with(1).stdout.contains("broken"));
}

#[test]
fn a_log_that_was_set_back_to_an_earlier_day_looks_whole_but_for_the_second_place() {
    let stage = stage();
    run(&stage, "one");
    let store = stage.path("home/store.redb");
    let before = fs::read(&store).expect("the store");
    run(&stage, "what must never have happened");
    fs::write(&store, before).expect("it is ours");
    let broken = verify(&stage, 1)["broken"].clone();
    assert!(broken["what"].as_str().is_some_and(|what| what.contains("cut")), "{broken}");
    let none = stage.write("none", "");
    end(stage.agentry("audit verify").arg("--heads").arg(none)).with(0);
    let doctor = end(&mut stage.agentry("doctor")).with(2).stdout;
    assert!(doctor.contains("set back to an earlier day") && doctor.contains("--accept-older"), "{doctor}");
    // Whoever cuts the log takes away what would tell: that it is gone tells as well.
    fs::remove_file(stage.path("heads")).expect("it is ours");
    let gone = end(&mut stage.agentry("audit verify")).with(1).stdout;
    assert!(gone.contains("gone") && gone.contains("is not there"), "{gone}");
    assert!(verify(&stage, 1)["heads_gone"].is_string());
}

#[test]
fn a_home_that_was_set_back_to_an_earlier_day_is_refused_unless_a_person_says_so() {
    let stage = stage();
    run(&stage, "one");
    let store = stage.home().join("store.redb");
    let before = std::fs::read(&store).expect("it is ours");
    run(&stage, "two");
    std::fs::write(&store, before).expect("it is ours");
    // A torn line, as a full disk leaves it, is in nobody's way.
    let heads = stage.path("heads");
    let text = std::fs::read_to_string(&heads).expect("it is ours");
    std::fs::write(&heads, format!("{text}2 0 9")).expect("it is ours");
    end(&mut stage.run(&guest("echo"), &json!(1))).with(2).complains("set back to an earlier day");
    end(&mut stage.agentry("serve")).with(2).complains("set back to an earlier day");
    crate::serve::serve(stage.agentry("serve").arg("--accept-older")).stop();
    run(&stage, "three");
    let audit = end(stage.agentry("audit verify").arg("--json"));
    let audit = audit.with(0).json();
    assert_eq!((&audit["torn_heads"], &audit["broken"]), (&json!(1), &Value::Null), "{audit}");
    run(&stage, "four");
}

#[test]
fn heads_that_are_none_or_a_home_without_a_past_are_told() {
    let stage = stage();
    end(&mut stage.agentry("audit verify")).with(2).complains("nothing ever ran here");
    run(&stage, "one");
    let other = stage.write("other", "not a head\n");
    end(stage.agentry("audit verify").arg("--heads").arg(other)).with(2).complains("no head of a log");
    end(stage.agentry("audit verify").args(["--heads", "/nonexistent/heads"]))
        .with(2)
        .complains("cannot use the heads");
    stage.write("home/agentry.toml", "format = 1\n[audit]\nhaeds = \"x\"\n");
    end(&mut stage.run(&guest("echo"), &json!(1))).with(2).complains("unknown key");
    stage.write("home/agentry.toml", "format = 1\n[audit]\nheads = \"/nonexistent/heads\"\n");
    end(&mut stage.run(&guest("echo"), &json!(1))).with(2).complains("cannot use the heads");
}

#[test]
fn each_call_names_the_rule_that_decided_the_policy_and_its_arguments() {
    let stage = Stage::new();
    let grant = "format = 1\nlayer = \"grant\"\nagent = \"steps\"\n\
                 memory = { read = [\"agent/test/**\"], write = [\"agent/test/**\"] }\n[budget]\ntool_calls_run = 10\n";
    stage.policy(grant);
    let steps = json!([
        ["put", "agent/test/a", "k", "v"],
        ["put", "agent/test/a", "k", "v"],
        ["put", "agent/test/a", "k", "w"],
        ["put", "team/other", "k", "v"],
        ["sleep", "1"],
    ]);
    end(&mut stage.run(&guest("steps"), &steps)).with(0);
    let first = stage.calls();
    let of =
        |calls: &[Value], name: &str| calls.iter().filter(|call| call["name"] == name).cloned().collect::<Vec<_>>();
    let puts = of(&first, "memory.put");
    let policy = puts[0]["policy"].as_str().expect("the policy is named").to_owned();
    assert_eq!(policy.len(), 64, "{policy}");
    for put in &puts[..3] {
        assert_eq!((&put["rule"]["id"], &put["rule"]["line"]), (&json!("steps/memory"), &json!(4)), "{put}");
        assert!(put["rule"]["file"].as_str().is_some_and(|file| file.ends_with("50-grant.toml")), "{put}");
    }
    assert_eq!(puts[0]["arguments"], puts[1]["arguments"], "the same call");
    assert_ne!(puts[0]["arguments"], puts[2]["arguments"], "another text");
    assert_eq!((&puts[3]["decision"], &puts[3]["rule"]["id"]), (&json!("no-grant"), &json!("steps/memory")));
    let sleeps = of(&first, "timers.sleep");
    assert_eq!(sleeps[0]["rule"], Value::Null, "whoever runs may wait");
    for call in puts.iter().chain(&sleeps) {
        assert_eq!(call["policy"], policy, "{call}");
    }
    stage.policy(&format!("# Reviewed again.\n{grant}"));
    end(&mut stage.run(&guest("steps"), &steps)).with(0);
    let later = of(&stage.calls(), "memory.put");
    assert_eq!(later[0]["rule"]["line"], 5);
    assert_ne!(later[0]["policy"], policy, "a policy of another text is another policy");
    assert_eq!(verify(&stage, 0)["broken"], Value::Null);
}
