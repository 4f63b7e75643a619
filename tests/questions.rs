//! Questions about policy, asked with the command: which rule decides, what changed, what could an agent do, what would have been.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Ended, Stage, begin, end, guest};

const SITE: &str = r#"format = 1
layer = "site"
[[forbid]]
id = "site/pay-cap"
tool = "pay.send"
unless = { cents = { min = 1, max = 50_000 } }
why = "Above 500 USD goes through finance."
[[forbid]]
id = "site/leak"
effect = "egress"
when = { labels_all = ["secret"] }
why = "Who read a secret may not talk to the outside."
"#;

const CLERK: &str = r#"format = 1
layer = "grant"
agent = "clerk"
memory = { read = ["team/**"], write = ["drop/**"], labels = "secret" }
http = [{ id = "clerk/api", to = "https://api.example.org" }]
[[allow]]
id = "clerk/pay"
tool = "pay.send"
args.cents = { min = 1, max = 1_000_000 }
[[test]]
expect = "allow"
call = { tool = "pay.send", args = { cents = 5 } }
[[test]]
expect = "deny:forbidden"
call = { tool = "pay.send", args = { cents = 60_000 } }
"#;

const TOOLS: &str = "format = 1\n[tools.\"pay.send\"]\ndescription = \"Pays.\"\neffect = \"reversible\"\n\
                     schema = '{\"type\": \"object\"}'\ncommand = { program = \"/bin/true\" }\n";

/// A home with these policies and one tool.
fn stage(files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    stage.policy(files[0].1);
    std::fs::rename(stage.path("home/policies/50-grant.toml"), stage.path("home/policies").join(files[0].0))
        .expect("it is ours");
    for (name, text) in files {
        private(&stage, &format!("home/policies/{name}"), text);
    }
    private(&stage, "home/tools.toml", TOOLS);
    stage
}

/// A file that nobody else may write.
fn private(stage: &Stage, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = stage.write(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    path
}

fn office() -> Stage {
    stage(&[("00-site.toml", SITE), ("50-clerk.toml", CLERK)])
}

fn asked(stage: &Stage, words: &[&str]) -> Ended {
    end(stage.agentry("policy explain").args(words).arg("--json"))
}

#[test]
fn a_call_is_explained_with_its_rule_and_with_what_would_change_it() {
    let stage = office();
    let allowed = asked(&stage, &["tool=pay.send", "cents=300"]).with(0).json();
    assert_eq!((&allowed["answer"], &allowed["given_by"]["id"]), (&json!("allow"), &json!("clerk/pay")), "{allowed}");
    let denied =
        asked(&stage, &[r#"{"tool": "pay.send", "args": {"cents": 80000}}"#, "--agent", "clerk"]).with(3).json();
    assert_eq!((&denied["answer"], &denied["rule"]["id"]), (&json!("deny"), &json!("site/pay-cap")), "{denied}");
    assert_eq!(denied["rule"]["line"], 3);
    let others: Vec<&str> =
        denied["otherwise"].as_array().expect("a list").iter().filter_map(|other| other["what"].as_str()).collect();
    assert!(others.iter().any(|other| other.starts_with("with cents = ")), "{others:?}");
    assert!(others.contains(&"without rule site/pay-cap"), "{others:?}");
    let page = end(stage.agentry("policy explain").args(["tool=pay.send", "cents=80000"])).with(3).stdout;
    assert!(page.contains("00-site.toml:3") && page.contains("what would change it"), "{page}");
}

#[test]
fn what_a_run_has_read_counts_in_an_explanation() {
    let stage = office();
    let url = "http=https://api.example.org/x";
    asked(&stage, &[url]).with(0);
    let barred = asked(&stage, &[url, "--label", "secret"]).with(3).json();
    assert_eq!(barred["rule"]["id"], "site/leak", "{barred}");
    end(stage.agentry("policy explain").args([url, "--label", "Not A Label"])).with(2).complains("label");
}

#[test]
fn a_package_gets_no_more_than_it_asks_for_in_an_explanation() {
    // The grant gives more than the package wants.
    let stage = stage(&[(
        "50-echo.toml",
        "format = 1\nlayer = \"grant\"\nagent = \"echo\"\nmemory = { read = [\"boss/**\"] }\n",
    )]);
    let word = "memory=boss/x";
    asked(&stage, &[word, "--agent", "echo"]).with(0);
    let echo = guest("echo");
    let denied = end(stage.agentry("policy explain").args([word, "--agent", "echo", "--json", "--package"]).arg(echo))
        .with(3)
        .json();
    assert_eq!(denied["code"], "not-declared", "{denied}");
    end(stage.agentry("policy explain").args([word, "--package", "nowhere.wasm"])).with(2).complains("nowhere.wasm");
}

#[test]
fn a_call_that_makes_no_sense_is_told() {
    let stage = office();
    for words in
        [&["tool"][..], &["{"], &["tol=x"], &["memory=team/a", "act=eat"], &["tool=pay.send", "--agent"], &["last/x"]]
    {
        end(stage.agentry("policy explain").args(words)).with(2);
    }
    end(stage.agentry("policy explain").args(["act=read"])).with(2).complains("a call names one of");
}

#[test]
fn policies_are_compared_and_a_newly_allowed_call_is_shown() {
    let stage = office();
    let old = stage.path("home/policies/50-clerk.toml");
    let new = private(&stage, "new.toml", &CLERK.replace("1_000_000", "2_000_000"));
    let diff = |old: &PathBuf, new: &PathBuf| end(stage.agentry("policy diff").arg(old).arg(new).arg("--json"));
    let wider = diff(&old, &new).with(1).json();
    assert_eq!(wider["verdict"], "wider");
    assert_eq!(wider["opened"][0]["example"]["call"], json!({"tool": "pay.send", "args": {"cents": 2_000_000}}));
    assert_eq!(diff(&new, &old).with(0).json()["verdict"], "narrower");
    assert_eq!(diff(&old, &old).with(0).json()["verdict"], "same");
    let page = end(stage.agentry("policy diff").arg(&old).arg(&new)).with(1).stdout;
    assert!(page.contains("newly allowed") && page.contains("2000000"), "{page}");
    end(stage.agentry("policy diff").arg(&old)).with(2);
    let bad = private(&stage, "bad.toml", "format = 1\nlayer = \"grant\"\nagnet = \"x\"\n");
    end(stage.agentry("policy diff").arg(&old).arg(&bad)).with(2);
}

#[test]
fn what_an_agent_could_do_and_ways_out_are_listed() {
    let stage = office();
    let can = end(stage.agentry("policy can").args(["clerk", "--json"])).with(0).json();
    let list = can["can"].as_array().expect("a list");
    let pay = list.iter().find(|power| power["what"] == "call tool pay.send").unwrap_or_else(|| panic!("{can}"));
    assert!(pay["with"].to_string().contains("unless cents is 1..50000 (site/pay-cap)"), "{pay}");
    end(stage.agentry("policy can").arg("nobody")).with(2).complains("grants anything");
    let ways = |from: &str| end(stage.agentry("policy can").args(["--from", from, "--to", "egress:*", "--json"]));
    let cut = ways("memory:team/**").with(0).json();
    assert_eq!((&cut["open"], &cut["ways"][0]["cut"]["rule"]["id"]), (&json!(0), &json!("site/leak")), "{cut}");
    private(
        &stage,
        "home/policies/60-post.toml",
        &CLERK.replace("clerk", "post").replace("team/**", "drop/**").replace(", labels = \"secret\"", ""),
    );
    private(&stage, "home/policies/00-site.toml", "format = 1\nlayer = \"site\"\n");
    let text = CLERK
        .split("[[test]]")
        .next()
        .expect("it has a beginning")
        .replace("http = [{ id = \"clerk/api\", to = \"https://api.example.org\" }]\n", "");
    private(&stage, "home/policies/50-clerk.toml", &text);
    let open = ways("memory:team/**").with(1).json();
    let agents: Vec<&Value> =
        open["ways"][0]["stops"].as_array().expect("a list").iter().map(|stop| &stop["agent"]).collect();
    assert_eq!(agents, ["clerk", "post"], "{open}");
    end(stage.agentry("policy can").args(["--from", "moon:x", "--to", "egress:*"])).with(2).complains("is no place");
    end(stage.agentry("policy can").args(["--from", "memory:**"])).with(2);
}

#[test]
fn the_tests_of_a_policy_are_held_and_shown() {
    let stage = office();
    let held = end(stage.agentry("policy test").arg("--json")).with(0).json();
    assert_eq!((held["tests"].as_array().map(Vec::len), &held["failed"]), (Some(2), &json!(0)), "{held}");
    let page = end(&mut stage.agentry("policy test")).with(0).stdout;
    assert!(page.contains("2 tests: all hold"), "{page}");
    let elsewhere = private(&stage, "clerk.toml", &CLERK.replace("cents = 60_000", "cents = 40_000"));
    let failed = end(stage.agentry("policy test").arg("--policies").arg(&elsewhere).arg("--json")).with(2).json();
    assert_eq!((&failed["failed"], &failed["tests"][1]["holds"]), (&json!(1), &json!(false)), "{failed}");
    assert_eq!(failed["tests"][1]["line"], 13);
}

#[test]
fn check_holds_the_tests_and_warns_of_grants_above_the_ceiling() {
    let stage = office();
    let check = |stage: &Stage| end(stage.agentry("policy check").arg("--json"));
    let whole = check(&stage).with(0).json();
    assert_eq!((&whole["tests"], &whole["mistakes"]), (&json!(2), &json!([])), "{whole}");
    private(&stage, "home/policies/50-clerk.toml", &CLERK.replace("cents = 60_000", "cents = 40_000"));
    let failed = check(&stage).with(2).json();
    let message = failed["mistakes"][0]["message"].as_str().unwrap_or_default();
    assert_eq!(message, "this test expects \"deny:forbidden\" and gets \"allow\"", "{failed}");
    assert_eq!(failed["mistakes"][0]["line"], 13, "{failed}");
    // Of single files, only tests are held to which the others have nothing to say.
    let site =
        "[[test]]\nexpect = \"allow\"\nagent = \"clerk\"\ncall = { tool = \"pay.send\", args = { cents = 5 } }\n";
    let file = private(&stage, "home/policies/00-site.toml", &format!("{SITE}{site}"));
    let alone = end(stage.agentry("policy check").arg(file).arg("--json")).with(0).json();
    assert_eq!(alone["tests"], 0, "{alone}");

    private(&stage, "home/policies/50-clerk.toml", CLERK);
    private(&stage, "home/policies/00-site.toml", &format!("{SITE}[ceiling]\ntools = [\"mail.*\"]\n"));
    let page = end(&mut stage.agentry("policy check"));
    assert!(
        page.stdout.contains("50-clerk.toml:6:1: the grant of tool `pay.send` goes above the ceiling"),
        "{}",
        page.stdout
    );
}

#[test]
fn what_an_agent_did_is_learnt_from_and_simulated_while_a_host_runs() {
    let stage = Stage::granting(&guest("steps"));
    let steps = json!([["put", "agent/test/log", "a", "1"], ["sleep", "20000"]]);
    let running = begin(&mut stage.run(&guest("steps"), &steps));
    let begun = Instant::now();
    let ask = |words: &[&str]| end(stage.agentry(words[0]).args(&words[1..]).arg("--json"));
    while ask(&["policy learn", "steps"]).code != 0 || stage.calls().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(15), "nothing of it is written down");
        std::thread::sleep(Duration::from_millis(50));
    }
    let learnt = ask(&["policy learn", "steps"]).with(0).json();
    assert!(learnt["grant"].as_str().is_some_and(|grant| grant.contains("write = [\"agent/test/log\"]")), "{learnt}");
    let set = ["policy simulate", "--against", "last", "--set", "steps.memory.write=[]"];
    let changed = ask(&set).with(1).json();
    assert_eq!(changed["denied"], 1, "{changed}");
    ask(&["policy explain", "last/1"]).with(0);
    assert_eq!(stage.last()["status"], "running", "it was asked while it ran");
    running.interrupt();
    running.end().with(1);
}

#[test]
fn what_ran_is_simulated_under_another_policy_and_learnt_from() {
    let stage = Stage::granting(&guest("memory"));
    end(&mut stage.run(&guest("memory"), &json!(1000))).with(0);
    let same = end(stage.agentry("policy simulate").args(["--against", "last", "--json"])).with(0).json();
    assert_eq!((&same["runs"], same["changed"].as_array().map(Vec::len)), (&json!(1), Some(0)), "{same}");
    let narrow = private(&stage, "narrow.toml", "format = 1\nlayer = \"grant\"\nagent = \"memory\"\n");
    let changed = end(stage.agentry("policy simulate").args(["--against", "all", "--json", "--policies"]).arg(&narrow))
        .with(1)
        .json();
    assert!(changed["denied"].as_u64().is_some_and(|denied| denied > 0), "{changed}");
    // One value of the policy, and one call.
    let set = ["--against", "last", "--set", "memory.read=[]", "--json"];
    let without = end(stage.agentry("policy simulate").args(set)).with(1).json();
    assert_eq!(without["diff"]["verdict"], "narrower", "{without}");
    end(stage.agentry("policy simulate").args(["--against", "last", "--set", "nobody.x=1"]))
        .with(2)
        .complains("no rule or agent");
    let put = stage.calls().iter().position(|call| call["name"] == "memory.put" || call["call"] == "memory.put");
    let reference = format!("last/{}", put.map_or(1, |place| place + 1));
    end(stage.agentry("policy simulate").args(["--call", &reference])).with(0);
    end(stage.agentry("policy simulate").args(["--call", "last/999999"])).with(2).complains("has no syscall");
    end(stage.agentry("policy explain").arg(&reference)).with(0);

    let learnt = end(stage.agentry("policy learn").args(["memory", "--json", "--runs", "5"])).with(0).json();
    assert_eq!((&learnt["runs"], &learnt["not_covered"]), (&json!(1), &json!(0)), "{learnt}");
    let grant = learnt["grant"].as_str().expect("a text");
    assert!(grant.contains("[memory]") && grant.contains("[[test]]") && !grant.contains("/**"), "{grant}");
    let file = private(&stage, "learnt.toml", grant);
    end(stage.agentry("policy test").arg("--policies").arg(&file)).with(0);
    end(stage.agentry("policy simulate").args(["--against", "last", "--policies"]).arg(&file)).with(0);
    // And it runs under nothing more; less of it, for the machine may be slower now than it was.
    private(&stage, "home/policies/50-grant.toml", grant);
    end(&mut stage.run(&guest("memory"), &json!(100))).with(0);
}

#[test]
fn what_is_learnt_keeps_labels_and_passes_over_runs_that_never_began() {
    let stage = Stage::new();
    let grant =
        "files = [{ root = \"documents\", at = \"/\", access = \"r\", labels = [\"untrusted\"], why = \"x\" }]\n";
    stage.grant("steps", grant);
    stage.write("documents/hello.txt", "hello");
    let read = json!([["read", "documents", "hello.txt"]]);
    let root = format!("documents={}", stage.path("documents").display());
    end(&mut stage.agentry("policy lock")).with(0);
    end(stage.run(&guest("steps"), &read).args(["--root", &root])).with(3);
    end(&mut stage.agentry("policy unlock")).with(0);
    end(stage.agentry("policy learn").arg("steps")).with(2).complains("no run of agent `steps` ever began");
    end(stage.run(&guest("steps"), &read).args(["--root", &root])).with(0);
    let learnt = end(stage.agentry("policy learn").args(["steps", "--json"])).with(0).json();
    assert!(learnt["grant"].as_str().is_some_and(|grant| grant.contains("labels = [\"untrusted\"]")), "{learnt}");
    end(stage.agentry("policy simulate").args(["--against", "all"])).with(0);
    // What is over can nothing.
    stage.grant("steps", &format!("expires = 2020-01-01\n{grant}"));
    end(stage.agentry("policy can").arg("steps")).with(2).complains("is over");
}

#[test]
fn there_is_nothing_to_learn_or_simulate_where_nothing_ran() {
    let stage = office();
    end(stage.agentry("policy learn").arg("clerk")).with(2).complains("no runs here");
    end(stage.agentry("policy simulate").args(["--against", "last"])).with(2).complains("no runs here");
    end(stage.agentry("policy learn").args(["clerk", "--runs", "0"])).with(2);
    end(&mut stage.agentry("policy simulate")).with(2);
}
