//! Policies and locks that change while an agent runs: a right that is gone is gone at its next call, a bad file changes nothing but raises
//! an alarm, and a lock stops everything in a running host, in the next one, and in all after it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Ended, Running, Stage, begin, end, guest};

const ROUNDS: usize = 40;

const GRANT: &str = "format = 1\nlayer = \"grant\"\nagent = \"steps\"\n\
                     memory = { read = [\"agent/test/**\"], write = [\"agent/test/**\"] }\n\
                     [budget]\nwall_run = \"60s\"\ntool_calls_run = 100\n";

fn stage() -> Stage {
    let stage = Stage::new();
    stage.policy(GRANT);
    stage
}

/// An agent that writes, waits a little, and does so again.
fn writer(stage: &Stage) -> Running {
    let mut steps = Vec::new();
    for round in 0..ROUNDS {
        steps.push(json!(["put", "agent/test/log", "round", round.to_string()]));
        steps.push(json!(["sleep", "100"]));
    }
    let running = begin(&mut stage.run(&guest("steps"), &json!(steps)));
    let begun = Instant::now();
    let rounds = || {
        let trace = end(stage.agentry("trace").args(["last", "--json"]));
        let trace: Value = serde_json::from_str(&trace.stdout).unwrap_or_default();
        trace["calls"].as_array().map_or(0, Vec::len) / 2
    };
    while rounds() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
        std::thread::sleep(Duration::from_millis(50));
    }
    running
}

/// What each write gave: all good ones first, then all bad ones.
fn writes(ended: &Ended) -> (usize, Vec<String>) {
    let output = ended.json()["output"].clone();
    let told: Vec<&str> = output.as_array().expect("it told").iter().filter_map(Value::as_str).collect();
    let writes: Vec<&str> = told.into_iter().step_by(2).collect();
    let good = writes.iter().take_while(|told| !told.starts_with("no: ")).count();
    let bad = writes[good..].iter().map(|told| (*told).to_owned()).collect();
    (good, bad)
}

/// Nothing was spent on what was denied, and nothing of it is kept.
fn costs_nothing(stage: &Stage, good: usize) {
    let calls = stage.calls();
    let puts: Vec<_> = calls.iter().filter(|call| call["name"] == "memory.put").collect();
    assert_eq!(puts.iter().filter(|call| call["decision"] == "allowed").count(), good);
    stage.nothing_moved(&[]);
    // The versions of the entry count what was really written.
    let read = end(&mut stage.run(&guest("steps"), &json!([["put", "agent/test/log", "round", "after"]]))).with(0);
    assert_eq!(read.json()["output"][0], (good + 1).to_string());
}

#[test]
fn a_right_that_is_revoked_while_an_agent_runs_is_gone_at_its_next_call() {
    let stage = stage();
    let running = writer(&stage);
    stage.policy(&GRANT.replace("write = [\"agent/test/**\"]", "write = [\"agent/other/**\"]"));
    let ended = running.end().with(0);
    let (good, bad) = writes(&ended);
    assert!(good > 0 && !bad.is_empty(), "{good} good ones, then {bad:?}");
    assert!(bad.iter().all(|told| told.contains("no-grant")), "{bad:?}");
    assert!(ended.stderr.contains("another policy is in force"), "{}", ended.stderr);
    stage.policy(GRANT);
    costs_nothing(&stage, good);
}

#[test]
fn a_grant_whose_file_is_removed_is_withdrawn_at_the_next_call() {
    let stage = stage();
    let running = writer(&stage);
    fs::remove_file(stage.path("home/policies/50-grant.toml")).expect("it is ours");
    let ended = running.end().with(0);
    let (good, bad) = writes(&ended);
    assert!(good > 0 && !bad.is_empty(), "{good} good ones, then {bad:?}");
    assert!(ended.stderr.contains("was withdrawn while it ran"), "{}", ended.stderr);
    stage.policy(GRANT);
    costs_nothing(&stage, good);
}

#[test]
fn a_policy_that_cannot_be_used_any_more_keeps_the_last_good_one_and_raises_an_alarm() {
    for spoil in ["misspelt", "untrue", "writable", "unreadable", "gone"] {
        let stage = stage();
        let file = stage.path("home/policies/50-grant.toml");
        let running = writer(&stage);
        let alarm = match spoil {
            "misspelt" => {
                stage.policy(&GRANT.replace("memory", "memroy"));
                "50-grant.toml:4"
            }
            "untrue" => {
                // Well formed, and narrower: but what it says of itself does not hold.
                let narrow = GRANT.replace("write = [\"agent/test/**\"]", "write = []");
                let test = "[[test]]\nexpect = \"allow\"\ncall = { memory = \"agent/test/x\", act = \"write\" }\n";
                stage.policy(&format!("{narrow}{test}"));
                "this test expects \"allow\" and gets \"deny:no-grant\""
            }
            "writable" => {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("it is ours");
                "everybody may write"
            }
            "unreadable" => {
                // Also for root, who may read everything: a directory is no policy.
                fs::remove_file(&file).expect("it is ours");
                fs::create_dir(&file).expect("a directory");
                "not a plain file"
            }
            _ => {
                fs::rename(stage.path("home/policies"), stage.path("home/elsewhere")).expect("it is ours");
                "there is no policy directory"
            }
        };
        let checked = end(&mut stage.agentry("policy check"));
        assert_eq!(checked.code, 2, "{spoil}: {}{}", checked.stdout, checked.stderr);
        let ended = running.end().with(0);
        let (good, bad) = writes(&ended);
        assert_eq!((good, bad), (ROUNDS, Vec::new()), "{spoil}: {}", ended.stderr);
        assert!(ended.stderr.contains("the last good one stays in force"), "{spoil}: {}", ended.stderr);
        assert!(ended.stderr.contains(alarm), "{spoil}: {}", ended.stderr);
    }
}

#[test]
fn a_lock_stops_every_new_effect_in_a_running_host_and_in_the_next_until_it_is_taken_away() {
    let stage = stage();
    let running = writer(&stage);
    end(stage.agentry("policy lock").args(["--because", "the store leaks"])).with(0);
    let ended = running.end().with(0);
    let (good, bad) = writes(&ended);
    assert!(good > 0 && !bad.is_empty(), "{good} good ones, then {bad:?}");
    assert!(bad.iter().all(|told| told.contains("locked")), "{bad:?}");
    assert!(ended.stderr.contains("the store leaks"), "{}", ended.stderr);
    let refused = end(&mut stage.run(&guest("steps"), &json!([]))).with(3).json();
    assert_eq!(refused["refusals"][0]["code"], "locked");
    stage.nothing_moved(&[]);
    assert!(end(&mut stage.agentry("policy check")).with(0).stderr.contains("locked"));
    // Programs are told as people are; another policy than this home's is locked by nobody.
    for verb in ["policy check", "policy explain --agent steps memory=agent/test/log", "policy can steps"] {
        let told = end(stage.agentry(verb).arg("--json")).with(0).json();
        assert_eq!(told["locked"]["because"], "the store leaks", "{verb}: {told}");
    }
    let other = stage.home().join("policies");
    let told = end(stage.agentry("policy can").arg("steps").arg("--policies").arg(other).arg("--json")).with(0).json();
    assert_eq!(told["locked"], Value::Null);
    end(&mut stage.agentry("policy unlock")).with(0);
    let told = end(&mut stage.agentry("policy unlock")).with(0).stderr;
    assert!(told.contains("not locked"), "{told}");
    end(&mut stage.run(&guest("steps"), &json!([["get", "agent/test/log", "round"]]))).with(0);
    end(stage.agentry("audit verify").arg("--json")).with(0);
}

#[test]
fn a_lock_of_a_home_that_cannot_be_written_is_told() {
    let stage = Stage::new();
    let file = stage.write("file", "");
    let mut lock = crate::stage::agentry();
    end(lock.args(["policy", "lock", "--home"]).arg(&file)).with(2).complains("is no directory");
    let mut unlock = crate::stage::agentry();
    end(unlock.args(["policy", "unlock", "--home"]).arg(&file)).with(2).complains("is no directory");
    let long = "x".repeat(5000);
    end(stage.agentry("policy lock").args(["--because", &long])).with(2).complains("the reason");
    let run = end(&mut stage.agentry("policy check"));
    assert!(!run.stderr.contains("locked"), "{}", run.stderr);
}
