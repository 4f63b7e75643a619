//! Every no: who asked, which rule, where it stands, what to do; and after it no budget has moved and nothing has left.

use serde_json::{Value, json};

use crate::provider::{Behaviour, Server};
use crate::stage::{Ended, Stage, end, guest};

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "ask"
llm = { models = ["scripted"], max_tokens = 100 }

[budget]
tokens_run = 100_000
usd_run = "1.00"
"#;

const PRICED: &str = "{\"script\": 1, \"repeat\": true, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n\
                      {\"text\": \"an answer\", \"usage\": {\"input_fresh\": 7, \"output\": 3}}\n";

fn stage(from: &str, to: &str) -> Stage {
    assert!(GRANT.contains(from), "`{from}` is not in the grant");
    let stage = Stage::new();
    stage.policy(&GRANT.replacen(from, to, 1));
    stage
}

fn ask_on(stage: &Stage, script: &str) -> Ended {
    end(&mut stage.run_on(script, &guest("ask"), &json!({"prompt": "hello", "max_tokens": 32})))
}

/// It was refused by this code, and it cost nothing.
fn is_refused(stage: &Stage, ended: Ended, exit: i32, code: &str) -> Value {
    let ended = ended.with(exit);
    let report = ended.json();
    let refusal = report["refusals"][0].clone();
    assert_eq!(refusal["code"], code, "{report}");
    assert!(refusal["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {refusal}");
    costs_nothing(stage, &report);
    refusal
}

/// No account has moved for it.
pub fn costs_nothing(stage: &Stage, report: &Value) {
    assert_eq!(report["cost_microusd"], 0, "{report}");
    assert_eq!(report["usage"]["tokens"], 0, "{report}");
    let last = stage.last();
    for resource in ["usd", "tokens", "llm-calls", "tool-calls", "egress", "storage"] {
        assert_eq!(last["spent"][resource], Value::Null, "{resource} was spent: {last}");
    }
    stage.nothing_moved(&[]);
}

#[test]
fn what_is_granted_is_answered_and_billed() {
    let stage = stage("100_000", "100_000");
    let report = ask_on(&stage, PRICED).with(0).json();
    assert_eq!(report["output"], "an answer");
    assert_eq!((&report["usage"]["tokens"], &report["cost_microusd"]), (&json!(10), &json!(13)));
    assert_eq!(report["refusals"], json!([]));
    let calls = stage.calls();
    assert!(calls.iter().any(|call| call["name"] == "llm.complete" && call["decision"] == "allowed"), "{calls:?}");
}

#[test]
fn an_agent_without_a_grant_does_not_begin_and_is_told_how_to_get_one() {
    let stage = Stage::new();
    let ended = ask_on(&stage, PRICED).with(3);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("agentry inspect") && told.contains("--grant"), "{told}");
    assert_eq!(ended.json()["refusals"][0]["code"], "no-grant");
    stage.costs_nothing(&[]);
}

#[test]
fn a_grant_for_another_package_is_no_grant() {
    let stage = stage("agent = \"ask\"", "agent = \"ask\"\npackage = \"acme:ask@^1\"");
    assert_eq!(ask_on(&stage, PRICED).with(3).json()["status"], "denied");
    stage.costs_nothing(&[]);
}

#[test]
fn a_grant_that_has_expired_is_told_as_such() {
    let stage = stage("agent = \"ask\"", "agent = \"ask\"\nexpires = 2020-01-01");
    assert_eq!(ask_on(&stage, PRICED).with(3).json()["refusals"][0]["code"], "expired");
    stage.costs_nothing(&[]);
}

#[test]
fn a_model_that_is_not_granted_is_denied_with_rule_place_and_argument() {
    let stage = stage("\"scripted\"", "\"another\"");
    let ended = ask_on(&stage, PRICED);
    let told = ended.stderr.clone();
    let refusal = is_refused(&stage, ended, 3, "no-grant");
    assert!(refusal["rule"]["file"].as_str().is_some_and(|file| file.ends_with("50-grant.toml")), "{refusal}");
    assert_eq!(refusal["rule"]["line"], 4, "{refusal}");
    assert_eq!(refusal["argument"]["name"], "model");
    for line in ["denied  ask → llm.complete", "  rule  ", "  arg   model = ", "  hint  ", "  ref   "] {
        assert!(told.contains(line), "`{line}` is not told:\n{told}");
    }
}

#[test]
fn a_model_where_none_is_granted_is_denied() {
    let stage = stage("llm = { models = [\"scripted\"], max_tokens = 100 }\n", "");
    let ended = ask_on(&stage, PRICED);
    is_refused(&stage, ended, 3, "no-grant");
}

#[test]
fn a_denied_call_reaches_no_server() {
    let server = Server::that(Behaviour::Hangs);
    let stage = stage("\"scripted\"", "\"another\"");
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\n[providers.p]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             [models.small]\nprovider = \"p\"\nmodel = \"m\"\nprice = {{ input = 0, output = 0 }}\n",
            server.port()
        ),
    );
    let ended = end(&mut stage.run(&guest("ask"), &json!({"prompt": "hello"})));
    is_refused(&stage, ended, 3, "no-grant");
    stage.costs_nothing(&[&server]);
}

#[test]
fn one_token_too_few_is_exhausted_and_one_more_is_enough() {
    let measured = stage("100_000", "100_000");
    ask_on(&measured, PRICED).with(0);
    let held = held_tokens(&measured);
    let short = stage("100_000", &(held - 1).to_string());
    let ended = ask_on(&short, PRICED);
    let refusal = is_refused(&short, ended, 4, "exhausted");
    assert!(refusal["because"].as_str().is_some_and(|because| because.contains("token")), "{refusal}");
    let enough = stage("100_000", &held.to_string());
    ask_on(&enough, PRICED).with(0);
}

/// What was held for the one call of the last run.
fn held_tokens(stage: &Stage) -> u64 {
    let calls = stage.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked");
    call["held"]["tokens"].as_u64().expect("tokens were held")
}

#[test]
fn one_micro_dollar_too_few_is_exhausted() {
    let stage = stage("\"1.00\"", "\"0.000001\"");
    let ended = ask_on(&stage, PRICED);
    is_refused(&stage, ended, 4, "exhausted");
}

#[test]
fn a_model_whose_price_nobody_knows_is_denied_where_money_is_limited() {
    let server = Server::that(Behaviour::Hangs);
    let stage = stage("\"scripted\"", "\"small\"");
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\ndefault = \"small\"\n[providers.p]\nkind = \"openai-compatible\"\n\
             base_url = \"http://127.0.0.1:{}/v1\"\n[models.small]\nprovider = \"p\"\nmodel = \"m\"\n\
             context_tokens = 8192\nmax_output_tokens = 100\nlocal = false\n",
            server.port()
        ),
    );
    let ended = end(&mut stage.run(&guest("ask"), &json!({"prompt": "hello"})));
    is_refused(&stage, ended, 3, "no-price");
    stage.costs_nothing(&[&server]);
}

#[test]
fn a_day_is_one_budget_for_all_runs() {
    let stage = stage("tokens_run = 100_000", "llm_calls_day = 1");
    ask_on(&stage, PRICED).with(0);
    let ended = ask_on(&stage, PRICED).with(4);
    assert_eq!(ended.json()["refusals"][0]["code"], "exhausted");
    assert_eq!(ended.json()["cost_microusd"], 0);
    stage.nothing_moved(&[]);
}

#[test]
fn a_root_that_is_granted_and_not_there_is_told_before_anything_runs() {
    let component = guest("files");
    let stage = Stage::drafting(&component);
    let ended = end(&mut stage.run(&component, &json!({}))).with(2);
    ended.complains("needs the root");
    assert!(ended.stderr.contains("--root "), "{}", ended.stderr);
    assert_eq!(end(stage.agentry("ps").arg("--json")).json(), json!([]));
}

#[test]
fn a_root_that_is_not_granted_is_denied() {
    let component = guest("files");
    let stage = Stage::granting(&component);
    let reports = stage.directory("reports");
    let mut run = stage.run(&component, &json!({}));
    let ended = end(run.arg("--root").arg(format!("reports={}", reports.display())));
    is_refused(&stage, ended, 3, "no-grant");
    stage.costs_nothing(&[&reports]);
}

#[test]
fn memory_outside_of_the_grant_is_denied_and_nothing_is_kept() {
    let component = guest("memory");
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"memory\"\nmemory = { read = [\"agent/test/**\"] }\n");
    let ended = end(&mut stage.run(&component, &json!(3)));
    is_refused(&stage, ended, 3, "no-grant");
    stage.costs_nothing(&[]);
}

#[test]
fn a_stream_that_is_not_granted_is_denied() {
    let component = guest("stream");
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"stream\"\n");
    let ended = end(&mut stage.run_on(PRICED, &component, &json!({})));
    is_refused(&stage, ended, 3, "no-grant");
}

#[test]
fn no_spelling_of_a_path_deletes_or_changes_what_a_site_rule_keeps() {
    let stage = Stage::new();
    let grant = "format = 1\nlayer = \"grant\"\nagent = \"steps\"\nfiles = [{ root = \"reports\", access = \"rw\" }]\n";
    stage.policy(grant);
    stage.write(
        "home/policies/00-site.toml",
        "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/archive\"\nroot = \"reports\"\nat = \"/archive\"\n\
         acts = [\"delete\", \"write\"]\nwhy = \"What was reported stays.\"\n",
    );
    let kept = stage.write("reports/archive/2025.md", "# 2025");
    std::os::unix::fs::symlink(stage.path("reports/archive"), stage.path("reports/link")).expect("a link");
    let spellings = [
        "archive/2025.md",
        "archive//2025.md",
        "archive/2025.md/",
        "./archive/2025.md",
        "x/../archive/2025.md",
        "/archive/2025.md",
        "ARCHIVE/2025.md",
        "archive./2025.md",
        "%61rchive/2025.md",
        "x%2f..%2farchive/2025.md",
        "\u{ff41}rchive/2025.md",
        "archive\u{200b}/2025.md",
        "link/2025.md",
        "archive",
        "link",
    ];
    let deletes = spellings.iter().map(|path| json!(["delete", "reports", path]));
    let writes = spellings.iter().map(|path| json!(["write", "reports", path, "x"]));
    let steps: Vec<Value> = deletes.chain(writes).collect();
    let mut run = stage.run(&guest("steps"), &json!(steps));
    let ended = end(run.arg("--root").arg(format!("reports={}", stage.path("reports").display()))).with(0);
    for (told, step) in ended.json()["output"].as_array().expect("it tells").iter().zip(&steps) {
        assert!(told.as_str().is_some_and(|told| told.starts_with("no: ")), "{step}: {told}");
    }
    assert_eq!(std::fs::read_to_string(&kept).expect("it is gone"), "# 2025");
    stage.nothing_moved(&[(&stage.path("reports/archive"), 1), (&stage.path("reports"), 2)]);
}
