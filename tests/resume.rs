//! Runs whose host was killed: they go on from where they were, nothing happens twice, and what nobody knows is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::approvals::{approve, id, open};
use crate::stage::{Running, Stage, begin, end, guest};

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "steps"
memory = { read = ["team/**"], write = ["team/**"] }
files = [{ root = "documents", at = "/", access = "rw" }]
[[allow]]
id = "steps/test"
tool = "test.*"
args = "any"
"#;

/// A home with two slow tools that leave a line each time they are called.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.policy(GRANT);
    let effects = stage.path("effects").display().to_string();
    let tool = |name: &str, effect: &str| {
        format!(
            "[tools.\"test.{name}\"]\ndescription = \"For a test.\"\neffect = \"{effect}\"\nschema = '{{\"type\": \"object\"}}'\n\
             command = {{ program = \"/bin/sh\", args = [\"-c\", \"echo {name} >> {effects}; sleep 1; echo did\"] }}\n"
        )
    };
    let tools = format!("format = 1\n{}{}", tool("sell", "irreversible"), tool("look", "read"));
    let file = stage.write("home/tools.toml", &tools);
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    stage
}

fn effects(stage: &Stage) -> Vec<String> {
    let lines = fs::read_to_string(stage.path("effects")).unwrap_or_default();
    lines.lines().map(str::to_owned).collect()
}

fn steps(stage: &Stage, steps: &Value) -> Running {
    let root = format!("documents={}", stage.directory("documents").display());
    begin(stage.run(&guest("steps"), steps).arg("--root").arg(root))
}

fn resume(stage: &Stage, more: &[&str]) -> std::process::Command {
    let mut resume = stage.agentry("resume");
    resume.arg("--root").arg(format!("documents={}", stage.directory("documents").display())).args(more);
    resume
}

fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Until the last run waits in this call. The host is asked, so that it has written down what came before.
fn until_it_asks(stage: &Stage, name: &str) {
    until(|| {
        stage.last()["status"] == "running"
            && stage.calls().last().is_some_and(|call| call["name"] == name && call["decision"] == "open")
    });
}

#[test]
fn a_killed_run_goes_on_from_where_it_was_and_does_nothing_twice() {
    let stage = stage();
    let order = json!([
        ["put", "team/board", "todo", "buy milk"],
        ["call", "test.sell", "{}"],
        ["sleep", "1500"],
        ["call", "test.look", "{}"],
        ["get", "team/board", "todo"]
    ]);
    let running = steps(&stage, &order);
    until_it_asks(&stage, "timers.sleep");
    running.kill();
    let killed = stage.last();
    assert_eq!((&killed["status"], effects(&stage)), (&json!("suspended"), vec!["sell".to_owned()]));
    let report = end(resume(&stage, &["last"]).arg("--json")).with(0).json();
    assert_eq!(effects(&stage), ["sell", "look"], "an effect happened twice or not at all");
    let said = report["output"].as_array().expect("a list").iter().map(|said| said.as_str().expect("text"));
    let said: Vec<&str> = said.collect();
    assert!(said[0] == "1" && said[2] == "slept" && said[4].contains("buy milk"), "{said:?}");
    let ended = stage.last();
    assert_eq!((&ended["run"], &ended["status"]), (&killed["run"], &json!("done")));
    stage.replays();
    let books = end(stage.agentry("budget").arg("--json")).json().to_string();
    assert!(!books.contains("\"reserved\":1"), "something is held for a run that is over: {books}");
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_lost_call_is_made_again_only_if_it_may_be() {
    let stage = stage();
    let running = steps(&stage, &json!([["call", "test.look", "{}"], ["put", "team/board", "a", "b"]]));
    until(|| effects(&stage).len() == 1);
    running.kill();
    end(&mut resume(&stage, &["last", "--json"])).with(0);
    assert_eq!(effects(&stage), ["look", "look"], "what only reads is asked again");
    stage.replays();

    let running = steps(&stage, &json!([["call", "test.sell", "{}"], ["put", "team/board", "a", "c"]]));
    until(|| effects(&stage).len() == 3);
    running.kill();
    let report = end(&mut resume(&stage, &["last", "--json"])).with(0).json();
    assert_eq!(effects(&stage), ["look", "look", "sell"], "what cannot be undone is not done twice");
    assert!(report["output"][0].as_str().is_some_and(|said| said.contains("interrupted")), "{report}");
    assert_eq!(report["output"][1], "2", "the run goes on");
    stage.replays();
}

#[test]
fn a_person_says_what_became_of_a_call_that_nobody_knows_of() {
    let stage = stage();
    let running = steps(&stage, &json!([["call", "test.sell", "{}"]]));
    until(|| effects(&stage).len() == 1);
    running.kill();
    end(&mut resume(&stage, &["last", "--json"])).with(0);
    let paid = stage.budget();
    end(&mut stage.agentry("resolve last/2 --did-not")).with(2).complains("has no call");
    end(&mut stage.agentry("resolve last/99 --did-not")).with(2).complains("has no call 99");
    end(&mut stage.agentry("resolve last --did-not")).with(2).complains("RUN/CALL");
    end(&mut stage.agentry("resolve nobody/1 --happened")).with(2).complains("there is no run");
    assert_eq!(stage.budget(), paid);
    let resolved = end(stage.agentry("resolve last/1 --did-not --json").args(["--because", "no such order"])).with(0);
    assert_eq!(resolved.json()["returned"], json!({"tool calls": 1}));
    assert_ne!(stage.budget(), paid, "the accounts have it back");
    end(&mut stage.agentry("resolve last/1 --happened")).with(2).complains("has said before");
    stage.replays();
}

#[test]
fn whoever_goes_on_with_all_runs_is_told_what_people_are_asked() {
    let stage = stage();
    let rule = "format = 1\nlayer = \"site\"\n[[require]]\nid = \"site/sell\"\ntool = \"test.sell\"\n\
                approval = { from = \"anyone\", factor = \"confirm\" }\nwhy = \"A person reads each order first.\"\n";
    let site = stage.write("home/policies/00-site.toml", rule);
    fs::set_permissions(site, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let root = format!("documents={}", stage.directory("documents").display());
    let mut run = stage.run(&guest("steps"), &json!([["ask", "test.sell", "{}"]]));
    let running = begin(run.args(["--wait", "--root", &root]));
    open(&stage, 1);
    running.kill();
    let going = begin(&mut resume(&stage, &[]));
    let question = id(&open(&stage, 1)[0]);
    // It looks each second for what is asked.
    std::thread::sleep(Duration::from_secs(2));
    approve(&stage, &question, &[]).with(0);
    let ended = going.end().with(0);
    assert!(ended.stderr.contains("Ctrl-C stops them for good"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("approval {question}")), "it asked nobody: {}", ended.stderr);
    stage.replays();
}

#[test]
fn what_is_not_suspended_is_not_resumed() {
    let stage = stage();
    end(&mut resume(&stage, &["last"])).with(2).complains("nothing has run");
    end(&mut resume(&stage, &["--json"])).with(0);
    steps(&stage, &json!([["put", "team/board", "a", "b"]])).end().with(0);
    end(&mut resume(&stage, &["last"])).with(2).complains("is not suspended");
    let running = steps(&stage, &json!([["sleep", "3600000"]]));
    until_it_asks(&stage, "timers.sleep");
    running.kill();
    let other = guest("echo").display().to_string();
    end(&mut resume(&stage, &["last", "--component", &other])).with(2).complains("and this one is");
    let policies = stage.directory("others");
    fs::write(policies.join("50.toml"), GRANT.replace("steps", "somebody")).expect("it is ours");
    let refused = end(resume(&stage, &["last"]).arg("--policies").arg(&policies)).with(3);
    assert!(refused.stderr.contains("stays suspended"), "{}", refused.stderr);
    assert_eq!(stage.last()["status"], "suspended");
}

#[test]
fn all_that_are_suspended_go_on_at_once() {
    let stage = stage();
    for text in ["one", "two"] {
        let running = steps(&stage, &json!([["sleep", "1500"], ["put", "team/board", text, text]]));
        until_it_asks(&stage, "timers.sleep");
        running.kill();
    }
    let ended = end(resume(&stage, &["--json"]).arg("--wait")).with(0).json();
    assert_eq!(ended.as_array().map(Vec::len), Some(2), "{ended}");
    stage.replays();
}

#[test]
fn a_run_that_went_on_is_stopped_by_ctrl_c_as_any_other() {
    let stage = stage();
    let running = steps(&stage, &json!([["put", "team/board", "a", "b"], ["sleep", "3600000"]]));
    until_it_asks(&stage, "timers.sleep");
    running.kill();
    let model = stage.write("none.jsonl", "{\"script\": 1, \"repeat\": true}\n{\"text\": \"x\"}\n");
    let model = format!("scripted:{}", model.display());
    let slept = begin(resume(&stage, &["last", "--model", &model]).arg("--json"));
    until_it_asks(&stage, "timers.sleep");
    slept.interrupt();
    assert_eq!(slept.end().with(1).json()["status"], "stopped");
}
