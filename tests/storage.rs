//! What an agent keeps in files, from outside: it counts until it is gone, whoever it is that writes over it, and after a crash.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::package::Sections;
use crate::stage::{Stage, begin, end, guest};

/// A home in which these agents, each of which does the steps that it is given, may keep a MiB each in `reports`.
fn stage(agents: &[&str]) -> Stage {
    stage_within(agents, "")
}

/// The same, with more lines of `[budget]`.
fn stage_within(agents: &[&str], budget: &str) -> Stage {
    let stage = Stage::new();
    for agent in agents {
        let grant = format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nfiles = [{{ root = \"reports\", access = \"rw\" }}]\n\
             memory = {{ read = [\"agent/test/**\"], write = [\"agent/test/**\"] }}\n\
             [budget]\nstorage_mb = 1\nwall_run = \"60s\"\n{budget}"
        );
        stage.write(&format!("home/policies/50-{agent}.toml"), &grant);
        let component = fs::read(guest("steps")).expect("it is built");
        let sections = Sections::of(&component);
        let mut manifest: Value = serde_json::from_str(&sections.manifest()).expect("a manifest is JSON");
        manifest["name"] = json!(format!("test:{agent}"));
        let component = sections.bare().and(&manifest.to_string()).component();
        fs::write(stage.path(&format!("{agent}.wasm")), component).expect("a file");
    }
    stage.directory("reports");
    stage
}

fn run(stage: &Stage, agent: &str, steps: &Value) -> std::process::Command {
    let mut run = stage.run(&stage.path(&format!("{agent}.wasm")), steps);
    run.arg("--root").arg(format!("reports={}", stage.path("reports").display()));
    run
}

fn told(stage: &Stage, agent: &str, steps: &Value) -> Vec<String> {
    let output = end(&mut run(stage, agent, steps)).with(0).json()["output"].clone();
    stage.nothing_moved(&[]);
    stage.replays();
    output.as_array().expect("it tells").iter().map(|told| told.as_str().unwrap_or_default().to_owned()).collect()
}

/// What an agent, or the site, keeps; nothing may be held.
fn kept(stage: &Stage, agent: &str) -> u64 {
    let all = end(stage.agentry("budget").arg("--json")).with(0).json();
    let agents = all["agents"].as_array().expect("a list");
    let lines = match agent {
        "the site" => &all["site"],
        name => &agents.iter().find(|known| known["agent"] == name).expect("it has a grant")["lines"],
    };
    let storage = lines.as_array().expect("a list").iter().find(|line| line["what"] == "storage");
    storage.map_or(0, |line| {
        assert_eq!(line["reserved"], 0, "{line}");
        line["spent"].as_u64().expect("a number")
    })
}

/// What an agent had the host write today.
fn written(stage: &Stage, agent: &str) -> u64 {
    let all = end(stage.agentry("budget").arg("--json")).with(0).json();
    let agents = all["agents"].as_array().expect("a list").iter();
    let lines = agents.filter(|known| known["agent"] == agent).flat_map(|known| known["lines"].as_array()).flatten();
    let mut written = lines.filter(|line| line["what"] == "written" && line["window"] == "day");
    written.next().and_then(|line| line["spent"].as_u64()).unwrap_or(0)
}

/// What raises the limit by which a call was refused last.
fn raises(stage: &Stage) -> String {
    let refused = stage.calls().into_iter().rev().find_map(|call| call["refusal"]["hint"].as_str().map(str::to_owned));
    refused.unwrap_or_default()
}

#[test]
fn what_an_agent_has_written_is_a_budget_whatever_becomes_of_it() {
    let stage = stage_within(&["steps"], "written_run = \"1MiB\"\nwritten_day = \"3MiB\"\n");
    let over = json!(vec![["fill", "reports", "a", "100000"]; 7]);
    // A tenth of what it may keep, again and again; a file is written where it lies and beside the journal.
    for day in [1_000_000, 2_000_000, 3_000_000] {
        let told = told(&stage, "steps", &over);
        assert!(told[..5].iter().all(|told| told == "written"), "{told:?}");
        assert!(told[5..].iter().all(|told| told.starts_with("no: ")), "{told:?}");
        assert!(raises(&stage).contains("written_run"), "{}", raises(&stage));
        assert!((day..day + 10_000).contains(&written(&stage, "steps")), "{}", written(&stage, "steps"));
    }
    let told = told(&stage, "steps", &over);
    assert!(told.iter().all(|told| told.starts_with("no: ")), "{told:?}");
    assert!(raises(&stage).contains("written_day"), "{}", raises(&stage));
    assert!(kept(&stage, "steps") < 200_000, "it keeps one file");
}

#[test]
fn what_an_agent_reads_is_written_down_and_ends_with_the_same_budget() {
    let stage = stage_within(&["steps"], "written_run = \"512KiB\"\n");
    fs::write(stage.path("reports/long"), "x".repeat(200_000)).expect("a file");
    let told = told(&stage, "steps", &json!(vec![["read", "reports", "long"]; 5]));
    // How long an answer is, is known when it has come.
    assert!(told[..3].iter().all(|told| told.len() == 200_000), "the third goes beyond");
    assert!(told[3..].iter().all(|told| told.starts_with("no: ")), "{:?}", &told[3..]);
    assert!(raises(&stage).contains("written_run"), "{}", raises(&stage));
}

#[test]
fn what_an_agent_says_is_written_and_the_log_ends_with_one_refusal() {
    let stage = stage_within(&["steps"], "written_run = \"64KiB\"\nwritten_day = \"96KiB\"\n");
    let says = json!(vec![["log", "x".repeat(1000).as_str()]; 100]);
    for (kept, by, day) in
        [(63..66, "written_run", 64 << 10), (30..33, "written_day", 96 << 10), (0..1, "written_day", 96 << 10)]
    {
        let told = told(&stage, "steps", &says);
        assert!(told.iter().all(|told| told == "said"), "it sees nothing of it: {told:?}");
        let calls = stage.calls();
        let refused = calls.iter().filter(|call| call["refusal"] != Value::Null).count();
        assert_eq!(refused, 1, "the rest is not even asked for");
        assert!(kept.contains(&(calls.len() - 1)), "{} lines", calls.len() - 1);
        assert!(raises(&stage).contains(by), "{}", raises(&stage));
        // And what it gives at last.
        assert!((day - 1100..=day + 1000).contains(&written(&stage, "steps")), "{}", written(&stage, "steps"));
    }
}

#[test]
fn what_a_model_is_asked_is_written_and_ends_with_the_same_budget() {
    let stage = Stage::granting_within(&guest("ask"), "written_day = \"12KiB\"");
    let answers = "{\"script\": 1, \"repeat\": true}\n{\"chunks\": [\"yes\"]}\n";
    let ask = |letter: &str| end(&mut stage.run_on(answers, &guest("ask"), &json!({"prompt": letter.repeat(5000)})));
    ask("a").with(0);
    ask("b").with(0);
    let refused = ask("c").json();
    assert_eq!(refused["status"], "exhausted", "{refused}");
    assert!(raises(&stage).contains("written_day"), "{}", raises(&stage));
    stage.nothing_moved(&[]);
    stage.replays();
}

#[test]
fn what_an_agent_writes_to_files_is_its_storage_until_it_is_deleted() {
    let stage = stage(&["steps"]);
    let steps = json!([
        ["fill", "reports", "a", "900000"],
        ["fill", "reports", "new/b", "200000"],
        ["fill", "reports", "a", "1000000"],
        ["put", "agent/test/n", "k", "x".repeat(60_000)],
        ["fill", "reports", "a", "900000"],
        ["put", "agent/test/n", "k", "x".repeat(60_000)],
    ]);
    let told = told(&stage, "steps", &steps);
    assert!(told[1].contains("storage"), "files and memory are one budget: {told:?}");
    assert!(told[3].contains("storage"), "files and memory are one budget: {told:?}");
    for done in [0, 2, 4, 5] {
        assert!(!told[done].starts_with("no: "), "{done}: {told:?}");
    }
    assert!(!stage.path("reports/new").exists(), "something was written");
    let both = kept(&stage, "steps");
    assert!((960_001..970_000).contains(&both), "{both}");
    assert_eq!(kept(&stage, "the site"), both);
    let steps = json!([["delete", "reports", "a"], ["delete", "reports", "a"], ["fill", "reports", "new/b", "200000"]]);
    let told = self::told(&stage, "steps", &steps);
    assert!(told[1].starts_with("no: not found") && told[2] == "written", "{told:?}");
    assert_eq!(kept(&stage, "steps"), both - 900_001 + 200_005, "a file's name counts, too");
}

#[test]
fn whoever_writes_over_a_file_keeps_it_from_then_on() {
    let stage = stage(&["steps", "porter"]);
    assert_eq!(told(&stage, "steps", &json!([["fill", "reports", "a", "500000"]])), ["written"]);
    assert_eq!(told(&stage, "porter", &json!([["fill", "reports", "a", "1000"]])), ["written"]);
    assert_eq!((kept(&stage, "steps"), kept(&stage, "porter"), kept(&stage, "the site")), (0, 1001, 1001));
    // What somebody else took away is given back when its agent finds out.
    fs::remove_file(stage.path("reports/a")).expect("it is there");
    let told = told(&stage, "porter", &json!([["delete", "reports", "a"]]));
    assert!(told[0].starts_with("no: not found"), "{told:?}");
    assert_eq!((kept(&stage, "porter"), kept(&stage, "the site")), (0, 0));
}

#[test]
fn a_file_that_could_not_be_written_counts_for_nobody() {
    let stage = stage(&["steps"]);
    stage.directory("reports/taken");
    let told = told(&stage, "steps", &json!([["fill", "reports", "taken", "1000"], ["delete", "reports", ""]]));
    assert!(told.iter().all(|told| told.starts_with("no: ")), "{told:?}");
    stage.costs_nothing(&[]);
    assert_eq!(kept(&stage, "steps"), 0);
}

#[test]
fn what_a_host_wrote_that_was_killed_is_counted_by_the_next_one() {
    let stage = stage(&["steps"]);
    let steps = json!([["fill", "reports", "a", "700000"], ["fill", "reports", "b", "1"], ["sleep", "50000"]]);
    let running = begin(&mut run(&stage, "steps", &steps));
    let begun = Instant::now();
    let calls = || {
        let trace = end(stage.agentry("trace").args(["last", "--json"])).stdout;
        let trace: Value = serde_json::from_str(&trace).unwrap_or_default();
        trace["calls"].as_array().map_or(0, Vec::len)
    };
    while calls() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not write");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    let told = end(&mut run(&stage, "steps", &json!([["fill", "reports", "c", "400000"]]))).with(0).json();
    assert!(told["output"][0].as_str().is_some_and(|told| told.contains("storage")), "{told}");
    assert_eq!((kept(&stage, "steps"), kept(&stage, "the site")), (700_003, 700_003));
}
