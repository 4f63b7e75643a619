//! One misbehaving guest a file, one module here a guest: each is ended within its limits and reported, and the host goes on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::greedy::*;
use crate::stage::{Ended, Stage, end, guest};
// These have files of their own.
#[allow(unused_imports, reason = "that the names exist is the point")]
use crate::agents::{clerk, fork_bomb, worker};
#[allow(unused_imports, reason = "that the names exist is the point")]
use crate::hostile::busy_host;
#[allow(unused_imports, reason = "that the names exist is the point")]
use crate::languages::rust;
#[allow(unused_imports, reason = "that the names exist is the point")]
use crate::mail::flood_mail;
#[allow(unused_imports, reason = "that the names exist is the point")]
use crate::{http, mcp, tools};

/// Enough for any honest guest, little for one that wastes it.
const BUDGET: &str =
    "fuel_run = 2_000_000_000\nwall_run = \"40s\"\nmemory_mb = 32\ntokens_run = 20_000\nllm_calls_run = 20";

/// No guest holds the host longer than its wall time and some patience for a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

const ANSWERS: &str = "{\"script\": 1, \"repeat\": true}\n{\"chunks\": [\"one \", \"two\"]}\n";

/// A build fails when a guest has no module here.
#[allow(unused_imports, reason = "that the names exist is the point")]
mod each_has_a_test {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}

/// A home and what came of a run in it.
pub struct Run {
    pub stage: Stage,
    pub ended: Ended,
}

pub fn run(name: &str) -> Run {
    run_with(name, &json!({}))
}

/// The same for a guest that waits: it has four seconds.
pub fn run_short(name: &str) -> Run {
    run_within(name, &json!({}), &BUDGET.replace("40s", "4s"))
}

pub fn run_with(name: &str, input: &Value) -> Run {
    run_within(name, input, BUDGET)
}

fn run_within(name: &str, input: &Value, budget: &str) -> Run {
    let component = guest(name);
    let stage = Stage::granting_within(&component, budget);
    let ended = end(&mut stage.run_on(ANSWERS, &component, input));
    assert!(ended.took < SOON, "{name} held the host for {:?}", ended.took);
    stage.replays();
    // Whatever it was refused cost nothing; and whatever it did, the same home runs the next one.
    stage.nothing_moved(&[]);
    Run { stage, ended }
}

impl Run {
    pub fn ends(self, code: i32, status: &str, why: &str) -> Self {
        let Self { stage, ended } = self;
        let ended = ended.with(code);
        let report = ended.json();
        assert_eq!(report["status"], status, "{report}");
        let failure = report["failure"].as_str().unwrap_or_default();
        assert!(failure.contains(why), "`{why}` is not why: {failure}");
        assert_eq!(stage.last()["status"], status, "the journal says otherwise");
        Self { stage, ended }
    }

    pub fn gives(self) -> Value {
        self.ended.with(0).json()["output"].clone()
    }
}

/// Runs a guest that may use the roots `documents` and `reports`.
fn run_on_files(name: &str) -> (Stage, Value) {
    let component = guest(name);
    let stage = Stage::drafting(&component);
    stage.write("documents/a.txt", "public");
    stage.write("secret.txt", "secret");
    let (documents, reports) = (stage.directory("documents"), stage.directory("reports"));
    for root in [&documents, &reports] {
        std::os::unix::fs::symlink(stage.path(""), root.join("link")).expect("a link");
    }
    let mut run = stage.run(&component, &json!({}));
    for (root, directory) in [("documents", documents), ("reports", reports)] {
        run.arg("--root").arg(format!("{root}={}", directory.display()));
    }
    let output = end(&mut run).with(0).json()["output"].clone();
    stage.replays();
    (stage, output)
}

mod echo {
    use super::*;

    #[test]
    fn gives_back_what_it_got() {
        let input = json!({"text": "grün \u{0} 🦀", "numbers": [1, -2, 3.5]});
        assert_eq!(run_with("echo", &input).gives(), input);
    }
}

mod drop_futures {
    use super::*;

    #[test]
    fn a_dropped_call_gives_back_what_was_held() {
        let run = run("drop_futures");
        let ended = run.ended.with(0);
        assert_eq!(ended.json()["output"], "one two");
    }
}

mod abandon {
    use super::*;

    #[test]
    fn calls_in_flight_at_the_end_are_settled_and_not_waited_for() {
        let run = run("abandon").ends(0, "done", "");
        assert!(run.ended.took < Duration::from_secs(30), "{:?}", run.ended.took);
    }
}

mod ask {
    use super::*;

    #[test]
    fn a_question_is_answered() {
        assert_eq!(run_with("ask", &json!({"prompt": "count"})).gives(), "one two");
    }

    #[test]
    fn a_model_that_nobody_has_is_not_found() {
        let run = run_with("ask", &json!({"prompt": "count", "model": "none"}));
        assert_ne!(run.ended.code, 0);
        assert_eq!(run.ended.json()["cost_microusd"], 0);
    }
}

mod laborer {
    use super::*;

    #[test]
    fn what_it_may_not_ask_ends_it() {
        run_with("laborer", &json!({"name": "nobody", "rounds": 1})).ends(3, "denied", "");
    }
}

mod steps {
    use super::*;

    #[test]
    fn each_step_tells_what_it_gave() {
        let steps = json!([["put", "agent/test/x", "k", "v"], ["get", "agent/test/x", "k"], ["get", "other", "k"]]);
        let told = run_with("steps", &steps).gives();
        assert_eq!((&told[0], &told[1]), (&json!("1"), &json!("\"v\" []")));
        assert!(told[2].as_str().is_some_and(|told| told.starts_with("no: denied")), "{told}");
    }
}

mod stream {
    use super::*;

    #[test]
    fn the_pieces_and_the_whole_are_the_same_text() {
        assert_eq!(run("stream").gives(), json!([["one ", "two"], "one two"]));
    }
}

mod stream_drop {
    use super::*;

    #[test]
    fn a_future_without_its_stream_still_ends() {
        assert_eq!(run("stream_drop").gives(), "one two");
    }
}

mod ask_many {
    use super::*;

    #[test]
    fn each_of_many_is_answered() {
        assert_eq!(run_with("ask_many", &json!(["a", "b"])).gives(), json!(["one two", "one two"]));
    }
}

mod last_cent {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_is_answered() {
        let run = run_within("last_cent", &json!(8), "llm_calls_run = 3\nwall_run = \"40s\"");
        assert_eq!(run.gives(), json!([3, 5, 0]));
    }
}

mod joined {
    use super::*;

    #[test]
    fn calls_of_one_run_make_progress_together() {
        let script = "{\"script\": 1, \"repeat\": true}\n{\"text\": \"x\", \"delay_ms\": 2000}\n";
        let component = guest("joined");
        let stage = Stage::granting(&component);
        let output = end(&mut stage.run_on(script, &component, &json!({}))).with(0).json()["output"].clone();
        // Two pauses of 2 s an answer; one after the other would be 8 s.
        assert!(output[2].as_u64().is_some_and(|ms| (4000..7000).contains(&ms)), "{output}");
    }
}

mod measure {
    use super::*;

    #[test]
    fn every_call_that_it_makes_stands_in_the_journal() {
        let run = run_with("measure", &json!({"calls": 5, "asks": 2}));
        let calls = run.stage.calls();
        let named = |name: &str| calls.iter().filter(|call| call["name"] == name).count();
        assert_eq!((named("timers.now"), named("llm.complete")), (5, 2), "{calls:?}");
        assert_eq!(run.gives(), 7);
    }
}

mod memory {
    use super::*;

    #[test]
    fn entries_come_back_page_by_page_and_go_when_deleted() {
        assert_eq!(run_with("memory", &json!(1000)).gives(), json!([1, ["entry-00000", "entry-00001"]]));
    }
}

mod conflict {
    use super::*;

    #[test]
    fn a_write_over_a_version_that_is_gone_writes_nothing() {
        assert_eq!(run("conflict").gives(), json!([true, true, 2]));
    }
}

mod huge_keys {
    use super::*;

    #[test]
    fn names_of_a_wrong_size_are_refused_and_trap_nobody() {
        let given = run("huge_keys").gives();
        for (what, said) in given.as_object().expect("it tells of each try") {
            assert!(!said.as_str().is_some_and(|said| said.starts_with("version")), "{what}: {said}");
        }
    }
}

mod files {
    use super::*;

    #[test]
    fn files_are_written_read_listed_and_deleted() {
        let (stage, given) = run_on_files("files");
        assert_eq!(given, json!(["second", 6, ["a/b/report.md"], true]));
        assert!(!stage.path("reports/a/b/report.md").exists());
    }
}

mod escape_files {
    use super::*;

    #[test]
    fn no_path_leads_out_of_a_root() {
        let (stage, given) = run_on_files("escape_files");
        for (what, said) in given.as_object().expect("it tells of each try") {
            let said = said.as_str().unwrap_or_default();
            assert!(!said.ends_with(" bytes") && said != "written", "{what}: {said}");
            assert!(!said.contains(&stage.path("").display().to_string()), "{what} shows a path of the host: {said}");
        }
        assert_eq!(std::fs::read_to_string(stage.path("secret.txt")).expect("it is there"), "secret");
    }
}

mod reach_out {
    use super::*;

    #[test]
    fn std_reaches_nothing_that_the_table_does_not_give() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        listener.set_nonblocking(true).expect("it need not wait");
        let port = listener.local_addr().expect("it has an address").port();
        let given = run_with("reach_out", &json!(port)).gives();
        for what in ["read a file", "write a file", "list the root", "list here"] {
            assert_eq!(given[what], "refused", "{what}");
        }
        assert_eq!(given["environment"], "0 variables");
        assert!(matches!(given["stdin"].as_str(), Some("refused" | "\"\"")), "{given}");
        for what in ["connect", "listen", "datagram"] {
            assert_eq!(given[what], "PermissionDenied", "{what}: {given}");
        }
        // A count of addresses would be an answer.
        assert!(given["look up"].as_str().is_some_and(|kind| kind.parse::<usize>().is_err()), "{given}");
        assert!(listener.accept().is_err(), "somebody connected");
    }
}

mod determinism {
    use super::*;

    #[test]
    fn time_stands_still_while_it_computes() {
        let given = run("determinism").gives();
        // Reading a clock is a syscall, and time moves at syscalls alone.
        assert!(given["computed_ns"].as_u64().is_some_and(|ns| ns < 1_000_000_000), "{given}");
        let (clock, system) = (given["clock_ms"].as_u64(), given["system_ms"].as_u64());
        assert!(clock.zip(system).is_some_and(|(clock, system)| system.abs_diff(clock) < 1_000), "{given}");
    }
}

mod later {
    use super::*;

    #[test]
    fn what_is_not_there_yet_says_so_and_nothing_pretends() {
        let component = guest("later");
        let stage = Stage::new();
        stage.policy(
            "format = 1\nlayer = \"grant\"\nagent = \"later\"\nllm = { models = [\"*\"] }\n\
             memory = { read = [\"agent/test/**\"], write = [\"agent/test/**\"] }\n",
        );
        let given = end(&mut stage.run_on(ANSWERS, &component, &json!({}))).with(0).json()["output"].clone();
        for (what, said) in given.as_object().expect("it tells of each call") {
            assert!(said.as_str().is_some_and(|said| said.starts_with("unavailable: ")), "{what}: {said}");
        }
    }
}

mod ungranted {
    use super::*;

    #[test]
    fn what_is_declared_and_not_granted_is_denied_call_by_call() {
        let component = guest("ungranted");
        let stage = Stage::new();
        stage.policy("format = 1\nlayer = \"grant\"\nagent = \"ungranted\"\n");
        let ended = end(&mut stage.run_on(ANSWERS, &component, &json!({}))).with(0);
        let report = ended.json();
        let given = report["output"].as_object().expect("it tells of each call");
        for (what, said) in given {
            assert!(said.as_str().is_some_and(|said| said.starts_with("denied (no-grant")), "{what}: {said}");
            assert!(ended.stderr.contains(&format!("denied  ungranted → {what}: ")), "{what} is not told");
        }
        assert_eq!(report["refusals"].as_array().map(Vec::len), Some(given.len()), "{report}");
        stage.costs_nothing(&[]);
    }
}

mod free {
    use super::*;

    #[test]
    fn clock_budget_and_log_need_no_grant_and_waits_have_a_maximum() {
        let component = guest("free");
        let stage = Stage::new();
        let head = "format = 1\nlayer = \"grant\"\nagent = \"free\"\n";
        stage.policy(&format!("{head}[budget]\nwall_run = \"40s\"\ntokens_run = 1234\n"));
        let ended = end(&mut stage.run(&component, &json!({}))).with(0);
        let given = ended.json()["output"].clone();
        assert!(given["slept_ms"].as_u64().is_some_and(|ms| (50..40_000).contains(&ms)), "{given}");
        assert!(given["left_ms"].as_u64().is_some_and(|ms| (1..40_000).contains(&ms)), "{given}");
        assert_eq!(given["tokens"], 1234);
        assert!(given["limited"].as_u64().is_some_and(|limited| limited >= 2), "{given}");
        assert!(given["too_long"].as_str().is_some_and(|said| said.starts_with("invalid: ")), "{given}");
        assert!(ended.stderr.contains("this is in the trace"), "{}", ended.stderr);
        assert!(stage.calls().iter().any(|call| call["name"] == "log.event"), "the line is not in the journal");
    }
}

mod models {
    use super::*;

    fn lists(granted: &str) -> Ended {
        let component = guest("models");
        let stage = Stage::new();
        stage.policy(&format!("format = 1\nlayer = \"grant\"\nagent = \"models\"\n{granted}"));
        let ended = end(&mut stage.run_on(ANSWERS, &component, &json!({})));
        stage.costs_nothing(&[]);
        ended
    }

    #[test]
    fn the_models_that_are_granted_are_listed_and_count_tokens() {
        let report = lists("llm = { models = [\"scripted\"] }\n").with(0).json();
        assert_eq!(report["output"][0], json!(["scripted"]));
        assert!(report["output"][1].as_u64().is_some_and(|tokens| tokens >= 3), "{report}");
        assert_eq!(report["usage"]["tokens"], 0, "counting is free");
    }

    #[test]
    fn models_that_are_not_granted_are_not_listed() {
        let ended = lists("llm = { models = [\"other-*\"] }\n").with(3);
        assert!(ended.stderr.contains("0 models"), "{}", ended.stderr);
        let report = ended.json();
        assert_eq!(report["refusals"][0]["wanted"], "llm.count-tokens", "listing is no refusal: {report}");
    }
}

mod typed_input {
    use super::*;

    #[test]
    fn an_input_that_does_not_fit_names_the_field() {
        let input = json!({"lines": [{"amount": 1}, {"amount": "many"}]});
        run_with("typed_input", &input).ends(1, "failed", "lines[1].amount");
    }
}

mod person {
    use super::*;

    #[test]
    fn what_people_cannot_be_asked_is_the_mistake_of_the_agent() {
        let component = guest("person");
        let stage = Stage::new();
        stage.policy("format = 1\nlayer = \"grant\"\nagent = \"person\"\nhuman = { ask = true }\n");
        let wrong = [
            json!({"ask": {"text": ""}}),
            json!({"ask": {"text": "?", "choices": [" "]}}),
            json!({"ask": {"text": "?", "choices": vec!["x"; 17]}}),
            json!({"ask": {"text": "?", "expires_s": 0}}),
        ];
        let report = end(&mut stage.run(&component, &json!(wrong))).with(0).json();
        let told = report["output"].as_array().expect("a list");
        assert!(told.iter().all(|told| told.as_str().is_some_and(|told| told.starts_with("no: invalid"))), "{report}");
        assert_eq!(report["refusals"], json!([]));
    }
}
