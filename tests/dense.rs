//! The dense shape of a host: what runs there does what it does on any other, up to the words in which it breaks, and more of it at once.

use serde_json::{Value, json};

use crate::serve::serve;
use crate::stage::{Stage, begin, end, guest};

/// Guests that use memory and stacks as intended, and otherwise.
const GUESTS: [(&str, &str); 6] = [
    ("echo", r#"{"text": "grün 🦀", "numbers": [1, -2, 3.5]}"#),
    ("grow", "null"),
    ("gigabyte", "null"),
    ("recurse", "null"),
    ("panic", "null"),
    ("memory", "100"),
];

fn shape(stage: &Stage, engine: &str) {
    stage.write("home/agentry.toml", &format!("format = 1\n[engine]\n{engine}\n"));
}

/// What a person hears of a run.
fn told(stage: &Stage, agent: &str, input: &str) -> Value {
    let mut run = stage.agentry("run");
    let report = end(run.arg(guest(agent)).args(["--input", input, "--json"])).json();
    json!([report["status"], report["output"], report["failure"]])
}

#[test]
fn a_dense_host_runs_what_a_fast_one_does() {
    for (agent, input) in GUESTS {
        let stage = Stage::granting(&guest(agent));
        shape(&stage, "shape = \"dense\"\nruns_max = 3");
        let dense = told(&stage, agent, input);
        assert!(!dense[0].is_null(), "{agent}: {dense}");
        // Each executes again what the other has run.
        shape(&stage, "shape = \"fast\"");
        if dense[0] == "done" {
            stage.replays();
        }
        assert_eq!(told(&stage, agent, input), dense, "{agent}");
        shape(&stage, "shape = \"dense\"");
        if dense[0] == "done" {
            stage.replays();
        }
    }
}

#[test]
fn more_runs_than_there_is_room_for_wait_for_their_turn() {
    let stage = Stage::new();
    stage.grant("steps", "");
    shape(&stage, "shape = \"dense\"\nruns_max = 2");
    let server = serve(&mut stage.agentry("serve"));
    let runs: Vec<_> = (0..5)
        .map(|_| begin(stage.agentry("run").arg(guest("steps")).args(["--input", "[[\"sleep\",\"300\"]]", "--json"])))
        .collect();
    for run in runs {
        assert_eq!(run.end().with(0).json()["output"], json!(["slept"]));
    }
    server.stop();
    stage.replays();
}

#[test]
fn a_shape_that_there_is_not_is_told_with_its_line() {
    let stage = Stage::granting(&guest("echo"));
    for (wrong, why) in [
        ("shape = \"denze\"", "unknown shape"),
        ("runs_max = 2000", "runs_max"),
        ("shape = \"dense\"\nruns_max = 1_000_000", "runs_max"),
        ("runs_max = 0", "runs_max"),
        ("runs = 5", "runs"),
    ] {
        shape(&stage, wrong);
        let ended = end(&mut stage.run(&guest("echo"), &json!(1))).with(2);
        ended.complains("agentry.toml:");
        ended.complains(why);
    }
}
