//! Homes that earlier versions left behind: what lived, waited, rested or had ended in them goes on in this version, and ends as it would have.
//!
//! `AGENTRY_GOLDEN_HOME=FILE` has the test below make one with the version at hand instead: its archive belongs into `tests/golden`, and stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::approvals::{approvals, approve, id, open};
use crate::serve::{Server, serve};
use crate::stage::{Stage, end, guest, repository};

/// One of each released version. They are never made again.
const HOMES: [&str; 2] = ["home-1.tar.gz", "home-2.tar.gz"];

/// A run that rests, its letters and its questions end with this at the latest: the longest that there is.
const WALL: &str = "[budget]\nwall_run = \"366d\"\ntool_calls_run = 10\n";

/// What expires does so after 30 days at the latest; from then on only that its run ends is certain.
const FRESH_S: u64 = 29 * 24 * 3600;

const AGENTS: [(&str, &str); 5] = [
    (
        "steps",
        "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n\
         agents = { call = [\"person\"], send = [\"clerk\", \"laborer\"], receive = [\"clerk\"] }\n\
         human = { ask = true }\n[[allow]]\nid = \"steps/test\"\ntool = \"test.*\"\nargs = \"any\"\n",
    ),
    ("clerk", "memory = { write = [\"team/**\"] }\nagents = { send = [\"steps\"], receive = [\"steps\"] }\n"),
    ("laborer", "agents = { receive = [\"steps\"] }\n"),
    ("person", "human = { ask = true, notify = true }\n"),
    ("echo", ""),
];

const SITE: &str = "format = 1\nlayer = \"site\"\n[[require]]\nid = \"site/sell\"\ntool = \"test.sell\"\n\
     approval = { from = \"anyone\", factor = \"confirm\", ttl = \"30d\" }\nwhy = \"A person reads each order first.\"\n";

const TOOLS: &str = "format = 1\n[tools.\"test.sell\"]\ndescription = \"For a test.\"\neffect = \"irreversible\"\n\
     schema = '{\"type\": \"object\"}'\ncommand = { program = \"/bin/echo\", args = [\"sold\"] }\n";

const MINUTES: &str = "600000";

/// What is set up in a home again wherever it is unpacked: it names where components lie.
fn furnish(stage: &Stage) {
    let mut known = String::from("format = 1\n");
    for (agent, rights) in AGENTS {
        // Tables of the grant come after its budget, or they would swallow it.
        let (head, tables) =
            rights.split_once("[[").map_or((rights, String::new()), |(head, rest)| (head, format!("[[{rest}")));
        stage.grant(agent, &format!("{head}{WALL}{tables}"));
        known.push_str(&format!("[agents.{agent}]\ncomponent = \"{}\"\n", guest(agent).display()));
    }
    stage.write("home/agents.toml", &known);
    for (name, text) in [("home/policies/00-site.toml", SITE), ("home/tools.toml", TOOLS)] {
        let file = stage.write(name, text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }
}

fn settings(stage: &Stage, idle: &str) {
    stage.write("home/agentry.toml", &format!("format = 1\naudit.heads = \"../heads\"\n{idle}"));
}

fn serving(stage: &Stage) -> Server {
    serve(&mut stage.agentry("serve"))
}

fn detach(stage: &Stage, agent: &str, input: &Value) -> String {
    let mut run = stage.agentry("run");
    run.arg("--detach").arg(guest(agent)).args(["--input", &input.to_string()]);
    end(&mut run).with(0).stdout.trim().to_owned()
}

fn runs(stage: &Stage) -> Vec<Value> {
    let runs = end(stage.agentry("ps").args(["--json", "--limit", "1000"])).with(0).json();
    runs.as_array().expect("a list").clone()
}

/// Waits until this holds of all runs.
fn until(stage: &Stage, what: &str, holds: impl Fn(&[Value]) -> bool) {
    let begun = Instant::now();
    loop {
        let found = runs(stage);
        if holds(&found) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "not {what}: {}", json!(found));
        thread::sleep(Duration::from_millis(50));
    }
}

fn ended(run: &Value) -> bool {
    run["status"] != "running" && run["status"] != "suspended"
}

/// Fills a home with runs of every kind, as this version leaves them, and gives what each is there for.
fn fill(stage: &Stage) -> BTreeMap<String, String> {
    let mut kinds = BTreeMap::new();
    settings(stage, "[idle]\nafter_ms = 0\n");
    let server = serving(stage);
    let mut begin = |kind: &str, agent: &str, input: Value| {
        kinds.insert(detach(stage, agent, &input), kind.to_owned());
    };
    begin("done", "steps", json!([["put", "team/board", "a", "b"], ["get", "team/board", "a"]]));
    begin("failed", "steps", json!([["fail", "no luck"]]));
    begin("told", "person", json!([{"notify": {"text": "all is well"}}]));
    begin("sent", "steps", json!([["send", "laborer", "for later", "7"]]));
    until(stage, "ended", |runs| runs.len() == 4 && runs.iter().all(ended));
    begin("sleeps", "steps", json!([["put", "team/board", "c", "d"], ["sleep", MINUTES], ["get", "team/board", "c"]]));
    begin("letter", "clerk", json!([["receive"], ["reply", "clerk/0", "\"yes\""]]));
    begin("person", "person", json!([{"ask": {"text": "Which day?"}}]));
    begin("parent", "steps", json!([["agent", "person", r#"[{"ask":{"text":"Which hour?"}}]"#]]));
    until(stage, "at rest", |runs| {
        let rests = runs.iter().filter(|run| run["status"] == "suspended" && !run["rests"].is_null()).count();
        rests >= 4 && runs.iter().all(|run| run["live"].is_null())
    });
    server.stop();
    settings(stage, "");
    let server = serving(stage);
    let mut begin = |kind: &str, agent: &str, input: Value| {
        kinds.insert(detach(stage, agent, &input), kind.to_owned());
    };
    begin("lives", "steps", json!([["put", "team/board", "e", "f"], ["sleep", MINUTES], ["get", "team/board", "e"]]));
    begin("approval", "steps", json!([["ask", "test.sell", "{}"], ["get", "team/board", "e"]]));
    until(stage, "alive", |runs| runs.iter().filter(|run| !run["live"].is_null()).count() >= 2);
    open(stage, 1);
    server.kill();
    kinds
}

/// Makes an archive of a home that the version at hand has left.
fn make(archive: &Path) {
    let stage = Stage::new();
    furnish(&stage);
    let kinds = fill(&stage);
    stage.write("home/made.json", &json!({"at_s": now_s(), "runs": kinds}).to_string());
    let place = stage.home().parent().expect("it lies somewhere").to_owned();
    let mut tar = Command::new("tar");
    tar.args(["--exclude=home/cache*", "--exclude=home/agents.toml", "--exclude=home/policies", "--exclude=*.sock"]);
    tar.args(["--exclude=home/tools.toml", "--owner=0", "--group=0", "-czf"]).arg(archive).arg("-C").arg(place);
    assert!(tar.args(["home", "heads"]).status().is_ok_and(|status| status.success()), "tar packs it");
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The home, whether what expires in it may still be there, and what each of its runs is there for.
fn unpack(archive: &Path) -> (Stage, bool, BTreeMap<String, String>) {
    let stage = Stage::new();
    let place = stage.home().parent().expect("it lies somewhere").to_owned();
    let mut tar = Command::new("tar");
    let unpacked = tar.arg("--no-same-owner").arg("-xzf").arg(archive).arg("-C").arg(place).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar unpacks {}", archive.display());
    furnish(&stage);
    let made = fs::read_to_string(stage.path("home/made.json")).expect("it says when it was made, and of what");
    let made: Value = serde_json::from_str(&made).expect("one document");
    let fresh = now_s() < made["at_s"].as_u64().expect("a time") + FRESH_S;
    (stage, fresh, serde_json::from_value(made["runs"].clone()).expect("by their ids"))
}

fn answer(stage: &Stage) {
    let questions = end(stage.agentry("questions").arg("--json")).with(0).json();
    for question in questions.as_array().expect("a list") {
        end(stage.agentry("answer").arg(question["id"].as_str().expect("an id")).arg("Tuesday")).with(0);
    }
}

fn goes_on(name: &str) {
    let archive = repository("tests/golden").join(name);
    let (stage, fresh, kinds) = unpack(&archive);
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    end(&mut stage.agentry("audit verify")).with(0);
    let server = serving(&stage);
    // Those that nothing but a person or a letter brings to their end.
    detach(&stage, "steps", &json!([["send", "clerk", "lunch", "12"]]));
    let begun = Instant::now();
    loop {
        answer(&stage);
        let asked = approvals(&stage)["questions"].as_array().expect("a list").clone();
        for question in asked.iter().filter(|question| question["state"] == "open") {
            approve(&stage, &id(question), &[]).with(0);
        }
        if runs(&stage).iter().all(ended) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(100), "not all end: {}", json!(runs(&stage)));
        thread::sleep(Duration::from_millis(200));
    }
    for (run, kind) in &kinds {
        let report = end(stage.agentry("wait").args([run, "--json"])).json();
        let output = &report["output"];
        match kind.as_str() {
            "done" => assert_eq!(output[1], "\"b\" []", "{report}"),
            "failed" => assert_eq!((&report["status"], output), (&json!("failed"), &Value::Null), "{report}"),
            "sleeps" => assert_eq!((&output[1], &output[2]), (&json!("slept"), &json!("\"d\" []")), "{report}"),
            "lives" => assert_eq!((&output[1], &output[2]), (&json!("slept"), &json!("\"f\" []")), "{report}"),
            "letter" => assert_eq!(output[1], "answered", "{report}"),
            "person" => assert_eq!(output[0], "Tuesday", "{report}"),
            "parent" => assert!(output[0].as_str().is_some_and(|said| said.contains("Tuesday")), "{report}"),
            "approval" if fresh => assert_eq!(output[0], "sold\n", "{report}"),
            _ => assert_eq!(report["status"], "done", "{report}"),
        }
    }
    server.stop();
    let mail = end(stage.agentry("mail").args(["laborer", "--json"])).with(0).json().to_string();
    assert!(!fresh || mail.contains("for later"), "{mail}");
    let books = end(stage.agentry("budget").arg("--json")).json().to_string();
    assert!(!books.contains("\"reserved\":1"), "something is held for a run that is over: {books}");
    stage.replays();
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_home_of_an_earlier_version_goes_on() {
    if let Some(archive) = std::env::var_os("AGENTRY_GOLDEN_HOME") {
        return make(Path::new(&archive));
    }
    HOMES.iter().for_each(|name| goes_on(name));
}
