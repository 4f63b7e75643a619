//! Runs that have a past in common with another one, and runs that move from home to home as one file.

use std::fs;

use serde_json::{Value, json};

use crate::provider::{Behaviour, Server, last, piece};
use crate::stage::{Stage, begin, end, guest};

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "steps"
memory = { read = ["team/**"], write = ["team/**"] }
"#;

fn stage() -> Stage {
    let stage = Stage::new();
    stage.policy(GRANT);
    stage
}

fn ran(stage: &Stage) -> Value {
    let order =
        json!([["put", "team/board", "a", "one"], ["get", "team/board", "a"], ["put", "team/board", "a", "two"]]);
    end(&mut stage.run(&guest("steps"), &order)).with(0).json()
}

fn fork(stage: &Stage, place: &str, more: &[&str], code: i32) -> Value {
    end(stage.agentry(&format!("fork {place} --json")).args(more)).with(code).json()
}

#[test]
fn a_fork_does_nothing_again_that_stands_before_its_call_and_lives_from_there() {
    let stage = stage();
    let first = ran(&stage);
    let forked = fork(&stage, "last@3", &["--wait"], 0);
    assert_ne!(forked["run"], first["run"]);
    assert_eq!(forked["output"], json!(["1", "\"one\" []", "3"]), "the third call alone is made again");
    assert_eq!(stage.calls().len(), 3);
    stage.replays();
    let other = json!([["put", "team/board", "a", "one"], ["get", "team/board", "a"], ["get", "team/board", "b"]]);
    let forked =
        fork(&stage, &format!("{}@3", first["run"].as_str().expect("an id")), &["--input", &other.to_string()], 0);
    assert_eq!(forked["output"], json!(["1", "\"one\" []", "nothing"]));
    stage.replays();
}

#[test]
fn a_fork_that_does_something_else_before_its_call_ends_there() {
    let stage = stage();
    let first = ran(&stage);
    let third = format!("{}@3", first["run"].as_str().expect("an id"));
    let other = json!([["put", "team/board", "a", "another"], ["get", "team/board", "a"], ["get", "team/board", "b"]]);
    let ended = fork(&stage, "last@3", &["--input", &other.to_string()], 1);
    assert!(ended["failure"].as_str().is_some_and(|why| why.contains("call 1 was")), "{ended}");
    let echo = guest("echo").display().to_string();
    end(stage.agentry(&format!("fork {third}")).args(["--component", &echo])).with(2).complains("is agent `echo`");
    let short = json!([["put", "team/board", "a", "one"]]).to_string();
    let ended = fork(&stage, &third, &["--input", &short], 1);
    assert!(ended["failure"].as_str().is_some_and(|why| why.contains("not made")), "{ended}");
    end(&mut stage.agentry("fork last")).with(2).complains("RUN@CALL");
    end(&mut stage.agentry("fork last@99")).with(2).complains("made no call 99");
    end(&mut stage.agentry("fork nobody@1")).with(2).complains("there is no run");
    let books = end(stage.agentry("budget").arg("--json")).json().to_string();
    assert!(!books.contains("\"reserved\":1"), "something is held for a run that is over: {books}");
}

#[test]
fn a_fork_of_a_run_that_a_script_answered_asks_for_a_model_and_no_other_is_asked_instead() {
    let stage = Stage::granting(&guest("ask"));
    let input = json!({"prompt": "hello"});
    end(&mut stage.run_on("{\"text\": \"first\"}\n", &guest("ask"), &input)).with(0);
    let refused = end(&mut stage.agentry("fork last@1")).with(2);
    refused.complains("was answered by a script");
    assert!(refused.stderr.contains("--model scripted:FILE") && refused.stderr.contains("--model ALIAS"));
    assert_eq!(end(stage.agentry("ps").arg("--json")).json().as_array().map(Vec::len), Some(1), "nothing began");
    let script = format!("scripted:{}", stage.write("other.jsonl", "{\"text\": \"second\"}\n").display());
    assert_eq!(fork(&stage, "last@1", &["--model", &script], 0)["output"], "second");
    // One that is over is not resumed, whoever answered it.
    end(&mut stage.agentry("resume last")).with(2).complains("is not suspended");
}

#[test]
fn a_fork_asks_the_model_that_its_run_asked_as_its_default_while_there_is_one() {
    let says = |text: &str| {
        let events: Vec<String> = [piece(text)].into_iter().chain(last(10, 5)).collect();
        Server::that(Behaviour::Streams(events))
    };
    let (small, large) = (says("small"), says("large"));
    let model = |name: &str, server: &Server| {
        let port = server.port();
        format!(
            "[providers.{name}]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             [models.{name}]\nprovider = \"{name}\"\nmodel = \"x\"\nlocal = true\n"
        )
    };
    let stage = Stage::granting(&guest("ask"));
    let both = format!("format = 1\ndefault = \"small\"\n{}{}", model("small", &small), model("large", &large));
    stage.write("home/agentry.toml", &both);
    let input = json!({"prompt": "hello"});
    let ran = end(stage.run(&guest("ask"), &input).args(["--model", "large"])).with(0).json();
    assert_eq!(ran["output"], "large");
    let first = format!("{}@1", ran["run"].as_str().expect("an id"));
    assert_eq!(fork(&stage, &first, &[], 0)["output"], "large");
    assert_eq!(fork(&stage, &first, &["--model", "small"], 0)["output"], "small");
    assert_eq!((small.asked().len(), large.asked().len()), (1, 2));
    stage.write("home/agentry.toml", &format!("format = 1\ndefault = \"small\"\n{}", model("small", &small)));
    end(&mut stage.agentry(&format!("fork {first}"))).with(2).complains("asked the model `large` as its default");
    assert_eq!((small.asked().len(), large.asked().len()), (1, 2), "nobody was asked instead");
}

#[test]
fn a_run_moves_as_one_file_and_does_the_same_there() {
    let (here, there) = (stage(), stage());
    let first = ran(&here);
    let file = here.path("run.agentry");
    end(here.agentry("export last").arg("--out").arg(&file)).with(0);
    end(here.agentry("export last").arg("--out").arg(&file)).with(2).complains("cannot make");
    end(here.agentry("import").arg(&file)).with(2).complains("is in this home already");
    end(there.agentry("import").arg(&file)).with(0);
    assert_eq!(there.last()["run"], first["run"]);
    there.replays();
    end(&mut there.agentry("audit verify")).with(0);
    let forked = fork(&there, "last@3", &[], 0);
    assert_eq!(forked["output"][2], "1", "what the other home remembers stays there");
}

/// What a run in this home said, by the kind of line.
fn said(stage: &Stage, run: &str) -> Vec<(String, String)> {
    let logs = end(stage.agentry("logs").args([run, "--json"])).with(0).stdout;
    let lines = logs.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"));
    let said = lines.filter_map(|line| Some((line["kind"].as_str()?.to_owned(), line["text"].as_str()?.to_owned())));
    said.collect()
}

#[test]
fn what_a_run_told_people_and_other_agents_moves_with_it_and_is_vouched_for() {
    let (here, there) = (Stage::new(), Stage::new());
    let grant = "format = 1\nlayer = \"grant\"\nagent = \"person\"\nhuman = { ask = true, notify = true }\n";
    here.policy(&format!("{grant}[budget]\nwall_run = \"60s\"\n"));
    let steps = json!([{"notify": {"text": "lunch is at noon"}}, {"ask": {"text": "Soup?", "choices": ["yes", "no"]}}]);
    let running = begin(here.run(&guest("person"), &steps).arg("--wait"));
    let question = crate::human::open(&here, 1).remove(0);
    end(here.agentry("answer").arg(question["id"].as_str().expect("an id")).arg("yes")).with(0);
    running.end().with(0);
    let told = [("notice", "lunch is at noon"), ("call", "Soup? [yes / no]")];
    let told = told.map(|(kind, text)| (kind.to_owned(), text.to_owned()));
    assert_eq!(said(&here, "last"), told);
    for call in here.calls() {
        assert_eq!(call["contents"].as_array().map(Vec::len), Some(1), "{call}");
    }
    let file = here.path("run.agentry");
    end(here.agentry("export last").arg("--out").arg(&file)).with(0);
    end(there.agentry("import").arg(&file)).with(0);
    assert_eq!(said(&there, "last"), told);
    let audit = |stage: &Stage| end(stage.agentry("audit verify").arg("--json")).with(0).json();
    assert!(audit(&there)["contents"].as_u64() >= Some(4), "{}", audit(&there));
    assert_eq!(audit(&here)["broken"], Value::Null);
}

#[test]
fn letters_and_what_other_agents_were_asked_move_with_their_run() {
    let grants = [
        ("steps", "agents = { call = [\"worker\"], send = [\"clerk\"] }\n"),
        ("clerk", "agents = { receive = [\"steps\"] }\n"),
        ("worker", "memory = { read = [\"team/**\"] }\n"),
    ];
    let (here, there) = (crate::agents::home(&grants), Stage::new());
    let work = json!([["get", "team/board", "todo"]]).to_string();
    let steps = json!([["send", "clerk", "lunch", "{\"at\":12}"], ["agent", "worker", work]]);
    let report = end(&mut here.run(&guest("steps"), &steps)).with(0).json();
    let run = report["run"].as_str().expect("an id").to_owned();
    let told = [("letter", "lunch\n{\"at\":12}"), ("call", work.as_str())];
    let told = told.map(|(kind, text)| (kind.to_owned(), text.to_owned()));
    assert_eq!(said(&here, &run), told);
    let file = here.path("run.agentry");
    end(here.agentry("export").arg(&run).arg("--out").arg(&file)).with(0);
    end(there.agentry("import").arg(&file)).with(0);
    assert_eq!(said(&there, &run), told);
    end(&mut there.agentry("audit verify")).with(0);
}

#[test]
fn a_file_that_was_cut_or_changed_is_not_taken() {
    let (here, there) = (stage(), stage());
    ran(&here);
    let file = here.path("run.agentry");
    end(here.agentry("export last").arg("--out").arg(&file)).with(0);
    let whole = fs::read(&file).expect("it is there");
    for wrong in
        [&whole[..whole.len() / 2], &whole[..10], b"", b"agentry run 1\nand nothing behind it, which is long enough"]
    {
        fs::write(&file, wrong).expect("it is ours");
        end(there.agentry("import").arg(&file)).with(2).complains("no run that `agentry export` wrote");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    fs::write(&file, flipped).expect("it is ours");
    end(there.agentry("import").arg(&file)).with(2).complains("cut or changed");
    assert!(end(there.agentry("ps").arg("--json")).json().as_array().is_some_and(Vec::is_empty), "something was kept");
    end(there.agentry("export last").args(["--out", "-"])).with(2);
}
