//! The command itself: help that helps, errors that say what to do, and nothing where it does not belong.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::provider::{Behaviour, Server};
use crate::stage::{Stage, agentry, begin, end, guest};

/// The verbs that a person sees.
const VERBS: [&str; 10] = ["run", "ps", "trace", "inspect", "models", "policy", "audit", "label", "new", "build"];

#[test]
fn help_names_every_verb_and_every_exit_code() {
    let help = end(agentry().arg("--help")).with(0).stdout;
    for verb in VERBS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(verb)), "{verb}:\n{help}");
    }
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "exit code {code}:\n{help}");
    }
    assert!(!help.contains("prepare-component"), "a hidden verb shows:\n{help}");
}

#[test]
fn the_help_of_every_verb_ends_with_examples() {
    for verb in VERBS {
        let arguments: &[&str] = match verb {
            "policy" => &["policy", "check", "--help"],
            "audit" => &["audit", "verify", "--help"],
            "label" => &["label", "remove", "--help"],
            verb => &[verb, "--help"],
        };
        let help = end(agentry().args(arguments)).with(0).stdout;
        assert!(help.contains("Examples:\n  agentry "), "{verb}:\n{help}");
    }
}

#[test]
fn no_arguments_or_wrong_ones_are_a_usage_error() {
    end(&mut agentry()).with(2);
    end(agentry().arg("walk")).with(2);
    end(agentry().args(["run", "--walk"])).with(2);
    end(agentry().arg("run")).with(2);
}

#[test]
fn a_root_that_is_not_name_and_directory_is_a_usage_error() {
    let stage = Stage::new();
    for root in ["docs", "=x", "docs="] {
        let ended = end(stage.agentry("run").arg(guest("echo")).args(["--root", root])).with(2);
        assert!(ended.stderr.contains("NAME=DIR"), "{}", ended.stderr);
    }
}

#[test]
fn an_input_that_is_not_json_is_refused_before_anything_runs() {
    let stage = Stage::granting(&guest("echo"));
    for input in ["{", "\u{feff}{}", "{} {}", "@/nonexistent/input.json"] {
        let ended = end(stage.agentry("run").arg(guest("echo")).args(["--input", input])).with(2);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
    let invalid = stage.path("invalid.json");
    std::fs::write(&invalid, b"\"\xff\xfe\"").expect("a file");
    let at = format!("@{}", invalid.display());
    end(stage.agentry("run").arg(guest("echo")).args(["--input", &at])).with(2).complains("UTF-8");
    assert_eq!(end(stage.agentry("ps").arg("--json")).json(), serde_json::json!([]));
}

#[test]
fn an_input_comes_from_a_file_or_from_standard_input() {
    let stage = Stage::granting(&guest("echo"));
    let file = stage.write("input.json", r#"{"from": "a file"}"#);
    let at = format!("@{}", file.display());
    let from_file = end(stage.agentry("run").arg(guest("echo")).args(["--json", "--input", &at])).with(0).json();
    assert_eq!(from_file["output"]["from"], "a file");
    let mut piped = stage.agentry("run");
    piped.arg(guest("echo")).args(["--json", "--input", "-"]);
    piped.stdin(Stdio::from(std::fs::File::open(&file).expect("it was written")));
    assert_eq!(end(&mut piped).with(0).json()["output"]["from"], "a file");
}

#[test]
fn an_agent_is_found_by_name_in_the_home() {
    let stage = Stage::granting(&guest("echo"));
    end(stage.agentry("run").arg("echo")).with(2).complains("there is no agent `echo` here");
    std::fs::copy(guest("echo"), stage.directory("home/agents").join("echo.wasm")).expect("a copy");
    end(stage.agentry("run").args(["echo", "--input", "1"])).with(0);
}

#[test]
fn json_is_one_document_on_stdout_and_nothing_else() {
    let stage = Stage::granting(&guest("echo"));
    let ended = end(&mut stage.run(&guest("echo"), &serde_json::json!({"a": [1, 2]}))).with(0);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let report = ended.json();
    let mut keys: Vec<&str> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cost_microusd", "output", "refusals", "run", "status", "usage"]);
    assert_eq!(report["output"], serde_json::json!({"a": [1, 2]}));
    assert_eq!(report["status"], "done");
}

#[test]
fn nothing_is_coloured_where_nobody_looks() {
    let stage = Stage::granting(&guest("echo"));
    let mut run = stage.agentry("run");
    run.arg(guest("echo")).args(["--input", "1"]).env_remove("NO_COLOR");
    let ended = end(&mut run).with(0);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains('\u{1b}'), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn what_cannot_be_written_is_an_error_for_help_as_for_all_else() {
    for words in [&["help"][..], &["--version"], &["run", "--help"], &["completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has one");
        let ended = agentry().args(words).stdout(full).output().expect("the command starts");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(5) && told.contains("cannot write to stdout"), "{words:?}: {told}");
    }
    assert!(end(agentry().arg("help")).with(0).stdout.contains("Exit codes:"));
    assert!(end(agentry().arg("--version")).with(0).stdout.starts_with("agentry "));
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(0);
    let line = r#""$0" trace last --home "$1" | true; exit "${PIPESTATUS[0]}""#;
    let mut pipe = Command::new("bash");
    pipe.args(["-c", line]).arg(agentry().get_program()).arg(stage.home());
    let ended = end(&mut pipe).with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_ran_is_listed_and_traced() {
    let component = guest("determinism");
    let stage = Stage::granting(&component);
    let report = end(&mut stage.run(&component, &serde_json::json!({}))).with(0).json();
    end(&mut stage.run(&component, &serde_json::json!({}))).with(0);
    let listed = end(stage.agentry("ps").args(["--json", "--limit", "1"])).with(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let run = report["run"].as_str().expect("a run has an id");
    let traced = end(stage.agentry("trace").args([&run[..6], "--json"])).with(0).json();
    assert_eq!(traced["run"], run);
    assert!(traced["calls"].as_array().is_some_and(|calls| !calls.is_empty()), "{traced}");
    let page = end(stage.agentry("trace").arg("last")).with(0).stdout;
    assert!(page.contains("timers.now") && page.contains("done"), "{page}");
    assert!(end(&mut stage.agentry("ps")).with(0).stdout.contains(run));
}

#[test]
fn a_past_that_is_not_there_is_told_as_such() {
    let stage = Stage::new();
    end(stage.agentry("trace").arg("last")).with(2).complains("there are no runs here");
    assert_eq!(end(&mut stage.agentry("ps")).with(0).stderr, "no runs yet\n");
    let component = guest("echo");
    let stage = Stage::granting(&component);
    end(&mut stage.run(&component, &serde_json::json!(1))).with(0);
    end(stage.agentry("trace").arg("zzzz")).with(2).complains("no run `zzzz`");
}

#[test]
fn a_limit_that_is_no_number_is_a_usage_error() {
    end(Stage::new().agentry("ps").args(["--limit", "many"])).with(2);
}

#[test]
fn a_run_that_a_person_stops_is_settled_and_recorded_as_stopped() {
    let server = Server::that(Behaviour::Hangs);
    let component = guest("ask");
    let stage = Stage::granting_within(&component, "wall_run = \"110s\"\ntokens_day = 5_000");
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\n[providers.p]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             [models.small]\nprovider = \"p\"\nmodel = \"m\"\nlocal = true\n",
            server.port()
        ),
    );
    let running = begin(&mut stage.run(&component, &serde_json::json!({"prompt": "hello"})));
    let patience = Instant::now();
    while server.asked().is_empty() {
        assert!(patience.elapsed() < Duration::from_secs(60), "it never asked");
        thread::sleep(Duration::from_millis(20));
    }
    running.interrupt();
    let interrupted = Instant::now();
    let ended = running.end().with(1);
    assert!(interrupted.elapsed() < Duration::from_secs(20), "it ended after {:?}", interrupted.elapsed());
    let report = ended.json();
    assert_eq!((&report["status"], &report["failure"]), (&"stopped".into(), &"the run was stopped".into()));
    assert_eq!(stage.last()["status"], "stopped");
    let calls = stage.calls();
    let asked = calls.iter().find(|call| call["name"] == "llm.complete").expect("it stands in the journal");
    assert_eq!(asked["decision"], "cancelled", "{asked}");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once_and_the_home_is_whole() {
    let component = guest("sleep_year");
    let stage = Stage::granting_within(&component, "wall_run = \"110s\"");
    let running = begin(&mut stage.run(&component, &serde_json::json!({})));
    let patience = Instant::now();
    while !stage.path("home/store.redb").exists() {
        assert!(patience.elapsed() < Duration::from_secs(60), "it never began");
        thread::sleep(Duration::from_millis(20));
    }
    running.interrupt();
    thread::sleep(Duration::from_millis(5));
    running.interrupt();
    let ended = running.end().with(1);
    assert!(ended.took < Duration::from_secs(80), "it ended after {:?}", ended.took);
    // The next one finds the home free, and writes down what was cut.
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(0);
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    assert!(runs.as_array().is_some_and(|runs| runs.iter().all(|run| run["status"] != "running")), "{runs}");
}
