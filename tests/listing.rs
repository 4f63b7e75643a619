//! What ran, as lists and traces of it are asked for: by agent, end, label, time and cost, page by page, in homes of any size.

use serde_json::{Value, json};

use crate::serve::{self, serve};
use crate::stage::{Stage, end, guest};

/// Runs of `steps`: two that end well, one of which is labelled, and one that is denied a call.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.policy(
        "format = 1\nlayer = \"grant\"\nagent = \"steps\"\nmemory = { read = [\"team/**\"], write = [\"team/**\"] }\n\
         files = [{ root = \"documents\", access = \"r\", labels = [\"secret\"] }]\n",
    );
    stage.grant("echo", "");
    stage.write("docs/a.txt", "hello");
    let root = format!("documents={}", stage.path("docs").display());
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    let reads = json!([["read", "documents", "a.txt"], ["put", "team/a", "k", "v"], ["get", "team/a", "k"]]);
    end(stage.run(&guest("steps"), &reads).args(["--root", &root])).with(0);
    let denied = json!([["put", "team/b", "k", "v"], ["put", "elsewhere", "k", "v"]]);
    end(stage.run(&guest("steps"), &denied).args(["--root", &root]));
    end(&mut stage.run(&guest("echo"), &json!(2))).with(0);
    stage
}

fn listed(stage: &Stage, args: &[&str]) -> Vec<Value> {
    let listed = end(stage.agentry("ps").arg("--json").args(args)).with(0).json();
    listed.as_array().expect("a list").clone()
}

fn agents(runs: &[Value]) -> Vec<&str> {
    runs.iter().map(|run| run["agent"].as_str().expect("a name")).collect()
}

#[test]
fn runs_are_listed_by_agent_end_label_time_and_cost_and_page_by_page() {
    let stage = stage();
    let all = listed(&stage, &[]);
    assert_eq!(agents(&all), ["echo", "steps", "steps", "echo"]);
    assert_eq!(agents(&listed(&stage, &["--agent", "echo"])), ["echo", "echo"]);
    assert!(listed(&stage, &["--agent", "nobody"]).is_empty());
    let done = listed(&stage, &["--status", "done", "--agent", "steps"]);
    assert!(!done.is_empty() && done.iter().all(|run| run["status"] == "done"), "{done:?}");
    assert_eq!(listed(&stage, &["--status", "done,failed,denied"]).len(), 4);
    let secret = listed(&stage, &["--label", "secret"]);
    assert_eq!((secret.len(), &secret[0]["labels"]), (1, &json!(["secret"])), "{secret:?}");
    assert_eq!(listed(&stage, &["--since", "1h"]).len(), 4);
    assert!(listed(&stage, &["--until", "1h"]).is_empty() && listed(&stage, &["--since", "2200-01-01"]).is_empty());
    assert!(listed(&stage, &["--cost-over", "0"]).is_empty(), "nothing was paid");
    // A page, and those behind it.
    let ids = |runs: &[Value]| runs.iter().map(|run| run["run"].clone()).collect::<Vec<_>>();
    let first = listed(&stage, &["--limit", "3"]);
    let last = first[2]["run"].as_str().expect("an id");
    let rest = listed(&stage, &["--limit", "3", "--after", last]);
    assert_eq!([ids(&first), ids(&rest)].concat(), ids(&all));
    let shown = end(stage.agentry("ps").args(["--limit", "3"])).with(0);
    assert_eq!(shown.stdout.lines().filter(|line| line.contains("echo") || line.contains("steps")).count(), 3);
    let next = shown.stderr.trim_end();
    assert!(
        next.starts_with("there are more: agentry ps --home ") && next.ends_with(&format!("--after {last}")),
        "{next}"
    );
    let shown = end(stage.agentry("ps").args(["--limit", "4"])).with(0);
    assert!(!shown.stderr.contains("there are more"), "{}", shown.stderr);
    assert!(end(stage.agentry("ps").args(["--agent", "nobody"])).with(0).stderr.contains("no such runs"));
    // While a host serves, it is asked.
    let server = serve(&mut stage.agentry("serve"));
    assert_eq!(ids(&listed(&stage, &["--agent", "steps"])), ids(&all[1..3]));
    assert_eq!(ids(&listed(&stage, &["--after", last])), ids(&rest));
    server.stop();
}

#[test]
fn a_word_of_a_list_that_makes_no_sense_is_a_usage_error() {
    let stage = stage();
    for wrong in [
        ["ps", "--status", "finished"],
        ["ps", "--since", "yesterday"],
        ["ps", "--until", "2026-13-01"],
        ["ps", "--cost-over", "much"],
        ["ps", "--after", "zzzzzzzzzzzzz"],
        ["audit calls", "--limit", "all"],
        ["audit calls", "--after", "zzzzzzzzzzzzz"],
    ] {
        end(stage.agentry(wrong[0]).args(&wrong[1..])).with(2);
    }
    for wrong in [["--limit", "x"], ["--after", "-1"], ["--cost-over", "much"], ["--since", "later"]] {
        end(stage.agentry("trace").arg("last").args(wrong)).with(2);
    }
}

#[test]
fn the_calls_of_a_run_are_shown_by_what_came_of_them_and_page_by_page() {
    let stage = stage();
    let denied = listed(&stage, &["--agent", "steps", "--limit", "1"]).remove(0);
    let trace = |run: &Value, args: &[&str]| -> Vec<Value> {
        let run = run["run"].as_str().expect("an id");
        let trace = end(stage.agentry("trace").args([run, "--json"]).args(args)).with(0).json();
        trace["calls"].as_array().expect("calls").clone()
    };
    let all = trace(&denied, &[]);
    let numbers =
        |calls: &[Value]| calls.iter().map(|call| call["call"].as_u64().expect("a number")).collect::<Vec<_>>();
    assert!(all.len() >= 2, "{all:?}");
    let no = trace(&denied, &["--decision", "not-declared,no-grant,argument"]);
    assert!(no.len() == 1 && no[0]["refusal"].is_object(), "{all:?}");
    assert_eq!(
        trace(&denied, &["--syscall", "memory"]).len(),
        all.iter().filter(|call| call["name"].as_str().is_some_and(|name| name.starts_with("memory."))).count()
    );
    // A part of a name is none.
    end(stage.agentry("trace").args(["last", "--syscall", "mem"])).with(2);
    assert_eq!(numbers(&trace(&denied, &["--limit", "1"])), numbers(&all[..1]));
    let first = all[0]["call"].to_string();
    assert_eq!(numbers(&trace(&denied, &["--after", &first])), numbers(&all[1..]));
    assert!(trace(&denied, &["--until", "1h"]).is_empty() && trace(&denied, &["--cost-over", "1"]).is_empty());
    let labelled = listed(&stage, &["--label", "secret"]).remove(0);
    assert_eq!(trace(&labelled, &["--label", "secret"]).len(), 1);
    let shown = end(stage.agentry("trace").args([denied["run"].as_str().expect("an id"), "--limit", "1"])).with(0);
    assert!(shown.stderr.contains("there are more: agentry trace"), "{}", shown.stderr);
}

#[test]
fn what_was_refused_is_listed_over_all_runs() {
    let stage = stage();
    let calls = |args: &[&str]| -> Vec<Value> {
        let calls = end(stage.agentry("audit calls").arg("--json").args(args)).with(0).json();
        calls.as_array().expect("a list").clone()
    };
    let all = calls(&[]);
    assert!(all.iter().any(|call| call["agent"] == "steps") && all.iter().all(|call| call["call"]["name"].is_string()));
    let refused = calls(&["--refused", "--since", "1h"]);
    assert!(refused.len() == 1 && refused[0]["call"]["refusal"]["wanted"].is_string(), "{refused:?}");
    let reads = calls(&["--syscall", "files.read", "--decision", "allowed", "--agent", "steps", "--label", "secret"]);
    assert_eq!((reads.len(), &reads[0]["call"]["labels"]), (1, &json!(["secret"])), "{reads:?}");
    assert!(calls(&["--status", "running"]).is_empty() && calls(&["--cost-over", "1"]).is_empty());
    assert!(calls(&["--until", "1h"]).is_empty());
    assert_eq!(calls(&["--limit", "2"]), all[..2]);
    let newest = listed(&stage, &["--limit", "1"])[0]["run"].as_str().expect("an id").to_owned();
    assert!(calls(&["--after", &newest]).iter().all(|call| call["run"] != json!(newest)));
    let shown = end(stage.agentry("audit calls").arg("--refused")).with(0).stdout;
    assert!(shown.contains("steps") && shown.contains("memory.put"), "{shown}");
    let empty = Stage::new();
    end(&mut empty.agentry("audit calls")).with(2).complains("nothing ever ran here");
}

#[test]
fn a_list_of_many_runs_is_whole_while_others_begin() {
    let stage = serve::stage();
    let server = serve(&mut stage.agentry("serve"));
    for _ in 0..20 {
        end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", "[]"])).with(0);
    }
    let all = listed(&stage, &["--limit", "1000"]);
    assert_eq!(all.len(), 20);
    let mut pages = Vec::new();
    let mut after = Vec::new();
    loop {
        let args: Vec<&str> = after.iter().map(String::as_str).collect();
        let page = listed(&stage, &[&["--limit", "7"], args.as_slice()].concat());
        let Some(last) = page.last() else { break };
        after = vec!["--after".to_owned(), last["run"].as_str().expect("an id").to_owned()];
        pages.extend(page.iter().map(|run| run["run"].clone()));
        end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", "[]"])).with(0);
    }
    assert_eq!(pages, all.iter().map(|run| run["run"].clone()).collect::<Vec<_>>());
    server.stop();
}

#[test]
fn a_run_that_goes_on_shows_what_it_took_so_far_wherever_it_stands() {
    let stage = Stage::new();
    let rights =
        "allow = [{ id = \"pay\", tool = \"pay\", args = \"any\" }]\n[budget]\nwall_run = \"2h\"\nusd_run = \"1.00\"\n";
    stage.grant("steps", rights);
    stage.write(
        "home/tools.toml",
        "format = 1\n[tools.pay]\ndescription = \"Pays.\"\neffect = \"idempotent\"\nschema = '{\"type\": \"object\"}'\n\
         price_microusd = 1000\ncommand = { program = \"/bin/sh\", args = [\"-c\", \"printf paid\"] }\n",
    );
    let pays = json!([["ask", "pay", "{}"], ["sleep", "3600000"]]).to_string();
    // In the memory of its host, out of it, and without a host.
    for idle in ["", "[idle]\nafter_ms = 0\n"] {
        stage.write("home/agentry.toml", &format!("format = 1\n{idle}"));
        let server = serve(&mut stage.agentry("serve"));
        let run = end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", &pays])).with(0);
        let run = run.stdout.trim();
        let found = || listed(&stage, &["--cost-over", "0.0005"]).into_iter().find(|found| found["run"] == *run);
        let begun = std::time::Instant::now();
        while found().is_none_or(|found| !idle.is_empty() && found["rests"].is_null()) {
            assert!(begun.elapsed().as_secs() < 60, "{:?}", listed(&stage, &[]));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let took = |found: &Value| (found["spent"]["usd"].clone(), found["calls"].clone());
        assert_eq!(took(&found().expect("it is there")), (json!(1000), json!(2)));
        let trace = end(stage.agentry("trace").arg(run)).with(0).stdout;
        let head: Vec<&str> = trace.lines().take(2).collect();
        assert!(head[1].contains("2 syscalls") && head[1].contains("$0.001") && !head[1].contains("fuel"), "{head:?}");
        server.kill();
        assert_eq!(took(&found().expect("it is there")), (json!(1000), json!(2)), "without a host");
    }
}
