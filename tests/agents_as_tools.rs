//! Agents that are called as tools: found in the list by their schema, called by whoever may call them as agents, and no more.

use std::fs;

use serde_json::{Value, json};

use crate::installing::{Market, package, packed};
use crate::stage::{Stage, end, example, guest};
use crate::teams::codes;
use crate::tools::{call, error, registry, text};

/// What may be called: nothing but this is granted to `tools`.
const MAY_CALL: &str = "agents = { call = [\"calculator\", \"researcher\", \"reminder\", \"tools\"] }\n";

/// A home that knows these agents, and grants the calculator nothing.
fn home(rights: &str) -> Stage {
    let stage = Stage::new();
    stage.grant("tools", rights);
    stage.grant("calculator", "");
    let known = ["calculator", "reminder"].map(example).into_iter().chain([guest("tools"), guest("echo")]);
    let lines = known.map(|component| {
        let name = component.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        format!("[agents.{name}]\ncomponent = \"{}\"\n", component.display())
    });
    stage.write("home/agents.toml", &format!("format = 1\n{}", lines.collect::<String>()));
    stage
}

fn told(stage: &Stage, calls: &[Value]) -> (Vec<Value>, Value) {
    let output = end(&mut stage.run(&guest("tools"), &json!({"calls": calls}))).with(0).json()["output"].clone();
    stage.replays();
    (output["answers"].as_array().expect("the guest tells").clone(), output["listed"].clone())
}

fn reckon(expression: &str) -> Value {
    call("calculator", &json!({"expression": expression}))
}

#[test]
fn an_agent_that_may_be_called_and_takes_an_object_is_a_tool() {
    let stage = home(MAY_CALL);
    let (answers, listed) = told(&stage, &[reckon("(19.99 + 5) * 3"), reckon("1 / 0"), call("calculator", &json!({}))]);
    // One that takes one object or another says no type that a model could be told, and nobody is a tool of its own.
    assert_eq!(listed, json!(["calculator"]));
    assert_eq!((text(&answers[0]), &answers[0]["labels"]), (r#"{"value":"74.97"}"#, &json!([])));
    assert!(error(&answers[1]).contains("it divides by zero"), "{answers:?}");
    assert!(error(&answers[2]).contains("expression"), "{answers:?}");
    let calls: Vec<_> = stage.calls().iter().map(|call| call["name"].clone()).collect();
    assert_eq!(calls, ["tools.list", "agents.call", "agents.call", "agents.call"], "the trace says what they are");
    let runs = end(stage.agentry("ps").arg("--json")).json();
    let below = runs.as_array().expect("a list").iter().filter(|run| run["parent"] != Value::Null).count();
    assert_eq!(below, 2, "each that began is a run below: {runs}");
}

#[test]
fn one_that_may_not_be_called_is_not_listed_and_is_refused_as_a_tool_that_is_not_granted() {
    let stage = home("agents = { call = [\"echo\"] }\n");
    let (answers, listed) = told(&stage, &[reckon("1 + 1"), call("nobody", &json!({}))]);
    assert_eq!(listed, json!([]));
    for answer in &answers {
        assert!(error(answer).contains("denied (no-grant, argument `name`)"), "{answers:?}");
    }
    assert!(end(stage.agentry("ps").arg("--json")).json().as_array().is_some_and(|runs| runs.len() == 1));
}

#[test]
fn many_calls_one_after_the_other_leave_their_caller_fuel() {
    let stage = home(MAY_CALL);
    let sums: Vec<_> = (0..40).map(|n| reckon(&format!("{n} + 1"))).collect();
    let (answers, _) = told(&stage, &sums);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(text(answer), format!(r#"{{"value":"{}"}}"#, n + 1));
    }
}

#[test]
fn a_tool_of_the_registry_goes_before_an_agent_of_its_name() {
    let stage = home(MAY_CALL);
    let of_registry = "[tools.calculator]\ndescription = \"For a test.\"\neffect = \"read\"\nschema = '{\"type\": \"object\"}'\n\
                       command = { program = \"/bin/echo\", args = [\"the registry\"] }\n";
    registry(&stage, of_registry);
    let (answers, listed) = told(&stage, &[reckon("1 + 1")]);
    assert_eq!(listed, json!([]), "it is not granted, and hides the agent");
    assert!(error(&answers[0]).contains("denied (no-grant"), "{answers:?}");
    // What was called as an agent is called as one when it is executed again, whatever the registry says now.
    fs::remove_file(stage.home().join("tools.toml")).expect("it is there");
    let (answers, _) = told(&stage, &[reckon("1 + 1")]);
    assert_eq!(text(&answers[0]), r#"{"value":"2"}"#);
    registry(&stage, of_registry);
    stage.replays();
}

#[test]
fn a_tool_is_a_package_that_another_one_requires_and_calls() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue"]);
    market.publish(&packed(stage, "calculator.wasm", &example("calculator"), |manifest| {
        manifest["name"] = "blue:calculator".into();
    }));
    market.publish(&package(stage, "bookkeeper.wasm", "tools", |manifest| {
        manifest["name"] = "acme:bookkeeper".into();
        // It has the interface `tools`, and asks for nothing but an agent.
        manifest["wants"] = json!({"agents": {"call": ["calculator"], "why": "It adds up."}});
        manifest["requires"] = json!([{"provides": "arithmetic", "why": "It adds up."}]);
    }));
    let mut install = stage.agentry("install");
    install.arg("acme:bookkeeper");
    codes(&market, &["acme:bookkeeper"]).iter().for_each(|code| {
        install.args(["--consent", code]);
    });
    end(&mut install).with(0);
    let input = json!({"calls": [reckon("0.1 + 0.2")]}).to_string();
    let output = end(stage.agentry("run").args(["bookkeeper", "--json", "--input", &input])).with(0).json();
    assert_eq!(output["output"]["listed"], json!(["calculator"]));
    assert_eq!(text(&output["output"]["answers"][0]), r#"{"value":"0.3"}"#);
    stage.replays();
}
