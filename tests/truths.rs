//! Questions about policy are answered with what is so, or with "unknown": what was really called, every reason, what nothing new passes for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::approvals::{CONFIRM, approve, ask, id, open, stage as asked_stage};
use crate::stage::{Stage, begin, end, guest};

/// A home with a tool that does nothing, in which `steps` may post what begins with `ok`.
fn stage(args: &str) -> Stage {
    let stage = Stage::new();
    let allow = format!("[[allow]]\nid = \"steps/post\"\ntool = \"post\"\n{args}\nwhy = \"x\"\n");
    stage.grant("steps", &format!("memory = {{ read = [\"**\"], write = [\"**\"] }}\n{allow}"));
    let tools = stage.write(
        "home/tools.toml",
        "format = 1\n[tools.post]\ndescription = \"Tells the world.\"\neffect = \"egress\"\nschema = '{\"type\": \"object\"}'\n\
         command = { program = \"/bin/true\" }\n",
    );
    fs::set_permissions(tools, fs::Permissions::from_mode(0o644)).expect("it is ours");
    stage
}

const NARROW: &str = "args.text = { prefix = \"ok\" }";

fn site(stage: &Stage, rules: &str) {
    let file = stage.write("home/policies/00-site.toml", &format!("format = 1\nlayer = \"site\"\n{rules}"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
}

fn post(text: &str) -> Value {
    json!([["call", "post", json!({"text": text}).to_string()]])
}

fn explain(stage: &Stage, call: &[&str]) -> Value {
    end(stage.agentry("policy explain").args(call).arg("--json")).json()
}

#[test]
fn a_refused_call_is_explained_with_the_arguments_that_it_had() {
    let stage = stage(NARROW);
    end(&mut stage.run(&guest("steps"), &post("no, never"))).with(0);
    let told = explain(&stage, &["last/1"]);
    assert_eq!((&told["answer"], &told["call"]["args"]["text"]), (&json!("deny"), &json!("no, never")), "{told}");
    assert_eq!(told["argument"]["name"], "text", "{told}");
    // Under a wider policy the same call would pass, and what was said then is told too.
    let wide =
        fs::read_to_string(stage.path("home/policies/50-steps.toml")).expect("a grant").replace("\"ok\"", "\"no\"");
    stage.write("home/policies/50-steps.toml", &wide);
    let told = explain(&stage, &["last/1"]);
    assert_eq!((&told["answer"], &told["then"]["code"]), (&json!("allow"), &json!("argument")), "{told}");
    let simulated = end(stage.agentry("policy simulate").args(["--against", "last", "--json"])).with(1).json();
    assert_eq!((&simulated["allowed"], &simulated["unknown"]), (&json!(1), &json!([])), "{simulated}");
}

#[test]
fn a_run_that_a_script_answered_is_judged_by_its_policy_and_not_by_the_script() {
    let stage = Stage::granting(&guest("ask"));
    let script = "{\"script\": 1, \"max_output_tokens\": 64}\n{\"text\": \"an answer\"}\n";
    end(&mut stage.run_on(script, &guest("ask"), &json!({"prompt": "hello", "max_tokens": 32}))).with(0);
    let simulated = end(stage.agentry("policy simulate").args(["--against", "last", "--json"])).with(0).json();
    assert_eq!(simulated["changed"], json!([]), "{simulated}");
    let calls = stage.calls();
    let asked = calls.iter().find(|call| call["name"].as_str().is_some_and(|name| name.starts_with("llm")));
    let asked = format!("last/{}", asked.expect("it asked")["call"]);
    end(stage.agentry("policy simulate").args(["--call", &asked])).with(0);
    assert_eq!(explain(&stage, &[&asked])["answer"], "allow");
    let learnt = end(stage.agentry("policy learn").arg("ask")).with(0);
    assert!(!learnt.stderr.contains("not covered"), "{}", learnt.stderr);
    // Where the policy does not grant it, that is what is said.
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"ask\"\nllm = { models = [\"small\"] }\n");
    let told = explain(&stage, &[&asked]);
    assert_eq!((&told["answer"], &told["code"]), (&json!("deny"), &json!("no-grant")), "{told}");
    // What nobody has asked a script yet is a model that is not there.
    end(stage.agentry("policy explain").args(["--agent", "ask", "model=scripted"])).with(3);
}

#[test]
fn of_arguments_that_were_not_kept_nobody_says_what_they_were() {
    let stage = stage(NARROW);
    end(&mut stage.run(&guest("steps"), &post(&"no".repeat(40_000)))).with(0);
    let told = end(stage.agentry("policy explain").args(["last/1", "--json"])).with(3).json();
    assert_eq!((&told["answer"], &told["then"]["code"]), (&json!("unknown"), &json!("argument")), "{told}");
    assert!(end(stage.agentry("policy explain").arg("last/1")).with(3).stdout.starts_with("unknown"));
    let simulated = end(stage.agentry("policy simulate").args(["--against", "last", "--json"])).with(1).json();
    assert_eq!(simulated["unknown"].as_array().map(Vec::len), Some(1), "{simulated}");
    let page = end(stage.agentry("policy simulate").args(["--against", "last"])).with(1).stdout;
    assert!(page.contains("of 1 nobody knows") && !page.contains("0 answers"), "{page}");
}

#[test]
fn refused_arguments_do_not_fill_the_disk() {
    let stage = stage(NARROW);
    let calls: Vec<Value> = (0..40)
        .map(|n| json!(["call", "post", json!({"text": format!("{n} {}", "x".repeat(20_000))}).to_string()]))
        .collect();
    let input = stage.write("input.json", &json!(calls).to_string());
    end(stage.agentry("run").arg(guest("steps")).args(["--json", "--input", &format!("@{}", input.display())])).with(0);
    let known = |call: &str| end(stage.agentry("policy explain").args([call, "--json"])).json()["answer"].clone();
    assert_eq!((known("last/1"), known("last/40")), (json!("deny"), json!("unknown")));
}

#[test]
fn every_reason_is_told_and_whether_the_hint_is_enough() {
    let stage = stage(NARROW);
    site(
        &stage,
        "[[forbid]]\nid = \"site/no-posts\"\ntool = \"post\"\nwhy = \"x\"\n\
         [[forbid]]\nid = \"site/no-egress\"\neffect = \"egress\"\nwhy = \"x\"\n",
    );
    let told = explain(&stage, &["--agent", "steps", "tool=post", "text=never"]);
    let ids = |told: &Value| -> Vec<String> {
        let rules = std::iter::once(&told["rule"]["id"])
            .chain(told["also"].as_array().into_iter().flatten().map(|also| &also["rule"]["id"]));
        let mut ids: Vec<String> = rules.filter_map(Value::as_str).map(str::to_owned).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&told), ["site/no-egress", "site/no-posts", "steps/post"], "{told}");
    let page =
        end(stage.agentry("policy explain").args(["--agent", "steps", "tool=post", "text=never"])).with(3).stdout;
    assert!(page.contains("is not enough"), "{page}");
    // Nobody is granted it and the site forbids it: two reasons, whichever comes first.
    let told = explain(&stage, &["--agent", "nobody", "tool=post", "text=never"]);
    assert!(ids(&told).contains(&"site/no-posts".to_owned()), "{told}");
    // One reason alone is enough to mend.
    site(&stage, "");
    let told = explain(&stage, &["--agent", "steps", "tool=post", "text=never"]);
    assert_eq!(told["also"], json!([]), "{told}");
}

#[test]
fn a_wider_grant_of_what_the_site_forbids_says_that_nothing_new_passes() {
    let stage = stage(NARROW);
    let old = stage.path("old");
    fs::create_dir(&old).expect("a directory");
    let forbid = "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/no-pay\"\ntool = \"pay.*\"\nwhy = \"x\"\n";
    stage.write("old/00-site.toml", forbid);
    stage.write("old/50-a.toml", "format = 1\nlayer = \"grant\"\nagent = \"a\"\nwhy = \"x\"\n");
    stage.write("new/00-site.toml", forbid);
    stage.write("new/50-a.toml", "format = 1\nlayer = \"grant\"\nagent = \"a\"\nwhy = \"x\"\n[[allow]]\nid = \"a/pay\"\ntool = \"pay.send\"\nargs = \"any\"\nwhy = \"x\"\n");
    let diff = |more: &[&str]| end(stage.agentry("policy diff").arg(&old).arg(stage.path("new")).args(more));
    let page = diff(&[]).with(1).stdout;
    assert!(page.contains("wider, but nothing new passes because site/no-pay forbids it"), "{page}");
    assert_eq!(diff(&["--json"]).with(1).json()["opened"][0]["blocked_by"]["id"], "site/no-pay");
    stage.write("new/00-site.toml", &forbid.replace("pay.*", "rob.*"));
    let page = diff(&[]).with(1).stdout;
    assert!(!page.contains("nothing new passes") && page.contains("was deny, is allow"), "{page}");
}

#[test]
fn what_people_were_asked_about_is_learnt_as_something_to_ask() {
    let stage = stage("args = \"any\"\napproval = { from = \"anyone\", ttl = \"90s\" }");
    let running = begin(stage.run(&guest("steps"), &post("ok")).arg("--wait"));
    approve(&stage, &id(&open(&stage, 1)[0]), &[]).with(0);
    running.end().with(0);
    let learnt = end(stage.agentry("policy learn").arg("steps")).with(0).stdout;
    assert!(
        learnt.contains("approval = { from = \"anyone\", factor = \"confirm\", quorum = 1, ttl = \"90s\" }"),
        "{learnt}"
    );
    assert!(learnt.contains("expect = \"ask\"") && !learnt.contains("expect = \"allow\"\ncall = { args"), "{learnt}");
    // What it says holds as a policy, with its tests.
    stage.write("home/policies/50-steps.toml", &learnt);
    end(&mut stage.agentry("policy check")).with(0);
    // What the site asks about, it asks about by itself.
    let second = self::stage("args = \"any\"");
    site(
        &second,
        &format!("[[require]]\nid = \"site/ask\"\ntool = \"post\"\napproval = {{ {CONFIRM} }}\nwhy = \"x\"\n"),
    );
    let running = begin(second.run(&guest("steps"), &post("ok")).arg("--wait"));
    approve(&second, &id(&open(&second, 1)[0]), &[]).with(0);
    running.end().with(0);
    let learnt = end(second.agentry("policy learn").arg("steps")).with(0).stdout;
    assert!(!learnt.contains("approval =") && learnt.contains("expect = \"ask\""), "{learnt}");
    second.write("home/policies/50-steps.toml", &learnt);
    end(&mut second.agentry("policy check")).with(0);
}

#[test]
fn a_second_yes_is_told_that_the_first_was_used_whether_a_host_is_there_or_not() {
    let stage = asked_stage(CONFIRM);
    let first = ask(&stage, "sell the car");
    let question = id(&open(&stage, 1)[0]);
    approve(&stage, &question, &[]).with(0);
    first.end().with(0);
    let late = approve(&stage, &question, &[]).with(3);
    late.complains("already used");
    let second = ask(&stage, "sell the house");
    let other = id(&open(&stage, 1)[0]);
    approve(&stage, &question, &[]).with(3).complains("already used");
    end(stage.agentry("deny").args([&other, "--because", "no"])).with(0);
    end(stage.agentry("deny").args([&other, "--because", "no"]));
    second.end().with(3);
}

#[test]
fn ways_that_differ_in_nothing_but_names_are_told_once() {
    let stage = Stage::new();
    let hosts: String = (0..12)
        .map(|n| format!("[[http]]\nid = \"steps/{n}\"\nto = \"https://h{n}.example.org\"\nwhy = \"x\"\n"))
        .collect();
    stage.grant("steps", &format!("memory = {{ read = [\"team/a/**\", \"team/b/**\"] }}\n{hosts}"));
    let can = |more: &[&str]| {
        end(stage.agentry("policy can").args(["--from", "memory:team/**", "--to", "egress:*"]).args(more)).with(1)
    };
    let all = can(&["--json"]).json()["ways"].as_array().map_or(0, Vec::len);
    let page = can(&[]).stdout;
    assert!(all > 1 && page.matches("→").count() == 1 && page.contains("like it"), "{all}:\n{page}");
}

#[test]
fn one_call_is_shown_with_what_was_said_in_it() {
    let stage = crate::approvals::stage(crate::approvals::CONFIRM);
    std::fs::remove_file(stage.path("home/policies/00-site.toml")).expect("nobody is asked here");
    let input = serde_json::json!({"prompt": "What did the fox say?", "max_tokens": 32});
    end(&mut stage.run_on(crate::approvals::PRICED, &guest("ask"), &input)).with(0);
    let calls = stage.calls();
    let asked = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked a model");
    let name = format!("last/{}", asked["call"]);
    let shown = end(stage.agentry("trace").args([&name, "--json"])).with(0).json();
    assert!(shown["asked"].as_str().is_some_and(|asked| asked.contains("What did the fox say?")), "{shown}");
    let answer = shown["answer"].as_str().expect("a text").to_owned();
    assert!(!answer.is_empty(), "{shown}");
    let page = end(stage.agentry("trace").arg(&name)).with(0).stdout;
    assert!(page.contains("What did the fox say?") && page.contains(&answer), "{page}");
    end(stage.agentry("trace").arg("last/99")).with(2).complains("has no syscall 99");
    end(stage.agentry("trace").arg("last/x")).with(2).complains("is no number of a syscall");
}

#[test]
fn what_policy_asked_when_its_host_died_is_told_alike_wherever_one_looks() {
    let stage = asked_stage(CONFIRM);
    let run = ask(&stage, "sell the car");
    open(&stage, 1);
    run.kill();
    let status = end(&mut stage.agentry("status")).with(5).stdout;
    assert!(status.contains("1 question is asked again once a host carries on what asked it"), "{status}");
    let approvals = end(&mut stage.agentry("approvals")).with(0).stderr;
    assert!(approvals.contains("1 question is asked again once a host carries on what asked it"), "{approvals}");
    let runs = end(&mut stage.agentry("ps")).with(0).stdout;
    assert!(runs.contains("asks for a person's yes again once a host carries it on"), "{runs}");
}

#[test]
fn a_call_that_people_allowed_and_nobody_would_be_asked_about_is_a_change() {
    let stage = stage("args = \"any\"");
    let ask = format!("[[require]]\nid = \"site/post\"\ntool = \"post\"\napproval = {{ {CONFIRM} }}\nwhy = \"x\"\n");
    site(&stage, &ask);
    let running = begin(stage.run(&guest("steps"), &post("ok")).arg("--wait"));
    approve(&stage, &id(&open(&stage, 1)[0]), &[]).with(0);
    running.end().with(0);
    let set = |set: &str| end(stage.agentry("policy simulate").args(["--against", "last", "--set", set]));
    assert!(set("site/post.tool=post").with(0).stdout.contains("0 answers would change"));
    let page = set("site/post.tool=pay").with(1).stdout;
    assert!(page.contains("was ask, is allow") && page.contains("1 answer would change"), "{page}");
}

#[test]
fn a_policy_without_a_limit_is_wider_for_all_agents_and_its_line_stands_nowhere() {
    let stage = stage(NARROW);
    let grant = stage.path("home/policies/50-steps.toml");
    let new = stage.directory("new");
    fs::copy(&grant, new.join("50-steps.toml")).expect("a copy");
    site(&stage, "[ceiling]\nbudget = { usd_day = \"5.00\" }\n");
    let diff = |more: &str| {
        let mut command = stage.agentry("policy diff");
        command.arg(stage.path("home/policies")).arg(&new);
        end(if more.is_empty() { &mut command } else { command.arg(more) }).with(1)
    };
    let told = diff("").stdout;
    assert!(told.contains("  all agents together may use money without limit in a day\n    site/budget\n"), "{told}");
    let rule = diff("--json").json()["opened"][0]["rule"].clone();
    assert_eq!(rule, json!({"id": "site/budget", "file": null, "line": null}));
}

#[test]
fn what_policy_allows_and_a_lock_stops_is_told_with_the_lock() {
    let stage = stage(NARROW);
    let asks = |verb: &str, words: &[&str]| end(stage.agentry(verb).args(words)).with(0).stderr;
    end(&mut stage.agentry("policy lock")).with(0);
    let questions = [("policy explain", ["--agent", "steps", "memory=team/x"].as_slice()), ("policy can", &["steps"])];
    for (verb, words) in questions {
        assert_eq!(asks(verb, words), "locked: no agent begins anything new\n", "{verb}");
    }
    end(&mut stage.agentry("policy unlock")).with(0);
    end(stage.agentry("policy lock").args(["--because", "an audit"])).with(0);
    for (verb, words) in questions {
        assert_eq!(asks(verb, words), "locked: no agent begins anything new: an audit\n", "{verb}");
    }
    // Another policy is not what the lock stands before.
    let other = stage.path("home/policies").display().to_string();
    assert_eq!(asks("policy can", &["steps", "--policies", &other]), "");
    let doctor = end(&mut stage.agentry("doctor")).stdout;
    assert!(doctor.contains("locked: no agent begins anything new: an audit\n"), "{doctor}");
}

#[test]
fn a_call_that_was_made_is_one_of_the_agent_that_made_it() {
    let stage = stage(NARROW);
    end(&mut stage.run(&guest("steps"), &post("ok 1"))).with(0);
    assert_eq!(explain(&stage, &["last/1", "--agent", "steps"])["agent"], "steps");
    let other = end(stage.agentry("policy explain").args(["last/1", "--agent", "clerk"])).with(2);
    other.complains("is one of `steps`, and --agent says `clerk`");
}
