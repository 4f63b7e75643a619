//! Letters between agents: taken once, in order, with the labels and the name of whoever wrote them; and nothing is delivered that both
//! sides are not granted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agents::home;
use crate::serve::serve;
use crate::stage::{Stage, begin, end, guest};

const GRANTS: [(&str, &str); 3] = [
    (
        "steps",
        "files = [{ root = \"documents\", at = \"/\", access = \"r\", labels = [\"untrusted\"] }]\n\
         agents = { send = [\"clerk\", \"worker\", \"ghost\"], receive = [\"clerk\"] }\n",
    ),
    ("clerk", "agents = { send = [\"worker\"], receive = [\"steps\"] }\n"),
    ("worker", "memory = { read = [\"team/**\"], write = [\"team/**\"] }\nagents = { call = [\"clerk\"] }\n"),
];

/// An agent that writes more letters than anybody reads.
pub fn flood_mail() -> PathBuf {
    guest("flood-mail")
}

fn order(stage: &Stage, agent: &str, steps: &Value) -> Command {
    let mut run = stage.run(&guest(agent), steps);
    run.arg("--root").arg(format!("documents={}", stage.directory("documents").display()));
    run
}

fn told(stage: &Stage, agent: &str, steps: &Value) -> Vec<String> {
    let output = end(&mut order(stage, agent, steps)).with(0).json()["output"].clone();
    serde_json::from_value(output).expect("a step tells something")
}

fn waiting(stage: &Stage, arguments: &[&str]) -> Vec<Value> {
    end(stage.agentry("mail").args(arguments).arg("--json")).with(0).json().as_array().expect("a list").clone()
}

/// What was told, without the ids of letters, which say nothing.
fn said(told: &[String]) -> Vec<&str> {
    let without = |told: &'_ String| told.starts_with("clerk/").then(|| told.find(' ').map(|end| end + 1)).flatten();
    told.iter().map(|told| &told[without(told).unwrap_or_default()..]).collect()
}

/// The same of a report's output.
fn output(report: &Value) -> Vec<String> {
    let told: Vec<String> = serde_json::from_value(report["output"].clone()).unwrap_or_else(|_| panic!("{report}"));
    said(&told).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_letter_is_sent_taken_once_and_answered() {
    let stage = home(&GRANTS);
    let sent =
        told(&stage, "steps", &json!([["send", "clerk", "lunch", "{\"at\":12}"], ["send", "clerk", "tea", "4"]]));
    let letters = waiting(&stage, &["clerk"]);
    let ids: Vec<_> = letters.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(sent, ids);
    assert!(
        ids.iter().all(|id| id.strip_prefix("clerk/").is_some_and(|id| id.len() == 13)),
        "it does not count: {ids:?}"
    );
    let subjects: Vec<_> = letters.iter().map(|letter| (&letter["sender"], &letter["subject"])).collect();
    assert_eq!(subjects, [(&json!("steps"), &json!("lunch")), (&json!("steps"), &json!("tea"))]);
    let taken = told(
        &stage,
        "clerk",
        &json!([["receive", "0"], ["reply", ids[0], "\"yes\""], ["receive", "0"], ["receive", "10"]]),
    );
    assert_eq!(taken[0], format!("{} steps \"lunch\" {{\"at\":12}} []", ids[0]));
    assert_eq!(taken[1..], ["answered", &*format!("{} steps \"tea\" 4 []", ids[1]), "none"]);
    assert!(waiting(&stage, &["clerk"]).is_empty());
    let answer = told(&stage, "steps", &json!([["receive"]]));
    assert!(answer[0].starts_with("steps/") && answer[0].ends_with(" clerk \"Re: lunch\" \"yes\" []"), "{answer:?}");
    stage.replays();
}

#[test]
fn a_letter_that_either_side_is_not_granted_is_refused_at_once_and_nothing_is_delivered() {
    let stage = home(&GRANTS);
    let told = told(
        &stage,
        "steps",
        &json!([
            ["send", "worker", "hello", "1"],
            ["send", "ghost", "hello", "1"],
            ["send", "steps", "hello", "1"],
            ["send", "clerk", "hello", "{"],
            ["send", "clerk", "x".repeat(300), "1"],
            ["reply", "steps/0", "1"],
            ["reply", "clerk/0", "1"]
        ]),
    );
    assert!(told[0].starts_with("no: denied (no-grant, argument `sender`)"), "{told:?}");
    assert!(told[1].starts_with("no: not found"), "{told:?}");
    assert!(told[2].starts_with("no: denied (no-grant, argument `agent`)"), "{told:?}");
    assert!(told[3].starts_with("no: invalid: the letter is not JSON"), "{told:?}");
    assert!(told[4].starts_with("no: invalid: the subject is over 256 bytes"), "{told:?}");
    assert!(told[5..].iter().all(|told| told.starts_with("no: not found")), "{told:?}");
    assert!(waiting(&stage, &[]).is_empty(), "nothing was delivered");
    for call in
        stage.calls().iter().filter(|call| call["name"].as_str().is_some_and(|name| name.starts_with("agents.")))
    {
        assert_eq!((&call["spent"], &call["held"]), (&json!({}), &json!({})), "{call}");
    }
    let none = self::told(&stage, "worker", &json!([["receive", "0"]]));
    assert!(none[0].starts_with("no: denied (no-grant"), "{none:?}");
    stage.replays();
}

#[test]
fn a_letter_that_is_too_long_is_refused_before_it_is_stored() {
    let stage = home(&GRANTS);
    let long = json!([["send", "clerk", "long", format!("\"{}\"", "x".repeat(300_000))]]);
    let input = stage.write("steps.json", &long.to_string());
    let mut run = stage.agentry("run");
    run.arg(guest("steps")).args(["--json", "--input"]).arg(format!("@{}", input.display()));
    run.arg("--root").arg(format!("documents={}", stage.directory("documents").display()));
    let told = end(&mut run).with(0).json()["output"].clone();
    assert!(told[0].as_str().is_some_and(|told| told.contains("the letter is over 262144 bytes")), "{told}");
    assert!(waiting(&stage, &[]).is_empty() && stage.calls().is_empty(), "nothing of it was kept");
}

#[test]
fn labels_travel_with_a_letter() {
    let stage = home(&GRANTS);
    fs::write(stage.directory("documents").join("mail.txt"), "buy now").expect("a file");
    told(&stage, "steps", &json!([["send", "clerk", "before", "1"], ["read", "documents", "mail.txt"]]));
    told(&stage, "steps", &json!([["read", "documents", "mail.txt"], ["send", "clerk", "after", "2"]]));
    assert_eq!(waiting(&stage, &["clerk"])[1]["labels"], json!(["untrusted"]));
    let taken = told(&stage, "clerk", &json!([["receive", "0"]]));
    assert_eq!(said(&taken), ["steps \"before\" 1 []"]);
    assert_eq!(stage.last()["labels"], json!([]));
    let taken = told(&stage, "clerk", &json!([["receive", "0"]]));
    assert_eq!(said(&taken), ["steps \"after\" 2 [untrusted]"]);
    assert_eq!(stage.last()["labels"], json!(["untrusted"]));
}

#[test]
fn a_letter_that_its_guest_did_not_wait_for_stays() {
    let stage = home(&GRANTS);
    let told = told(&stage, "clerk", &json!([["drop-receive", "100"]]));
    assert_eq!(told, ["dropped"]);
    self::told(&stage, "steps", &json!([["send", "clerk", "lunch", "1"]]));
    assert_eq!(waiting(&stage, &["clerk"]).len(), 1);
    assert_eq!(said(&self::told(&stage, "clerk", &json!([["receive", "0"]]))), ["steps \"lunch\" 1 []"]);
}

#[test]
fn a_child_has_no_right_to_the_mailbox_of_the_agent_that_it_is() {
    let stage = home(&GRANTS);
    told(&stage, "steps", &json!([["send", "clerk", "secret", "1"]]));
    stage.grant("worker", "agents = { call = [\"clerk\"], send = [\"steps\"], receive = [\"steps\"] }\n");
    let steal = json!([["receive", "0"]]).to_string();
    let told = told(&stage, "worker", &json!([["agent", "clerk", steal]]));
    assert!(told[0].contains("denied (delegation"), "{told:?}");
    assert_eq!(waiting(&stage, &["clerk"]).len(), 1, "it is still there");
}

#[test]
fn a_host_that_is_killed_while_an_agent_waits_loses_no_letter() {
    let stage = home(&GRANTS);
    told(&stage, "steps", &json!([["send", "clerk", "one", "1"], ["send", "clerk", "two", "2"]]));
    let running = begin(&mut order(&stage, "clerk", &json!([["sleep", "600000"], ["receive"]])));
    std::thread::sleep(Duration::from_secs(2));
    running.kill();
    assert_eq!(waiting(&stage, &["clerk"]).len(), 2);
    let taken = told(&stage, "clerk", &json!([["receive", "0"], ["receive", "0"]]));
    assert_eq!(said(&taken), ["steps \"one\" 1 []", "steps \"two\" 2 []"]);
}

#[test]
fn an_agent_that_waits_gets_its_letter_when_it_comes_and_after_its_host_was_killed() {
    let stage = home(&GRANTS);
    let server = serve(
        stage.agentry("serve").arg("--root").arg(format!("documents={}", stage.directory("documents").display())),
    );
    let waits = begin(&mut order_served(&stage, "clerk", &json!([["receive"]])));
    std::thread::sleep(Duration::from_secs(1));
    end(&mut order_served(&stage, "steps", &json!([["send", "clerk", "now", "1"]]))).with(0);
    assert_eq!(output(&waits.end().with(0).json()), ["steps \"now\" 1 []"]);
    server.stop();
    let running = begin(&mut order(&stage, "clerk", &json!([["receive"]])));
    std::thread::sleep(Duration::from_secs(2));
    running.kill();
    let lost = stage.last()["run"].as_str().expect("an id").to_owned();
    told(&stage, "steps", &json!([["send", "clerk", "later", "2"]]));
    let report = end(stage.agentry("resume").args([&lost, "--json"])).with(0).json();
    assert_eq!(output(&report), ["steps \"later\" 2 []"]);
    assert!(waiting(&stage, &[]).is_empty());
    stage.replays();
}

#[test]
fn a_letter_is_answered_after_the_host_of_its_reader_was_killed() {
    let stage = home(&GRANTS);
    told(&stage, "steps", &json!([["send", "clerk", "lunch", "1"]]));
    let running =
        begin(&mut order(&stage, "clerk", &json!([["receive"], ["sleep", "1500"], ["reply", "clerk/0", "\"yes\""]])));
    while stage.last()["agent"] != "clerk" || stage.calls().last().is_none_or(|call| call["name"] != "timers.sleep") {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    let report = end(stage.agentry("resume").args(["last", "--json"])).with(0).json();
    assert_eq!(output(&report), ["steps \"lunch\" 1 []", "slept", "answered"]);
    let answer = told(&stage, "steps", &json!([["receive"]]));
    assert!(answer[0].ends_with(" clerk \"Re: lunch\" \"yes\" []"), "{answer:?}");
    stage.replays();
}

#[test]
fn a_letter_that_a_run_has_taken_and_not_seen_leaves_memory_with_it() {
    let stage = home(&GRANTS);
    let root = format!("documents={}", stage.directory("documents").display());
    let serves = || serve(stage.agentry("serve").args(["--drain", "1ms", "--root"]).arg(&root));
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let server = serves();
    let steps = json!([["receive"], ["receive", "0"]]).to_string();
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("clerk")).args(["--input", &steps])).with(0);
    let clerk = begun.stdout.trim();
    until(&|| stage.last()["live"]["waits_for"] == "letter");
    end(stage.agentry("pause").arg(clerk)).with(0);
    end(&mut order_served(&stage, "steps", &json!([["send", "clerk", "now", "1"]]))).with(0);
    until(&|| waiting(&stage, &[]).is_empty());
    server.stop();
    assert!(waiting(&stage, &[]).is_empty(), "it stands in the journal of the run");
    let server = serves();
    let report = end(stage.agentry("wait").args([clerk, "--json"])).with(0).json();
    assert_eq!(output(&report), ["steps \"now\" 1 []", "none"]);
    server.stop();
    stage.replays();
}

/// The same on a host that serves.
fn order_served(stage: &Stage, agent: &str, steps: &Value) -> Command {
    stage.run(&guest(agent), steps)
}

#[test]
fn a_person_lists_letters_and_throws_one_away() {
    let stage = home(&GRANTS);
    told(&stage, "steps", &json!([["send", "clerk", "one", "1"], ["send", "clerk", "two", "2"]]));
    let ids = || waiting(&stage, &[]).iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect();
    let all: Vec<String> = ids();
    let page = end(&mut stage.agentry("mail")).with(0).stdout;
    assert!(page.contains(&all[0]) && page.contains("two") && page.contains("steps"), "{page}");
    end(stage.agentry("mail drop").arg(&all[0])).with(0);
    end(stage.agentry("mail drop").arg(&all[0])).with(2).complains(&format!("no letter {}", all[0]));
    let left: Vec<String> = ids();
    assert_eq!(left, all[1..]);
    assert!(waiting(&stage, &["--dead"]).is_empty());
    assert_eq!(told(&stage, "clerk", &json!([["receive", "0"], ["receive", "0"]]))[1], "none");
}

#[test]
fn a_mailbox_that_is_flooded_is_full_and_nobody_else_is_harmed() {
    let stage = home(&GRANTS);
    stage.grant("flood-mail", "agents = { send = [\"clerk\"] }\n");
    stage.grant("clerk", "agents = { receive = [\"steps\", \"flood-mail\"] }\n");
    let flood = end(&mut stage.run(&flood_mail(), &json!(10))).with(0).json();
    assert_eq!(flood["output"][0], 1000, "{flood}");
    assert!(flood["output"][1].as_str().is_some_and(|told| told.contains("is full")), "{flood}");
    assert_eq!(waiting(&stage, &["clerk"]).len(), 1000);
    // Whoever has filled it has filled it for itself alone, and learns nothing of the others.
    let others = told(&stage, "steps", &json!([["send", "clerk", "after", "1"], ["send", "clerk", "after", "2"]]));
    assert!(others.iter().all(|told| told.starts_with("clerk/")), "{others:?}");
    // What a person throws away makes room.
    for id in waiting(&stage, &["clerk"]).iter().take(1).map(|letter| letter["id"].clone()) {
        end(stage.agentry("mail drop").arg(id.as_str().expect("an id"))).with(0);
    }
    let flood = end(&mut stage.run(&flood_mail(), &json!(10))).with(0).json();
    assert_eq!(flood["output"][0], 1, "{flood}");
    stage.replays();
}
