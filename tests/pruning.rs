//! Journals that go: by a word or by `[retention]`, beside a host or without one, with the chain, the books and all that goes on as before; and what they
//! leave goes back to the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::approvals::{approve, id, open};
use crate::serve::{Server, serve};
use crate::stage::{Ended, Stage, begin, end, guest};

/// A home in which `steps` may write, sell with a person's yes, and rest; and `fail` may fail.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.grant(
        "steps",
        "memory = { read = [\"team/**\"], write = [\"team/**\"] }\nhuman = { ask = true }\n[budget]\nwall_run = \"1h\"\n\
         tool_calls_run = 10\n[[allow]]\nid = \"steps/test\"\ntool = \"test.*\"\nargs = \"any\"\n",
    );
    stage.grant("fail", "");
    let tools = "format = 1\n[tools.\"test.sell\"]\ndescription = \"For a test.\"\neffect = \"irreversible\"\n\
                 schema = '{\"type\": \"object\"}'\ncommand = { program = \"/bin/echo\", args = [\"sold\"] }\n";
    let site = "format = 1\nlayer = \"site\"\n[[require]]\nid = \"site/sell\"\ntool = \"test.sell\"\n\
                approval = { from = \"anyone\", factor = \"confirm\" }\nwhy = \"A person reads each order first.\"\n";
    for (name, text) in [("home/tools.toml", tools), ("home/policies/00-site.toml", site)] {
        let file = stage.write(name, text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }
    settings(&stage, "");
    stage
}

fn settings(stage: &Stage, more: &str) {
    stage.write("home/agentry.toml", &format!("format = 1\naudit.heads = \"../heads\"\n[idle]\nafter_ms = 0\n{more}"));
}

fn serving(stage: &Stage) -> Server {
    serve(stage.agentry("serve").args(["--drain", "0s"]))
}

fn detach(stage: &Stage, agent: &str, steps: &Value) -> String {
    let run = end(stage.agentry("run").arg("--detach").arg(guest(agent)).args(["--input", &steps.to_string()]));
    run.with(0).stdout.trim().to_owned()
}

fn runs(stage: &Stage) -> Vec<Value> {
    let runs = end(stage.agentry("ps").args(["--json", "--limit", "100000"])).with(0).json();
    runs.as_array().expect("a list").clone()
}

fn of(stage: &Stage, run: &str) -> Value {
    runs(stage).into_iter().find(|found| found["run"] == run).expect("it is there")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn over(run: &Value) -> bool {
    run["status"] != "running" && run["status"] != "suspended"
}

fn prune(stage: &Stage, more: &[&str]) -> Ended {
    end(stage.agentry("prune").args(["--older-than", "0s", "--json"]).args(more))
}

fn audit(stage: &Stage) -> Value {
    end(stage.agentry("audit verify").arg("--json")).with(0).json()
}

/// A text that memory does not keep: what a person is asked.
fn word(n: u64) -> Value {
    json!([["sleep", "1"], ["put", "other/x", format!("w{n}"), "y".repeat(9000)]])
}

#[test]
fn old_journals_go_beside_a_host_and_the_chain_the_books_and_what_goes_on_stay() {
    let stage = stage();
    let server = serving(&stage);
    let done: Vec<_> = (0..12).map(|n| detach(&stage, "steps", &word(n))).collect();
    let failed = detach(&stage, "fail", &json!(null));
    let sold = detach(&stage, "steps", &json!([["ask", "test.sell", "{}"]]));
    approve(&stage, &id(&open(&stage, 1)[0]), &[]).with(0);
    let wrote = detach(&stage, "steps", &json!([["put", "team/b", "k", "v"]]));
    until("they are over", || runs(&stage).iter().all(over));
    let sleeps = detach(&stage, "steps", &json!([["sleep", "9000"], ["put", "team/b", "late", "x"]]));
    until("it rests", || !of(&stage, &sleeps)["rests"].is_null());
    let (books, log) = (stage.budget(), audit(&stage));
    let look = prune(&stage, &["--keep", "failed,approved", "--dry-run"]).with(0).json();
    assert_eq!((&look["runs"], &look["kept"], &look["dry_run"]), (&json!(12), &json!(3), &json!(true)), "{look}");
    assert_eq!(audit(&stage)["pruned"], 0, "nothing went");
    let went = prune(&stage, &["--keep", "failed,approved"]).with(0).json();
    for figure in ["runs", "segments", "journal_bytes", "contents", "content_bytes", "kept"] {
        assert_eq!(went[figure], look[figure], "{figure}: what was said before");
    }
    assert!(went["contents"].as_u64() >= Some(12), "{went}");
    assert_eq!(stage.budget(), books, "the books are what they were");
    let after = audit(&stage);
    assert_eq!((&after["pruned"], &after["pruned_runs"]), (&went["segments"], &json!(12)), "{after}");
    assert!(after["segments"].as_u64() > log["segments"].as_u64());
    // What is left of each.
    for run in &done {
        let shown = of(&stage, run);
        assert!(shown["status"] == "done" && shown["spent"].is_object(), "{shown}");
        assert_eq!(shown["pruned"]["digest"].as_str().map(str::len), Some(64), "{shown}");
    }
    let run = done[0].as_str();
    assert!(end(&mut stage.agentry("ps")).with(0).stdout.contains("its journal was pruned"));
    for verb in ["trace", "logs"] {
        assert!(end(stage.agentry(verb).arg(run)).with(0).stdout.contains("its journal was pruned"), "{verb}");
        let json = end(stage.agentry(verb).args([run, "--json"])).with(0).json();
        assert!(json["pruned"]["digest"].is_string() || json["kind"] == "pruned", "{json}");
    }
    for verb in ["replay", "export"] {
        let out = stage.path("out").display().to_string();
        let more: &[&str] = if verb == "export" { &["--out", &out] } else { &[] };
        end(stage.agentry(verb).arg(run).args(more)).with(2).complains("was pruned on");
    }
    end(stage.agentry("wait").args([run, "--json"])).with(0);
    // What was to stay, and what an entry of memory names.
    for kept in [&failed, &sold, &wrote, &sleeps] {
        assert_eq!(of(&stage, kept)["pruned"], Value::Null, "{kept}");
    }
    end(stage.agentry("wait").args([&sleeps, "--timeout", "60s"])).with(0);
    server.stop();
    for kept in [&failed, &sold, &wrote, &sleeps] {
        assert_eq!(end(stage.agentry("replay").args([kept, "--json"])).with(0).json()["same"], true, "{kept}");
    }
    // Without a host.
    let rest = prune(&stage, &[]).with(0).json();
    assert_eq!((&rest["runs"], &rest["kept"]), (&json!(2), &json!(2)), "{rest}");
    assert_eq!(prune(&stage, &[]).with(0).json()["runs"], 0);
    audit(&stage);
}

#[test]
fn what_prune_is_told_must_make_sense() {
    let stage = stage();
    prune(&stage, &[]).with(2).complains("nothing ever ran");
    end(&mut stage.agentry("prune")).with(2).complains("nothing says how old is old");
    prune(&stage, &["--keep", "faild"]).with(2).complains("is no way for a run to end");
    assert!(end(stage.agentry("prune").args(["--keep", "failed"])).with(2).stderr.contains("--older-than"));
    assert!(end(stage.agentry("prune").args(["--older-than", "soon"])).with(2).stderr.contains("no length of time"));
    end(&mut stage.agentry("compact")).with(2).complains("there is no store");
    for (more, says) in [
        ("[retention]\nended = 90\n", "ended"),
        ("[retention]\nended = \"soon\"\n", "no length of time"),
        ("[retention]\nkeep = [\"failed\"]\n", "no `ended`"),
        ("[retention]\nended = \"1d\"\nkeep = [\"faild\"]\n", "no way for a run to end"),
        ("[retention]\nended = \"1d\"\nkept = []\n", "unknown key"),
    ] {
        settings(&stage, more);
        end(&mut stage.run(&guest("fail"), &json!(null))).with(2).complains(says);
    }
}

#[test]
fn a_host_prunes_by_itself_what_is_old_enough() {
    let stage = stage();
    settings(&stage, "[retention]\nended = \"1s\"\nkeep = [\"failed\"]\n");
    let server = serving(&stage);
    let (done, failed) = (detach(&stage, "steps", &word(1)), detach(&stage, "fail", &json!(null)));
    until("they are over", || runs(&stage).iter().all(over));
    thread::sleep(Duration::from_millis(1100));
    // A host looks when it has begun, and then once an hour.
    server.stop();
    let server = serving(&stage);
    until("its journal goes", || !of(&stage, &done)["pruned"].is_null());
    assert_eq!(of(&stage, &failed)["pruned"], Value::Null);
    assert_eq!(audit(&stage)["pruned_runs"], 1);
    server.stop();
    // A person's word by the same rule.
    let again = end(stage.agentry("prune").arg("--json")).with(0).json();
    assert_eq!((&again["runs"], &again["kept"]), (&json!(0), &json!(1)), "{again}");
}

#[test]
fn a_host_that_is_killed_while_it_prunes_loses_nothing() {
    let stage = stage();
    let mut server = serving(&stage);
    let sleeps = detach(&stage, "steps", &json!([["sleep", "3600000"]]));
    for round in 0..6_u64 {
        let begun = runs(&stage).len();
        for n in 0..20 {
            detach(&stage, "steps", &word(round * 20 + n));
        }
        until("they are over", || runs(&stage).iter().filter(|run| over(run)).count() == begun + 19);
        let pruning = begin(stage.agentry("prune").args(["--older-than", "0s", "--json"]));
        thread::sleep(Duration::from_millis(5 + round * 9));
        server.kill();
        let ended = pruning.end();
        assert!(ended.code == 0 || ended.code == 5, "{} {}", ended.code, ended.stderr);
        audit(&stage);
        server = serving(&stage);
    }
    let books = stage.budget();
    prune(&stage, &[]).with(0);
    assert_eq!(stage.budget(), books);
    let all = runs(&stage);
    assert!(all.iter().filter(|run| over(run)).all(|run| !run["pruned"].is_null()), "{all:#?}");
    assert_eq!(audit(&stage)["pruned_runs"], 120);
    let look = prune(&stage, &["--dry-run"]).with(0).json();
    assert_eq!((&look["runs"], &look["contents"]), (&json!(0), &json!(0)), "nothing was left behind");
    end(stage.agentry("kill").arg(&sleeps)).with(0);
    server.stop();
}

#[test]
fn what_went_goes_back_to_the_disk_and_doctor_says_what_grew() {
    let stage = stage();
    let server = serving(&stage);
    for n in 0..60 {
        let steps = json!([["put", "other/x", format!("w{n}"), "y".repeat(60_000)]]);
        detach(&stage, "steps", &steps);
    }
    until("they are over", || runs(&stage).iter().all(over));
    let growth = || {
        let all = end(stage.agentry("doctor").arg("--json")).json();
        let found = all.as_array().expect("a list").iter().find(|finding| finding["about"] == "growth").cloned();
        found.expect("it looks")
    };
    let before = growth();
    let tables = &before["figures"]["store"]["tables"];
    assert!(tables["contents"]["bytes"].as_u64() > Some(60 * 60_000), "{before}");
    assert!(tables["journals"]["rows"].as_u64() >= Some(120), "{before}");
    assert!(before["figures"]["store"]["day_bytes"].as_u64() > Some(60 * 60_000), "{before}");
    assert!(before["found"].as_str().is_some_and(|found| found.contains("contents") && found.contains("a day")));
    end(&mut stage.agentry("compact")).with(5).complains("another agentry is using");
    prune(&stage, &[]).with(0);
    let after = growth();
    assert!(after["figures"]["store"]["tables"]["contents"]["bytes"].as_u64() < Some(3_000_000), "{after}");
    server.stop();
    let compacted = end(stage.agentry("compact").arg("--json")).with(0).json();
    let (was, is) = (compacted["before_bytes"].as_u64(), compacted["after_bytes"].as_u64());
    assert!(is < was.map(|was| was / 2), "{compacted}");
    assert!(end(&mut stage.agentry("compact")).with(0).stdout.contains("compacted"));
    audit(&stage);
    let log = fs::read_to_string(stage.path("heads")).expect("the second place");
    assert!(!log.is_empty());
}

#[test]
fn what_is_asked_about_journals_that_went_is_answered_so() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    end(stage.agentry("prune").args(["--older-than", "0s"])).with(0);
    let gone = "the journals of 1 run were pruned, and their calls with them";
    let simulate = |more: &[&str]| end(stage.agentry("policy simulate").args(["--against", "all"]).args(more)).with(0);
    assert!(simulate(&[]).stderr.contains(gone), "{}", simulate(&[]).stderr);
    assert_eq!(simulate(&["--json"]).json()["pruned_runs"], 1);
    end(stage.agentry("policy learn").arg("echo")).with(2).complains("nothing is left to learn from");
    let waited = end(stage.agentry("wait").arg("last")).with(0);
    assert!(waited.stdout.is_empty() && waited.stderr.contains("and its output with it"), "{}", waited.stderr);
    let verified = end(&mut stage.agentry("audit verify")).with(0).stdout;
    // A slow run is written in more than one.
    assert!(verified.contains(" · 1 entry · ") && verified.contains(" of 1 run w"), "{verified}");
    // What is left of it in the log is nothing that pruning would free.
    let doctor = end(stage.agentry("doctor").arg("--json")).json();
    let growth =
        doctor.as_array().expect("a list").iter().find(|one| one["about"] == "growth").expect("growth").clone();
    assert_eq!(growth["figures"]["store"]["prunable_bytes"], 0, "{growth}");
    end(&mut stage.run(&guest("echo"), &json!(2))).with(0);
    assert!(end(stage.agentry("policy learn").arg("echo")).with(0).stderr.contains(gone));
}
