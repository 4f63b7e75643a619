//! Three agents of three publishers: installed together, working together, and what the screens say when one of them wants more and another
//! one is not what it was.

use std::fs;

use serde_json::{Value, json};

use crate::installing::{Market, package, packed};
use crate::stage::{end, example, repository};

/// A model that says what each mail wants, and phrases what the researcher found.
const SCRIPT: &str = r#"{"script": 1, "repeat": true}
{"if_contains": "Subject: Lunch", "text": "{\"kind\": \"meeting\", \"title\": \"Lunch with Ada\", \"day\": \"2026-12-03\", \"time\": \"12:00\", \"minutes\": 60}"}
{"if_contains": "Subject: A question", "text": "{\"kind\": \"question\", \"question\": \"Who declares war?\"}"}
{"text": "Congress does [1]."}
"#;

fn mail(subject: &str, text: &str) -> String {
    format!(
        "From: Ada <ada@example.org>\r\nTo: me@example.org\r\nSubject: {subject}\r\nDate: Tue, 1 Dec 2026 09:00:00 +0000\r\n\
         Message-ID: <{}@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        subject.replace(' ', "-")
    )
}

/// What the mail agent of a publisher says of itself.
fn of_post(manifest: &mut Value, version: &str, seq: u32) {
    manifest["name"] = "post:mail".into();
    manifest["version"] = version.into();
    manifest["seq"] = seq.into();
    manifest["requires"] = json!([
        {"provides": "calendar@^0.1", "why": "Has meetings entered."},
        {"provides": "research", "why": "Has questions answered out of your documents."},
    ]);
    manifest["wants"]["agents"] = json!({
        "call": ["calendar", "researcher"], "send": ["calendar"], "receive": ["calendar"],
        "why": "Asks agents that provide a calendar and research, and writes to the first.",
    });
}

/// The calendar of another publisher; `more` is what this version wants beyond the first.
fn of_blue(manifest: &mut Value, version: &str, seq: u32, more: Option<Value>) {
    manifest["name"] = "blue:calendar".into();
    manifest["version"] = version.into();
    manifest["seq"] = seq.into();
    if let Some(more) = more {
        manifest["wants"]["http"] = more;
    }
}

/// Published by three, and installed by one command.
fn three() -> Market {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["post", "blue", "green"]);
    market.publish(&packed(stage, "mail.wasm", &example("mail"), |manifest| of_post(manifest, "0.1.0", 1)));
    market
        .publish(&packed(stage, "calendar.wasm", &example("calendar"), |manifest| of_blue(manifest, "0.1.0", 1, None)));
    market.publish(&packed(stage, "researcher.wasm", &example("researcher"), |manifest| {
        manifest["name"] = "green:researcher".into();
    }));
    for (name, text) in
        [("1", mail("Lunch", "Lunch on Thursday at noon?")), ("2", mail("A question", "Who declares war?"))]
    {
        stage.write(&format!("mail/new/{name}"), &text);
    }
    stage.write("script.jsonl", SCRIPT);
    let shown = end(stage.agentry("info").args(["post:mail", "--json"])).with(0).json();
    let mut install = stage.agentry("install");
    install.arg("post:mail");
    let with = shown["with"].as_array().expect("a list").iter();
    for one in std::iter::once(&shown).chain(with) {
        install.args(["--consent", one["consent"].as_str().expect("a code")]);
    }
    let documents = repository("example-agents/researcher/corpus");
    let own = ["mail", "calendar", "reports"].map(|root| (root, stage.directory(root)));
    for (root, directory) in own.into_iter().chain([("documents", documents)]) {
        install.arg("--root").arg(format!("{root}={}", directory.display()));
    }
    let told = end(&mut install).with(0);
    for line in
        ["green:researcher 0.1.0 is installed", "blue:calendar 0.1.0 is installed", "post:mail 0.1.0 is installed"]
    {
        assert!(told.stderr.contains(line), "no `{line}` in {}", told.stderr);
    }
    market
}

fn gives(market: &Market, agent: &str, input: &Value) -> Value {
    let stage = &market.stage;
    let mut run = stage.agentry("run");
    run.args([agent, "--json", "--input", &input.to_string(), "--model"]);
    end(run.arg(format!("scripted:{}", stage.path("script.jsonl").display()))).with(0).json()["output"].clone()
}

#[test]
fn three_packages_of_three_publishers_are_installed_together_and_work_together() {
    let market = three();
    let stage = &market.stage;
    end(&mut stage.agentry("verify")).with(0);
    let listed = end(stage.agentry("list").arg("--json")).with(0).json();
    let mut keys: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|one| one["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3, "each is signed by another key");
    // The mail asks for a meeting and a question: one goes to the calendar by letter, the other is answered by the researcher.
    let first = gives(&market, "mail", &json!({}));
    assert_eq!(
        (first["asked"].as_array().map(Vec::len), first["drafts"].as_array().map(Vec::len)),
        (Some(1), Some(1)),
        "{first}"
    );
    assert_eq!(gives(&market, "calendar", &json!({})), json!({"entered": 1, "declined": 0}));
    let second = gives(&market, "mail", &json!({}));
    let draft = second["drafts"][0].as_str().expect("a draft has a path");
    let reply = fs::read_to_string(stage.path("mail").join(draft)).expect("the draft is there");
    assert!(reply.contains("2026-12-03 at 12:00:00 is in my calendar"), "{reply}");
    // One of them updated to a version that wants more: it waits, and a call shows what would become possible.
    let hosts = json!({"hosts": ["https://sync.example.org"], "why": "Keeps your phone in step."});
    market.publish(&packed(stage, "calendar-2.wasm", &example("calendar"), |manifest| {
        of_blue(manifest, "0.1.1", 2, Some(hosts));
    }));
    let waits = end(stage.agentry("update").args(["calendar", "--yes"])).with(3);
    waits.complains("blue:calendar 0.1.1 waits for a person: it asks for more than the present version");
    for part in ["asks anew for http", "newly allowed", "https://sync.example.org", "was deny, is allow"] {
        assert!(waits.stdout.contains(part), "no `{part}` in\n{}", waits.stdout);
    }
    // One hijacked: the same name, key and wishes, and another program. What the recorded runs did, it would not have done.
    market.publish(&packed(stage, "mail-2.wasm", &crate::stage::guest("echo"), |manifest| {
        let whole = crate::package::Sections::of(&fs::read(example("mail")).expect("it is built")).manifest();
        *manifest = serde_json::from_str(&whole).expect("it is JSON");
        of_post(manifest, "0.1.1", 2);
    }));
    let stopped = end(stage.agentry("update").args(["mail", "--yes"])).with(3);
    stopped.complains("post:mail 0.1.1 waits for a person: it would not have done what run ");
    assert!(stopped.stdout.contains("does not do what run "), "{}", stopped.stdout);
    let dry = end(stage.agentry("update").args(["mail", "--dry-run", "--json"])).with(0).json();
    assert_eq!((&dry[0]["update"]["rights"]["verdict"], &dry[0]["update"]["same_key"]), (&json!("same"), &json!(true)));
    // All of them go on as they were.
    assert_eq!(gives(&market, "mail", &json!({})), json!({"asked": [], "drafts": [], "left": 0}));
    end(&mut stage.agentry("verify")).with(0);
}

#[test]
fn what_two_packages_open_by_each_other_and_neither_alone_is_shown_before_the_yes() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue"]);
    // One reads the documents and tells the team; the other one tells the world what the team knows.
    market.publish(&package(stage, "reader.wasm", "steps", |manifest| {
        manifest["name"] = "acme:reader".into();
        manifest["requires"] = json!([{"package": "blue:teller", "why": "Tells others."}]);
        manifest["wants"] = json!({
            "files": [{"access": "r", "root": "documents", "why": "It reads."}],
            "memory": {"read": ["team/**"], "write": ["team/**"], "why": "It tells the team."},
            "agents": {"call": ["teller"], "why": "x"},
            "tools": [{"tool": "notes.*", "why": "x"}],
        });
    }));
    market.publish(&package(stage, "teller.wasm", "http", |manifest| {
        manifest["name"] = "blue:teller".into();
        manifest["wants"] = json!({
            "http": {"hosts": ["https://out.example.org"], "why": "It tells."},
            "memory": {"read": ["team/**"], "write": [], "why": "It reads."},
        });
    }));
    let shown = end(stage.agentry("info").args(["acme:reader", "--json"])).with(0).json();
    let from_files =
        |ways: &Value| ways.as_array().is_some_and(|ways| ways.iter().any(|way| way.to_string().contains("documents")));
    assert!(!from_files(&shown["opens"]) && !from_files(&shown["with"][0]["opens"]), "{shown}");
    assert!(from_files(&shown["together"]), "{}", shown["together"]);
    let page = end(stage.agentry("info").arg("acme:reader")).with(0).stdout;
    let together = page.split("these 2 packages with each other").nth(1).expect("it is shown");
    assert!(together.contains("opens reader: ") && together.contains("teller: "), "{together}");
}
