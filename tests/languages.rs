//! The syscall table is not Rust's alone: the same small agent in Python and in JavaScript.

use serde_json::json;

use crate::stage::{Stage, end, guest};

/// Asks a model, remembers, reads the time: what every language must be able to say.
fn works(language: &str) {
    let component = guest(language);
    let stage = Stage::drafting(&component);
    let script = "{\"script\": 1, \"repeat\": true}\n{\"chunks\": [\"one \", \"two\"]}\n";
    let report = end(&mut stage.run_on(script, &component, &json!({"prompt": "count"}))).with(0).json();
    assert!(report["output"].to_string().contains("one two"), "{report}");
    let calls = stage.calls();
    assert!(calls.iter().any(|call| call["name"].as_str().is_some_and(|name| name.starts_with("llm."))), "{calls:?}");
}

#[test]
fn an_agent_in_python_works() {
    works("python");
}

#[test]
fn an_agent_in_javascript_works() {
    works("javascript");
}
