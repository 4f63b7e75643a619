//! What an admin writes, read by the command that reads it before anyone is granted anything.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::stage::{Ended, Stage, agentry, end, guest};

/// Every word that a grant can hold.
const WHOLE: &str = r#"
format = 1
layer = "grant"
agent = "reporter"
package = "acme:reporter@^1.2"
mode = "enforce"
expires = 2099-03-01
why = "Writes the weekly report."

llm = { models = ["small-*"], max_tokens = 4096, class = "batch", why = "Reads and writes prose." }
memory = { read = ["team/reports/**"], write = ["agent/reporter/**"], why = "Knows what it said last week." }
files = [{ root = "reports", at = "/out", access = "rw", why = "Puts the report there." }]

[budget]
why = "A report is short."
usd_run = "0.50"
usd_day = "2.00"
tokens_run = 100_000
tokens_day = 400_000
llm_calls_run = 30
llm_calls_day = 100
tool_calls_run = 60
tool_calls_day = 600
fuel_run = 5_000_000_000
fuel_day = 50_000_000_000
wall_run = "120s"
wall_day = "2h"
memory_mb = 64
usd_minute = "0.20"
tokens_minute = 50_000
tokens_in_run = 50_000
tokens_in_minute = 50_000
tokens_in_day = 50_000
tokens_out_run = 50_000
tokens_out_minute = 50_000
tokens_out_day = 50_000
llm_calls_minute = 50_000
tool_calls_minute = 50_000
egress_run = "10MiB"
egress_minute = "64KiB"
egress_day = "1GiB"
storage_mb = 16
written_run = "64MiB"
written_day = "2GiB"

[[allow]]
id = "reporter/mail"
tool = "mail.send"
why = "Sends it to operations."
"#;

fn check(text: &str) -> Ended {
    let stage = Stage::new();
    let file = stage.write("home/policies/50-reporter.toml", text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    end(stage.agentry("policy check").arg("--json"))
}

/// A change of the whole grant is a mistake on that line, with a hint.
fn is_a_mistake(from: &str, to: &str) {
    assert!(WHOLE.contains(from), "`{from}` is not in the grant");
    let changed = WHOLE.replacen(from, to, 1);
    let checked = check(&changed).with(2).json();
    let mistake = &checked["mistakes"][0];
    assert!(mistake["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{to}: {checked}");
    assert!(mistake["line"].as_u64().is_some_and(|line| line > 0), "{to}: {checked}");
}

#[test]
fn a_grant_with_every_word_is_well_formed() {
    let checked = check(WHOLE).with(0).json();
    assert_eq!(checked["mistakes"], Value::Array(vec![]));
    assert_eq!(checked["grants"][0]["agent"], "reporter");
}

#[test]
fn a_word_that_is_misspelt_or_makes_no_sense_is_a_mistake_with_its_line_and_a_hint() {
    let changes = [
        ("format = 1", "format = 2"),
        ("layer = \"grant\"", "layer = \"royal\""),
        ("agent = \"reporter\"", "agent = \"../reporter\""),
        ("package = \"acme:reporter@^1.2\"", "package = \"acme reporter\""),
        ("mode = \"enforce\"", "mode = \"ask nicely\""),
        ("expires = 2099-03-01", "expires = \"never\""),
        ("why = \"Writes the weekly report.\"", "why = 7"),
        ("models = [\"small-*\"]", "models = [\"sm*ll\"]"),
        ("max_tokens = 4096", "max_tokens = -1"),
        ("class = \"batch\"", "class = \"royal\""),
        ("read = [\"team/reports/**\"]", "read = [\"team/../secrets\"]"),
        ("write = [\"agent/reporter/**\"]", "write = 7"),
        ("root = \"reports\"", "root = \"\""),
        ("at = \"/out\"", "at = \"/../out\""),
        ("access = \"rw\"", "access = \"x\""),
        ("id = \"reporter/mail\"", "id = 1"),
        ("tool = \"mail.send\"", "tool = \"mail*send\""),
        ("usd_run = \"0.50\"", "usd_run = \"0.0000001\""),
        ("usd_day = \"2.00\"", "usd_day = 2.5"),
        ("tokens_run = 100_000", "tokens_run = \"many\""),
        ("tokens_day = 400_000", "tokens_day = -4"),
        ("llm_calls_run = 30", "llm_calls_run = 3.5"),
        ("llm_calls_day = 100", "llm_calls_day = true"),
        ("tool_calls_run = 60", "tool_calls_run = []"),
        ("tool_calls_day = 600", "tool_calls_dya = 600"),
        ("fuel_run = 5_000_000_000", "fuel_run = \"5 G\""),
        ("fuel_day = 50_000_000_000", "fuel_day = -1"),
        ("wall_run = \"120s\"", "wall_run = 120"),
        ("wall_day = \"2h\"", "wall_day = \"2 moons\""),
        ("memory_mb = 64", "memory_mb = 1_000_000"),
        ("usd_minute = \"0.20\"", "usd_minute = 0.2"),
        ("tokens_minute = 50_000", "tokens_minute = -1"),
        ("tokens_in_run = 50_000", "tokens_in_run = -1"),
        ("tokens_in_minute = 50_000", "tokens_in_minute = -1"),
        ("tokens_in_day = 50_000", "tokens_in_day = -1"),
        ("tokens_out_run = 50_000", "tokens_out_run = -1"),
        ("tokens_out_minute = 50_000", "tokens_out_minute = -1"),
        ("tokens_out_day = 50_000", "tokens_out_day = -1"),
        ("llm_calls_minute = 50_000", "llm_calls_minute = -1"),
        ("tool_calls_minute = 50_000", "tool_calls_minute = -1"),
        ("egress_run = \"10MiB\"", "egress_run = \"10 MB\""),
        ("egress_minute = \"64KiB\"", "egress_minute = 1024"),
        ("egress_day = \"1GiB\"", "egress_day = \"1.5GiB\""),
        ("storage_mb = 16", "storage_mb = \"16MiB\""),
        ("written_run = \"64MiB\"", "written_run = 64"),
        ("written_day = \"2GiB\"", "written_day = \"2 GB\""),
        ("[budget]\n", "[budgets]\n"),
        ("llm = {", "lmm = {"),
        ("memory = {", "memroy = {"),
        ("files = [{", "file = [{"),
        ("[[allow]]", "[[alow]]"),
    ];
    for (from, to) in changes {
        is_a_mistake(from, to);
    }
}

#[test]
fn what_this_version_cannot_enforce_is_refused_and_never_ignored() {
    for later in ["[[forbid]]\nid = \"x\"\n", "[[require]]\nid = \"x\"\n", "[ceiling]\nmodels = [\"*\"]\n"] {
        let checked = check(&format!("{WHOLE}\n{later}")).with(2).json();
        let message = checked["mistakes"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains("cannot enforce"), "{message}");
    }
    is_a_mistake("layer = \"grant\"", "layer = \"site\"");
}

#[test]
fn a_policy_whose_own_tests_fail_lets_nothing_run() {
    let stage = Stage::granting(&guest("echo"));
    let site = |expect: &str| {
        format!(
            "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/large\"\nmodel = \"large-*\"\nwhy = \"Too dear.\"\n\
             [[test]]\nexpect = \"{expect}\"\nagent = \"nobody\"\ncall = {{ model = \"large-1\" }}\n"
        )
    };
    stage.write("home/policies/00-site.toml", &site("deny:no-grant"));
    end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(0);
    stage.write("home/policies/00-site.toml", &site("allow"));
    let refused = end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(2);
    assert!(refused.stderr.contains("this test expects \"allow\" and gets \"deny:no-grant\""), "{}", refused.stderr);
    stage.costs_nothing(&[]);
}

#[test]
fn a_policy_with_one_bad_file_grants_nothing_to_anybody() {
    let stage = Stage::granting(&guest("echo"));
    stage.write("home/policies/90-broken.toml", "format = 1\nlayer = \"grant\"\nagnet = \"x\"\n");
    let refused = end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(2);
    assert!(refused.stderr.contains("90-broken.toml:3"), "{}", refused.stderr);
    stage.costs_nothing(&[]);
}

#[test]
fn a_policy_that_others_can_write_or_that_is_a_link_is_refused() {
    let stage = Stage::granting(&guest("echo"));
    let grant = stage.path("home/policies/50-grant.toml");
    fs::set_permissions(&grant, fs::Permissions::from_mode(0o666)).expect("it is ours");
    end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(2).complains("everybody may write");
    let real = stage.path("real.toml");
    fs::rename(&grant, &real).expect("it is ours");
    symlink(&real, &grant).expect("a link");
    end(&mut stage.agentry("policy check")).with(2).complains("not a plain file");
    end(&mut stage.run(&guest("echo"), &serde_json::json!(1))).with(2).complains("not a plain file");
    stage.costs_nothing(&[]);
}

#[test]
fn a_missing_policy_directory_says_what_to_do() {
    let stage = Stage::new();
    fs::remove_dir(stage.path("home/policies")).expect("it is empty");
    end(&mut stage.agentry("policy check")).with(2).complains("there is no policy directory");
    end(stage.agentry("run").arg(guest("echo"))).with(2).complains("there is no policy directory");
}

#[test]
fn policies_may_lie_elsewhere_than_in_the_home() {
    let stage = Stage::granting(&guest("echo"));
    let elsewhere = stage.path("elsewhere");
    fs::rename(stage.path("home/policies"), &elsewhere).expect("it is ours");
    let empty = stage.directory("empty");
    end(stage.agentry("run").arg(guest("echo")).arg("--policies").arg(&elsewhere)).with(0);
    end(stage.agentry("run").arg(guest("echo")).arg("--policies").arg(&empty)).with(3);
    let nowhere = end(stage.agentry("run").arg(guest("echo")).arg("--policies").arg(stage.path("nowhere"))).with(2);
    nowhere.complains("there is no policy directory");
}

#[test]
fn the_policies_of_this_repository_are_well_formed_and_give_their_reasons() {
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let checked = end(agentry().args(["policy", "check", "--json"]).arg(ours)).with(0).json();
    // They cannot know what an admin's models and tools are called; anything else that is odd is ours to mend.
    let warnings = checked["warnings"].as_array().expect("a list").iter();
    let others: Vec<&Value> = warnings
        .filter(|one| one["message"] != "grants every model, the dearest too" && one["message"] != "grants every tool")
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
