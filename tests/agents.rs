//! Agents that call agents: a child has a part of its caller's budget and at most its rights and its labels, and it ends with its caller.
//! What bends on itself or multiplies ends at limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, begin, end, guest};
use crate::web::{Site, say};

/// What `steps`, `worker` and `clerk` may do, and who calls whom.
const GRANTS: [(&str, &str); 3] = [
    (
        "steps",
        "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n\
         files = [{ root = \"documents\", at = \"/\", access = \"rw\" }]\n\
         agents = { call = [\"worker\", \"clerk\", \"steps\"], max_depth = 3 }\n",
    ),
    (
        "worker",
        "memory = { read = [\"team/**\", \"agent/test/**\"], write = [\"team/board\", \"agent/test/**\"] }\n\
         files = [{ root = \"documents\", at = \"/\", access = \"r\", labels = [\"untrusted\"] }]\n\
         agents = { call = [\"clerk\", \"steps\"], max_depth = 1 }\n",
    ),
    ("clerk", "memory = { read = [\"team/**\"], write = [\"team/**\"] }\nagents = { call = [\"steps\"] }\n"),
];

/// An agent that does what it is told, for others.
pub fn worker() -> PathBuf {
    guest("worker")
}

/// Another one.
pub fn clerk() -> PathBuf {
    guest("clerk")
}

/// An agent that calls itself as often as it can.
pub fn fork_bomb() -> PathBuf {
    guest("fork-bomb")
}

/// A home in which these agents are known and granted so much.
pub fn home(grants: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    let mut known = String::from("format = 1\n");
    for (agent, rights) in grants {
        stage.grant(agent, rights);
        known.push_str(&format!("[agents.{agent}]\ncomponent = \"{}\"\n", guest(agent).display()));
    }
    stage.write("home/agents.toml", &known);
    stage
}

fn run(stage: &Stage, steps: &Value) -> std::process::Command {
    let mut run = stage.run(&guest("steps"), steps);
    run.arg("--root").arg(format!("documents={}", stage.directory("documents").display()));
    run
}

fn told(stage: &Stage, steps: &Value) -> Vec<String> {
    let output = end(&mut run(stage, steps)).with(0).json()["output"].clone();
    serde_json::from_value(output).expect("a step tells something")
}

/// The runs of this home, oldest first.
fn runs(stage: &Stage) -> Vec<Value> {
    let mut runs = end(stage.agentry("ps").arg("--json")).json().as_array().expect("a list").clone();
    runs.reverse();
    runs
}

#[test]
fn an_agent_finds_others_by_what_they_provide_and_calls_one() {
    let stage = home(&GRANTS);
    let work = json!([["put", "team/board", "todo", "milk"], ["get", "team/board", "todo"]]).to_string();
    let told = told(&stage, &json!([["find", "steps"], ["find", "nothing"], ["agent", "worker", work]]));
    assert_eq!(told[..2], ["clerk, steps, worker", ""]);
    assert_eq!(told[2], r#"["1","\"milk\" []"]"#);
    let runs = runs(&stage);
    let agents: Vec<_> = runs.iter().map(|run| (&run["agent"], &run["status"])).collect();
    assert_eq!(agents, [(&json!("steps"), &json!("done")), (&json!("worker"), &json!("done"))]);
    assert_eq!(runs[1]["parent"], json!(format!("{}/3", runs[0]["run"].as_str().expect("an id"))));
    stage.replays();
}

#[test]
fn a_child_has_at_most_the_rights_of_the_one_that_called_it() {
    let stage = home(&GRANTS);
    let own = json!([["put", "agent/test/diary", "day", "fine"]]).to_string();
    let told = told(&stage, &json!([["agent", "worker", own]]));
    assert!(told[0].contains("denied (delegation, argument `namespace`)"), "{told:?}");
    let mut alone = stage.run(&worker(), &serde_json::from_str(&own).expect("JSON"));
    alone.arg("--root").arg(format!("documents={}", stage.directory("documents").display()));
    end(&mut alone).with(0);
    // Down a chain, each of those above counts.
    let deep = json!([["put", "team/other", "x", "y"]]).to_string();
    let deep = json!([["agent", "clerk", deep]]).to_string();
    let told = self::told(&stage, &json!([["agent", "worker", deep], ["put", "team/other", "x", "y"]]));
    assert!(told[0].contains("denied (delegation"), "{told:?}");
    assert_eq!(told[1], "1", "nothing was written before");
    stage.nothing_moved(&[]);
}

/// A home with a tool that reaches this site, which `worker` may call and `steps` if its grant says so.
fn noting(site: &Site, steps: &str) -> Stage {
    const MAY: &str = "allow = [{ id = \"note\", tool = \"test.note\", args = \"any\" }]\n";
    let steps = steps.replace("MAY", MAY);
    let stage = home(&[("steps", &steps), ("worker", MAY)]);
    let tools = "format = 1\n[tools.\"test.note\"]\ndescription = \"For a test.\"\neffect = \"idempotent\"\n\
                 schema = '{\"type\": \"object\"}'\n";
    stage.write("home/tools.toml", &format!("{tools}http = {{ url = \"{}\" }}\n", site.url("/note")));
    stage
}

fn site() -> Site {
    Site::that(|_, stream| say(stream, 200, &[("content-type", "text/plain")], "noted"))
}

#[test]
fn a_call_that_the_caller_of_a_child_may_not_make_is_refused_in_the_callers_name_and_reaches_nobody() {
    let site = site();
    let stage = noting(&site, "agents = { call = [\"worker\"] }\n");
    let note = json!([["call", "test.note", "{}"]]);
    let told = told(&stage, &json!([["agent", "worker", note.to_string()], ["call", "test.note", "{}"]]));
    assert!(told[0].contains("no: denied (delegation, argument `name`)"), "{told:?}");
    assert!(told[1].starts_with("no: denied (no-grant, argument `name`)"), "{told:?}");
    let child = runs(&stage)[1]["run"].as_str().expect("an id").to_owned();
    let trace = end(stage.agentry("trace").args([&child, "--json"])).with(0).json();
    let because = trace["calls"][0]["refusal"]["because"].as_str().unwrap_or_default();
    let lacks = "agent `worker` works for agent `steps` here: ";
    assert!(because.starts_with(lacks) && because.contains("agent `steps` may not call"), "{trace}");
    stage.costs_nothing(&[&site]);
    // It is the caller that lacks it.
    end(&mut stage.run(&worker(), &note)).with(0);
    stage.nothing_moved(&[(&site, 1)]);
}

#[test]
fn a_part_of_a_budget_that_is_larger_than_what_is_left_is_refused_and_a_child_has_no_more_than_its_part() {
    let site = site();
    let stage = noting(&site, "agents = { call = [\"worker\"] }\nMAY[budget]\ntool_calls_run = 2\n");
    let notes = json!([["call", "test.note", "{}"], ["call", "test.note", "{}"]]).to_string();
    let told = told(
        &stage,
        &json!([
            ["agent", "worker", notes, "tool-calls=3"],
            ["call", "test.note", "{}"],
            ["agent", "worker", notes, "tool-calls=2"],
            ["agent", "worker", notes, "tool-calls=1"],
            ["call", "test.note", "{}"]
        ]),
    );
    for told in [&told[0], &told[2]] {
        assert!(told.starts_with("no: the budget of tool calls does not hold"), "{told}");
    }
    let child: Vec<String> = serde_json::from_str(&told[3]).expect("it ran");
    assert!(child[0].contains("noted") && child[1].starts_with("no: the budget of tool calls"), "{child:?}");
    assert!(told[4].starts_with("no: the budget of tool calls"), "what the child used is gone: {told:?}");
    assert_eq!(runs(&stage).len(), 2, "nothing else has run");
    stage.nothing_moved(&[(&site, 2)]);
    stage.replays();
}

#[test]
fn an_agent_that_is_not_granted_or_not_there_is_not_called_and_costs_nothing() {
    let stage = home(&GRANTS);
    stage.grant("steps", "agents = { call = [\"worker\", \"ghost\"] }\n");
    let told = told(
        &stage,
        &json!([
            ["find", "steps"],
            ["agent", "clerk", "[]"],
            ["agent", "ghost", "[]"],
            ["agent", "worker", "[1"],
            ["agent", "worker", "[]", "fuel=99999999999999"],
            ["agent", "worker", "[]", "tokens=1", "tokens=2"]
        ]),
    );
    assert_eq!(told[0], "worker");
    assert!(told[1].starts_with("no: denied (no-grant, argument `agent`)"), "{told:?}");
    assert!(told[2].starts_with("no: not found"), "{told:?}");
    assert!(told[3].starts_with("no: invalid: the input is not JSON"), "{told:?}");
    assert!(told[4].starts_with("no: the budget of fuel does not hold"), "{told:?}");
    assert!(told[5].starts_with("no: invalid: the budget names"), "{told:?}");
    assert_eq!(runs(&stage).len(), 1, "nothing else has run");
    for call in stage.calls().iter().filter(|call| call["name"] == "agents.call") {
        let spent = call["spent"].as_object().expect("amounts by name");
        assert!(spent.keys().all(|what| what == "written"), "but for what it said, which is written down: {call}");
        let held = call["held"].as_object().expect("amounts by name");
        assert!(held.keys().all(|what| what == "written"), "{call}");
    }
    stage.costs_nothing(&[]);
    stage.replays();
}

#[test]
fn labels_go_down_with_a_call_and_come_back_with_its_answer() {
    let stage = home(&GRANTS);
    let documents = stage.directory("documents");
    fs::write(documents.join("mail.txt"), "buy now").expect("a file");
    let read = json!([["read", "documents", "mail.txt"]]).to_string();
    let look = json!([["put", "team/board", "seen", "yes"]]).to_string();
    end(&mut run(
        &stage,
        &json!([["put", "team/board", "before", "x"], ["agent", "worker", read], ["agent", "clerk", look]]),
    ))
    .with(0);
    let runs = runs(&stage);
    let labels: Vec<_> = runs.iter().map(|run| run["labels"].clone()).collect();
    assert_eq!(labels, [json!(["untrusted"]), json!(["untrusted"]), json!(["untrusted"])]);
    let entry = end(&mut stage.run(&clerk(), &json!([["get", "team/board", "seen"]]))).with(0).json();
    assert_eq!(entry["output"][0], r#""yes" ["untrusted"]"#);
}

#[test]
fn a_child_has_the_part_of_the_budget_that_it_was_given_and_no_more() {
    let stage = home(&GRANTS);
    let spin = guest("spin");
    stage.grant("spin", "");
    stage.write("home/agents.toml", &format!("format = 1\n[agents.spin]\ncomponent = \"{}\"\n", spin.display()));
    stage.grant("steps", "agents = { call = [\"spin\"] }\n[budget]\nfuel_run = 2_000_000_000\n");
    let told = told(&stage, &json!([["agent", "spin", "null", "fuel=1000000"], ["find", "steps"]]));
    assert!(told[0].contains("the run used up its fuel: 1000000 instructions"), "{told:?}");
    let spent = &runs(&stage)[0]["spent"]["fuel"];
    assert!(spent.as_u64().is_some_and(|fuel| fuel >= 1_000_000), "what the child took counts: {spent}");
}

#[test]
fn a_child_that_its_caller_drops_or_outlives_is_stopped() {
    let stage = home(&GRANTS);
    let sleep = json!([["sleep", "3600000"]]).to_string();
    let told = told(&stage, &json!([["drop-agent", "1500", "worker", sleep], ["sleep", "200"]]));
    assert_eq!(told, ["dropped", "slept"]);
    assert_eq!(runs(&stage)[1]["status"], "stopped");
    // The caller is stopped from outside.
    let running = begin(&mut run(&stage, &json!([["agent", "worker", sleep]])));
    wait_for(&stage, 4);
    running.interrupt();
    let ended = running.end();
    assert!(ended.took < Duration::from_secs(60) && ended.code != 0);
    assert!(runs(&stage)[2..].iter().all(|run| run["status"] == "stopped"), "{:?}", runs(&stage));
}

#[test]
fn calls_in_a_circle_end_where_the_first_one_said() {
    let stage = home(&GRANTS);
    let mut steps = json!([]);
    for agent in ["steps", "clerk", "steps", "clerk"] {
        steps = json!([["agent", agent, steps.to_string()]]);
    }
    let told = told(&stage, &steps);
    assert!(told[0].contains("denied"), "{told:?}");
    assert!(runs(&stage).len() <= 4, "{:?}", runs(&stage));
}

#[test]
fn a_fork_bomb_ends_at_limits_and_its_tree_within_the_budget_of_the_first() {
    let stage = Stage::new();
    let bomb = fork_bomb();
    stage.write("home/agents.toml", &format!("format = 1\n[agents.fork-bomb]\ncomponent = \"{}\"\n", bomb.display()));
    stage.grant(
        "fork-bomb",
        "agents = { call = [\"fork-bomb\"], max_depth = 8 }\n[budget]\nfuel_run = 3_000_000_000\nwall_run = \"60s\"\n",
    );
    let ended = end(&mut stage.run(&bomb, &json!(6)));
    let runs = end(stage.agentry("ps").args(["--json", "--limit", "10000"])).json();
    let runs = runs.as_array().expect("a list").clone();
    assert!(runs.iter().all(|run| run["status"] != "running"), "{}", ended.stderr);
    assert!(runs.len() > 10, "{}", ended.stdout);
    let first = runs.last().expect("it ran");
    let fuel = first["spent"]["fuel"].as_u64().expect("it burnt some");
    assert!(fuel <= 3_000_000_000, "{fuel}");
}

#[test]
fn people_are_asked_for_all_of_those_for_whom_a_child_works() {
    let stage = home(&GRANTS);
    stage.write(
        "home/tools.toml",
        "format = 1\n[tools.\"test.one\"]\ndescription = \"One.\"\neffect = \"read\"\n\
         schema = '{\"type\": \"object\"}'\ncommand = { program = \"/bin/echo\", args = [\"done\"] }\n",
    );
    stage.grant(
        "steps",
        "agents = { call = [\"worker\"] }\n\
         allow = [{ id = \"steps/one\", tool = \"test.one\", args = \"any\", approval = { from = \"anyone\" } }]\n",
    );
    stage.grant("worker", "allow = [{ id = \"worker/one\", tool = \"test.one\", args = \"any\" }]\n");
    let work = json!([["call", "test.one", "{}"]]).to_string();
    let running = begin(run(&stage, &json!([["agent", "worker", work]])).arg("--wait"));
    let question = crate::approvals::open(&stage, 1).remove(0);
    assert_eq!((&question["agent"], &question["title"]), (&json!("worker"), &json!("tools.call test.one, for steps")));
    assert_eq!(question["rule"]["id"], "steps/one", "its caller's rule asks");
    crate::approvals::approve(&stage, &crate::approvals::id(&question), &[]).with(0);
    let output = running.end().with(0).json()["output"].clone();
    assert!(output[0].as_str().is_some_and(|told| told.contains("done")), "{output}");
}

#[test]
fn a_call_goes_on_with_the_run_that_it_began_after_the_host_was_killed() {
    let stage = home(&GRANTS);
    let work = json!([["put", "team/board", "n", "1"], ["sleep", "4000"], ["put", "team/board", "n", "2"]]).to_string();
    let running = begin(&mut run(&stage, &json!([["put", "team/board", "m", "1"], ["agent", "worker", work]])));
    wait_for(&stage, 2);
    std::thread::sleep(Duration::from_millis(1500));
    running.kill();
    let before = runs(&stage);
    let ids: Vec<_> = before.iter().map(|run| run["run"].as_str().expect("an id").to_owned()).collect();
    let resume = |run: &str| {
        let mut resume = stage.agentry("resume");
        resume.args([run, "--json", "--root"]).arg(format!("documents={}", stage.directory("documents").display()));
        resume
    };
    end(&mut resume(&ids[1])).with(2).complains("works for run");
    let report = end(&mut resume(&ids[0])).with(0).json();
    assert_eq!(report["output"], json!(["1", r#"["1","slept","2"]"#]), "each entry was written once");
    let after = runs(&stage);
    assert_eq!(after.len(), 2, "no other run was begun: {after:?}");
    assert!(after.iter().all(|run| run["status"] == "done"), "{after:?}");
    stage.replays();
}

#[test]
fn agents_are_listed_with_what_is_wrong_with_them() {
    let stage = home(&GRANTS);
    let known = fs::read_to_string(stage.home().join("agents.toml")).expect("it is there");
    let spin = guest("spin");
    stage.write(
        "home/agents.toml",
        &format!("{known}[agents.ghost]\n[agents.other]\ncomponent = \"{}\"\n", spin.display()),
    );
    let listed = end(stage.agentry("agents").arg("--json")).with(0).json();
    let told: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|agent| (agent["name"].as_str().unwrap_or_default(), agent["granted"] == true, agent["trouble"].is_null()))
        .collect();
    let expected = [
        ("clerk", true, true),
        ("ghost", false, false),
        ("other", false, false),
        ("steps", true, true),
        ("worker", true, true),
    ];
    assert_eq!(told, expected);
    let page = end(&mut stage.agentry("agents")).with(0).stdout;
    assert!(page.contains("test:worker@0.1.0") && page.contains("its package is of agent `spin`"), "{page}");
}

#[test]
fn a_list_of_agents_with_a_mistake_stops_the_host() {
    let stage = home(&GRANTS);
    stage.write("home/agents.toml", "format = 1\n[agents.worker]\ncomponnt = \"x.wasm\"\n");
    end(&mut run(&stage, &json!([]))).with(2).complains("agents.toml:3:1: unknown key `componnt`");
    end(stage.agentry("agents").arg("--json")).with(2).complains("agents.toml:3:1: unknown key `componnt`");
}

/// Waits until so many runs have begun.
fn wait_for(stage: &Stage, count: usize) {
    let begun = std::time::Instant::now();
    while !Path::new(&stage.home().join("store.redb")).exists() || runs(stage).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not begin");
        std::thread::sleep(Duration::from_millis(100));
    }
}
