//! The syscall table is not Rust's alone: the same small agent in C, Go, JavaScript, Python and Rust, each built by its own tools. It reads a
//! file, asks a model for an answer of a schema, keeps it, and fails with a cause.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Ended, Stage, begin, end, guest};

/// Answers a schema for whoever asks for a title, and the same to all else.
const SCRIPT: &str = "{\"script\": 1, \"repeat\": true}\n\
    {\"text\": \"{\\\"title\\\": \\\"Of milk\\\"}\", \"if_contains\": \"title: buy milk\"}\n{\"chunks\": [\"one \", \"two\"]}\n";

/// The home of one agent, granted as `inspect --grant` drafts it, with a document.
fn home(language: &str) -> Stage {
    let stage = Stage::drafting(&guest(language));
    stage.write("documents/note.txt", "buy milk");
    stage
}

fn run(stage: &Stage, language: &str, input: &Value) -> Ended {
    let mut run = stage.run_on(SCRIPT, &guest(language), input);
    for root in ["documents", "reports"] {
        run.arg("--root").arg(format!("{root}={}", stage.directory(root).display()));
    }
    // A whole runtime is compiled before its first run.
    begin(&mut run).end_within(Duration::from_secs(300))
}

/// A file, an answer of a schema, memory; then a file that is not there, as a failure with its cause.
fn works(language: &str) -> Stage {
    let stage = home(language);
    let report = run(&stage, language, &json!({"file": "note.txt"})).with(0).json();
    let output = &report["output"];
    assert_eq!((&output["note"], &output["title"]), (&json!("buy milk"), &json!("Of milk")), "{report}");
    assert_eq!(output["kept"], json!(true), "{report}");
    let names: Vec<Value> = stage.calls().iter().map(|call| call["name"].clone()).collect();
    for name in ["files.read", "memory.put", "memory.get"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
    let failed = run(&stage, language, &json!({"file": "none.txt"})).with(1).json();
    assert!(failed["failure"].as_str().is_some_and(|why| why.starts_with("cannot read none.txt")), "{failed}");
    assert_eq!(failed["cause"]["kind"], json!("not-found"), "{failed}");
    stage.replays();
    stage
}

/// What it raised ends the run, is told with its place, and stands in the log line by line.
fn raises(stage: &Stage, language: &str, place: &str) {
    let ended = run(stage, language, &json!({"raise": "no such luck"})).with(1).json();
    let failure = ended["failure"].as_str().unwrap_or_default();
    assert!(failure.contains("no such luck") && failure.contains(place), "{ended}");
    let log = end(stage.agentry("logs").arg("last")).with(0).stdout;
    assert!(log.contains("no such luck") && log.contains(place), "{log}");
}

/// Two questions at once, and one whose answer comes in pieces.
fn streams(stage: &Stage, language: &str) -> Value {
    let output = run(stage, language, &json!({"file": "note.txt"})).with(0).json()["output"].clone();
    assert_eq!(output["answers"], json!(["one two", "one two"]), "{output}");
    assert_eq!((&output["pieces"], &output["whole"]), (&json!(["one ", "two"]), &json!("one two")), "{output}");
    output["library"].clone()
}

pub mod rust {
    #[test]
    fn an_agent_in_rust_works_and_a_panic_tells_its_place() {
        super::raises(&super::works("rust"), "rust", "rust.rs");
    }
}

#[test]
fn an_agent_in_c_works() {
    works("c");
}

#[test]
fn an_agent_in_go_works_and_a_panic_tells_its_place() {
    raises(&works("go"), "go", "guest.go");
}

#[test]
fn an_agent_in_javascript_works_with_its_clock_and_its_random_numbers() {
    let stage = works("javascript");
    let library = streams(&stage, "javascript");
    assert!(library["wall_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{library}");
    assert!(library["random"].as_f64().is_some_and(|number| (0.0..1.0).contains(&number)), "{library}");
    raises(&stage, "javascript", "agent.js");
}

#[test]
fn an_agent_in_python_works_with_its_standard_library() {
    let stage = works("python");
    let library = streams(&stage, "python");
    assert!(library["slept_ms"].as_u64().is_some_and(|ms| (40..60_000).contains(&ms)), "{library}");
    assert!(library["wall_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{library}");
    assert_eq!(library["uuid"].as_str().map(str::len), Some(36), "{library}");
    let log = end(stage.agentry("logs").arg("last")).with(0).stdout;
    assert!(log.contains("said on standard output"), "{log}");
    raises(&stage, "python", "app.py");
}

#[test]
fn the_sockets_that_a_language_imports_are_told_and_refuse() {
    let page = end(crate::stage::agentry().arg("inspect").arg(guest("python"))).with(0).stdout;
    assert!(page.contains("of sockets: every connection and name lookup is refused"), "{page}");
}
