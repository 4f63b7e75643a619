//! Somebody else's program around the host: it runs agents with a store, a clock, a model and a tool of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::stage::guest;

/// The example of `host/runtime`, built beside the program that is tested.
fn embed() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/agentry");
    let agentry = std::env::var_os("AGENTRY_BIN").map_or(target, PathBuf::from);
    let embed = agentry.with_file_name("examples").join("embed");
    assert!(embed.exists(), "{} is not built: cargo build --workspace --example embed", embed.display());
    embed
}

fn run(directory: &Path, agent: &str, input: &Value) -> Value {
    all(directory, agent, &[input]).remove(0)
}

/// Each on the host of one program, which brings other tools before the next.
fn all(directory: &Path, agent: &str, inputs: &[&Value]) -> Vec<Value> {
    let mut command = Command::new(embed());
    command.arg(directory).arg(guest(agent)).args(inputs.iter().map(|input| input.to_string()));
    let ended = command.output().expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let lines = serde_json::Deserializer::from_slice(&ended.stdout).into_iter();
    lines.collect::<Result<_, _>>().expect("it prints JSON")
}

#[test]
fn another_program_runs_agents_with_its_own_store_clock_model_and_tool() {
    let place = tempfile::tempdir().expect("a directory");
    let told = run(place.path(), "ask", &json!({"prompt": "Are you open?"}));
    assert_eq!(told, json!({"output": "We are open.", "failure": null, "started": 1_800_000_000_000_u64}));
    assert!(place.path().join("state/store.redb").exists() && !place.path().join("store.redb").exists());
}

#[test]
fn what_its_policy_does_not_grant_another_program_does_not_give_either() {
    let place = tempfile::tempdir().expect("a directory");
    let call = |tool: &str| json!({"tool": tool, "arguments": "{\"b\": 1, \"a\": 2}"});
    let told = run(place.path(), "tools", &json!({"calls": [call("shop.stock"), call("shop.sell")]}));
    let output = &told["output"];
    assert_eq!(output["listed"], json!(["shop.stock"]), "{told}");
    assert_eq!(output["answers"][0]["text"], "3 left of {\"a\":2,\"b\":1}", "{told}");
    assert!(
        output["answers"][1]["error"].as_str().is_some_and(|why| why.contains("denied (no-grant, argument `name`)")),
        "{told}"
    );
    let told = run(place.path(), "ask", &json!({"prompt": "Hello", "model": "other"}));
    assert_eq!(told["output"], Value::Null);
}

#[test]
fn another_program_replaces_its_tools_while_its_host_is_open() {
    let place = tempfile::tempdir().expect("a directory");
    let call = |tool: &str| json!({"calls": [{"tool": tool, "arguments": "{}"}]});
    let told = all(place.path(), "tools", &[&call("shop.stock"), &call("shop.stock1"), &call("shop.stock1")]);
    let seen = |told: &Value| (told["output"]["listed"].clone(), told["output"]["answers"][0]["error"].clone());
    assert_eq!(seen(&told[0]), (json!(["shop.stock"]), Value::Null), "{told:?}");
    assert_eq!(seen(&told[1]), (json!(["shop.stock1"]), Value::Null), "{told:?}");
    let (listed, error) = seen(&told[2]);
    assert_eq!(listed, json!(["shop.stock2"]), "{told:?}");
    assert!(error.as_str().is_some_and(|why| why.starts_with("not found")), "{told:?}");
}
