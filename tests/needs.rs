//! What a package needs of a model: shown, and told where a home has none that could do it; nobody is kept from installing it.

use std::fs;

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{Stage, agentry, end};

/// The home has one model, of this window and with these lines more.
fn has_model(stage: &Stage, window: u64, more: &str) {
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\n[providers.near]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"\n[models.small]\n\
             provider = \"near\"\nmodel = \"x\"\ncontext_tokens = {window}\nmax_output_tokens = 512\n{more}"
        ),
    );
}

#[test]
fn a_home_without_a_model_that_can_do_what_a_package_needs_is_warned_and_not_stopped() {
    let market = Market::new();
    let stage = &market.stage;
    let asking = |file: &str, models: &str| {
        package(stage, file, "ask", |manifest| {
            manifest["wants"] = json!({"llm": {
                "models": [models], "max_tokens": 100, "window": 32_000, "tools": true, "schema": true, "why": "It plans.",
            }});
        })
    };
    market.publish(&asking("keeper.wasm", "small"));
    has_model(stage, 8_000, "tools = false\n");
    let needs = "asks the models small with a window of at least 32 000 tokens that takes tools and keeps to a schema, at \
                 most 100 tokens an answer";
    let lacks = "`small` has a window of 8 000 tokens and takes no tools";
    let shown = end(stage.agentry("info").arg("acme:keeper").env("COLUMNS", "400")).with(0).stdout;
    assert!(shown.contains(needs) && shown.contains(lacks), "{shown}");
    let inspected = end(agentry().arg("inspect").arg(stage.path("keeper.wasm"))).with(0).stdout;
    assert!(inspected.contains("models small, at most 100 tokens an answer, with a window of at least"), "{inspected}");
    let told = end(market.install("acme:keeper").arg("--json")).with(0).json();
    assert!(told["warning"].as_str().is_some_and(|warning| warning.contains(lacks)), "{told}");
    // Whoever verifies is told again, and it is no trouble.
    let verified = end(stage.agentry("verify").arg("--json")).with(0).json();
    assert_eq!(verified[0]["trouble"], Value::Null);
    assert!(verified[0]["warning"].as_str().is_some_and(|warning| warning.contains(lacks)), "{verified}");
    let hint = verified[0]["hint"].as_str().expect("a hint");
    assert!(hint.contains("context_tokens = 32000, tools = true, schema_output = true"), "{hint}");
    let page = end(&mut stage.agentry("verify")).with(0).stdout;
    assert!(page.contains("✓ keeper 1.0.0") && page.contains("warning: it needs a model"), "{page}");
    // One that can is enough; one that its grant leaves out is none.
    has_model(stage, 32_000, "tools = true\nschema_output = true\n");
    assert_eq!(end(stage.agentry("verify").arg("--json")).with(0).json()[0]["warning"], Value::Null);
    let grant = stage.path("home/policies/50-keeper.toml");
    let narrow = fs::read_to_string(&grant).expect("a grant").replace("[\"small\"]", "[\"large\"]");
    fs::write(&grant, narrow).expect("it is ours");
    let none = end(stage.agentry("verify").arg("--json")).with(0).json();
    assert!(none[0]["warning"].as_str().is_some_and(|told| told.contains("allows none that this home has")), "{none}");
    // What makes no sense of a model is no manifest.
    let odd = package(stage, "odd.wasm", "ask", |manifest| {
        manifest["wants"] = json!({"llm": {"models": ["*"], "window": 0, "why": "It plans."}});
    });
    end(agentry().arg("inspect").arg(odd)).with(2).complains("no model is as small");
}
