//! The assistant: a mail agent, a calendar agent and a researcher that know nothing of each other see to real mails, under three policies.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Stage, end, example, repository};

const AGENTS: [&str; 3] = ["calendar", "mail", "researcher"];

/// A model that says what each mail wants, and phrases what the researcher found.
const SCRIPT: &str = r#"{"script": 1, "repeat": true}
{"if_contains": "Subject: Lunch", "text": "{\"kind\": \"meeting\", \"title\": \"Lunch with Ada\", \"day\": \"2026-12-03\", \"time\": \"12:00\", \"minutes\": 60}"}
{"if_contains": "Subject: Tea", "text": "{\"kind\": \"meeting\", \"title\": \"Tea with Bob\", \"day\": \"2026-12-03\", \"time\": \"12:30\", \"minutes\": 60}"}
{"if_contains": "Subject: A question", "text": "{\"kind\": \"question\", \"question\": \"Who declares war?\"}"}
{"if_contains": "Subject: Sale", "text": "{\"kind\": \"other\"}"}
{"text": "Congress does [1]."}
"#;

fn mail(from: &str, subject: &str, text: &str) -> String {
    format!(
        "From: {from}\r\nTo: me@example.org\r\nSubject: {subject}\r\nDate: Tue, 1 Dec 2026 09:00:00 +0000\r\n\
         Message-ID: <{}@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        subject.replace(' ', "-")
    )
}

/// A home with the three policies as they stand in this repository, and a Maildir with these mails.
fn home(mails: &[(&str, String)]) -> Stage {
    let stage = Stage::new();
    let mut known = String::from("format = 1\n");
    for agent in AGENTS {
        let policy = fs::read_to_string(repository(&format!("policies/50-{agent}.toml"))).expect("it has a policy");
        let rights = policy.split_once("agent = ").and_then(|(_, rest)| rest.split_once('\n')).expect("it names it").1;
        stage.grant(agent, rights);
        known.push_str(&format!("[agents.{agent}]\ncomponent = \"{}\"\n", example(agent).display()));
    }
    stage.write("home/agents.toml", &known);
    for (name, text) in mails {
        stage.write(&format!("mail/new/{name}"), text);
    }
    stage
}

fn run(stage: &Stage, agent: &str, input: &Value) -> Command {
    let mut run = stage.run_on(SCRIPT, &example(agent), input);
    let documents = repository("example-agents/researcher/corpus");
    let own = ["mail", "calendar", "reports"].map(|root| (root, stage.directory(root)));
    for (root, directory) in own.into_iter().chain([("documents", documents)]) {
        run.arg("--root").arg(format!("{root}={}", directory.display()));
    }
    run
}

fn gives(stage: &Stage, agent: &str, input: &Value) -> Value {
    end(&mut run(stage, agent, input)).with(0).json()["output"].clone()
}

fn draft(stage: &Stage, path: &Value) -> String {
    let path = path.as_str().expect("a draft has a path");
    assert!(path.starts_with(".Drafts/cur/"), "{path}");
    fs::read_to_string(stage.path("mail").join(path)).expect("the draft is there")
}

#[test]
fn a_mail_about_a_meeting_becomes_a_calendar_entry_and_a_draft() {
    let stage = home(&[
        ("1", mail("Ada <ada@example.org>", "Lunch", "Shall we have lunch on Thursday at noon?")),
        ("2", mail("Eve <eve@example.com>", "Sale", "Buy now!")),
    ]);
    let first = gives(&stage, "mail", &json!({}));
    let id = first["asked"][0].as_str().and_then(|id| id.strip_prefix("calendar/")).expect("a letter to the calendar");
    assert_eq!(first, json!({"asked": [format!("calendar/{id}")], "drafts": [], "left": 1}));
    assert_eq!(gives(&stage, "calendar", &json!({})), json!({"entered": 1, "declined": 0}));
    let entry = fs::read_to_string(stage.path(&format!("calendar/calendar-{id}.ics"))).expect("it is entered");
    for line in
        ["BEGIN:VEVENT", "SUMMARY:Lunch with Ada", "DTSTART:20261203T120000", "ORGANIZER:mailto:ada@example.org"]
    {
        assert!(entry.contains(line), "no `{line}` in\n{entry}");
    }
    let second = gives(&stage, "mail", &json!({}));
    let reply = draft(&stage, &second["drafts"][0]);
    assert!(reply.contains("ada@example.org") && reply.contains("Re: Lunch"), "{reply}");
    assert!(reply.contains("2026-12-03 at 12:00:00 is in my calendar"), "{reply}");
    // What is done is not done again.
    assert_eq!(gives(&stage, "mail", &json!({})), json!({"asked": [], "drafts": [], "left": 0}));
    assert_eq!(gives(&stage, "calendar", &json!({})), json!({"entered": 0, "declined": 0}));
    stage.replays();
}

#[test]
fn the_calendar_entry_carries_the_label_of_the_mail_that_asked_for_it() {
    let stage = home(&[("1", mail("Ada <ada@example.org>", "Lunch", "Lunch?"))]);
    let days = json!({"list": {"from": "2026-12-01", "to": "2026-12-31"}});
    assert_eq!(gives(&stage, "calendar", &days), json!({"entries": []}));
    assert_eq!(stage.last()["labels"], json!([]), "nothing that a stranger wrote is there yet");
    gives(&stage, "mail", &json!({}));
    gives(&stage, "calendar", &json!({}));
    let listed = gives(&stage, "calendar", &days);
    assert_eq!(listed["entries"][0]["title"], "Lunch with Ada");
    assert_eq!(stage.last()["labels"], json!(["untrusted"]), "whoever reads the entry knows where it comes from");
}

#[test]
fn a_time_that_is_taken_is_declined_after_a_look_that_changes_nothing() {
    let stage = home(&[("1", mail("Ada <ada@example.org>", "Lunch", "Lunch?"))]);
    gives(&stage, "mail", &json!({}));
    gives(&stage, "calendar", &json!({}));
    stage.write("mail/new/2", &mail("Bob <bob@example.org>", "Tea", "Tea at half past twelve?"));
    let output = gives(&stage, "mail", &json!({}));
    assert_eq!(output["asked"], json!([]), "no letter was written");
    let replies: Vec<String> =
        output["drafts"].as_array().expect("drafts").iter().map(|path| draft(&stage, path)).collect();
    assert!(
        replies.iter().any(|reply| reply.contains("Lunch with Ada") && reply.contains("another one")),
        "{replies:?}"
    );
}

#[test]
fn a_question_is_answered_by_the_researcher_out_of_the_mail_agents_budget() {
    let stage = home(&[("1", mail("Ada <ada@example.org>", "A question", "Who declares war?"))]);
    let output = gives(&stage, "mail", &json!({}));
    let reply = draft(&stage, &output["drafts"][0]);
    assert!(reply.contains("Congress does"), "{reply}");
    let runs = end(stage.agentry("ps").arg("--json")).json();
    let child =
        runs.as_array().expect("a list").iter().find(|run| run["agent"] == "researcher").expect("it ran").clone();
    assert!(child["parent"].is_string() && child["labels"] == json!(["untrusted"]), "{child}");
    let budget = end(stage.agentry("budget").arg("--json")).with(0).json();
    let spent = |agent: &str| {
        let agents = budget["agents"].as_array().expect("a list");
        let own = agents.iter().find(|own| own["agent"] == agent).cloned().unwrap_or_default();
        own["lines"].as_array().and_then(|lines| {
            lines
                .iter()
                .find(|line| line["what"] == "tokens" && line["window"] == "day")
                .map(|line| line["spent"].clone())
        })
    };
    assert!(spent("mail").is_some_and(|spent| spent.as_u64() > Some(0)), "{budget}");
    assert!(spent("researcher").is_none_or(|spent| spent == 0), "{budget}");
}

#[test]
fn without_the_policy_of_the_calendar_nothing_is_entered_and_the_mail_waits() {
    let stage = home(&[("1", mail("Ada <ada@example.org>", "Lunch", "Lunch?"))]);
    stage.grant("calendar", "package = \"agentry:calendar@^0.1\"\n");
    let ended = end(&mut run(&stage, "mail", &json!({}))).with(3).json();
    assert_eq!(ended["refusals"].as_array().expect("a list").last().expect("one")["code"], "no-grant");
    assert!(fs::read_dir(stage.directory("calendar")).expect("it is there").next().is_none(), "nothing was entered");
    assert_eq!(end(stage.agentry("mail").arg("--json")).with(0).json(), json!([]), "nothing was delivered");
}
