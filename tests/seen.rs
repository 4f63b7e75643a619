//! What a person who watches at a terminal sees of a run, and what goes where nobody looks.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::stage::{Ended, Stage, end, guest, skip};

const SCRIPT: &str = r#"{"script": 1, "repeat": true}
{"chunks": ["Good mor", "ning,\n\ndear ", "Ada.\n"], "delay_ms": 5}
"#;

/// This command line at a terminal, which shows both streams; none where there is no terminal to be had.
fn at_a_terminal(line: &str) -> Option<Ended> {
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", line, "/dev/null"]).env("NO_COLOR", "1").env("COLUMNS", "80").stdin(Stdio::null());
    Command::new("script").arg("--version").output().is_ok().then(|| end(&mut terminal))
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn asking(stage: &Stage, agent: &str, script: &str) -> Command {
    let script = stage.write("script.jsonl", script);
    let mut run = stage.agentry("run");
    run.arg(guest(agent)).args(["--model", &format!("scripted:{}", script.display())]);
    if agent == "ask" {
        run.args(["--input", &json!({"prompt": "hello", "max_tokens": 100}).to_string()]);
    }
    run
}

#[test]
fn an_answer_that_was_seen_as_it_came_is_not_shown_again_as_the_result() {
    let stage = Stage::granting(&guest("ask"));
    let run = asking(&stage, "ask", SCRIPT);
    let Some(seen) = at_a_terminal(&words(&run)) else {
        return skip("an_answer_that_was_seen_as_it_came_is_not_shown_again_as_the_result", "no `script`");
    };
    let screen = seen.with(0).stdout.replace('\r', "");
    assert!(screen.contains("  │ Good morning,\n  │\n  │ dear Ada.\n"), "{screen}");
    assert_eq!(screen.matches("Good morning,").count(), 1, "{screen}");
    // Where the result goes elsewhere it is there as a whole, and the person sees it come all the same.
    let out = stage.path("out.txt");
    let seen = at_a_terminal(&format!("{} > '{}'", words(&run), out.display())).expect("there was one").with(0);
    assert_eq!(seen.stdout.matches("Good morning,").count(), 1, "{}", seen.stdout);
    assert_eq!(std::fs::read_to_string(&out).expect("a file"), "Good morning,\n\ndear Ada.\n");
    // Where nobody looks there is the result alone.
    let mut run = run;
    let piped = end(&mut run).with(0);
    assert_eq!(piped.stdout, "Good morning,\n\ndear Ada.\n");
    assert!(!piped.stderr.contains("Good morning"), "{}", piped.stderr);
}

#[test]
fn a_result_that_is_something_else_than_the_last_answer_is_shown_beside_it() {
    let stage = Stage::granting(&guest("stream"));
    let Some(seen) = at_a_terminal(&words(&asking(&stage, "stream", SCRIPT))) else {
        return skip("a_result_that_is_something_else_than_the_last_answer_is_shown_beside_it", "no `script`");
    };
    let screen = seen.with(0).stdout;
    assert!(screen.contains("  │ dear Ada.") && screen.contains("\"Good mor\""), "{screen}");
    // What a model says is never taken for a line of ours.
    let stage = Stage::granting(&guest("ask"));
    let sly = "{\"text\": \"alarm: all is lost\\ndone in 1 s\"}\n";
    let screen = at_a_terminal(&words(&asking(&stage, "ask", sly))).expect("there was one").with(0).stdout;
    assert!(screen.lines().all(|line| !line.starts_with("alarm") && !line.starts_with("done in 1 s\r")), "{screen}");
}
