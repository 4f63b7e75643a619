//! The web by allow-list: what is granted is fetched from where the name leads, and nothing else leaves the host.

use serde_json::{Value, json};

use crate::stage::{Stage, end, guest};
use crate::web::Site;

fn stage(grants: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(&format!("format = 1\nlayer = \"grant\"\nagent = \"http\"\n{grants}"));
    stage
}

/// What each request came back with.
fn fetch(stage: &Stage, requests: &[Value]) -> Vec<Value> {
    let report = end(&mut stage.run(&guest("http"), &json!({"requests": requests}))).with(0).json();
    report["output"].as_array().expect("the guest tells").clone()
}

/// Nothing left the host, and no budget moved.
fn costs_nothing(stage: &Stage, site: &Site) {
    assert_eq!(site.asked().len(), 0, "something left the host");
    assert_eq!(stage.last()["spent"]["egress"], Value::Null, "{}", stage.last());
}

#[test]
fn without_a_grant_nothing_is_fetched() {
    let site = Site::echo();
    let stage = stage("");
    let told = fetch(&stage, &[json!({"url": site.url("/")}), json!({"url": "not an address"})]);
    assert!(told[0]["error"].is_string(), "{}", told[0]);
    assert!(told[1]["error"].as_str().is_some_and(|error| error.starts_with("invalid")), "{}", told[1]);
    costs_nothing(&stage, &site);
}
