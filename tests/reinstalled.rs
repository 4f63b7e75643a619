//! Agents that go and come back, with other folders and other grants, while a host serves: what holds is what is installed now.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::guests::SOON;
use crate::installing::{Market, package, steps};
use crate::serve::serve;
use crate::stage::{Stage, end};

/// A market with an agent that reads, writes and waits, and two folders for it.
fn market() -> Market {
    let market = Market::new();
    market.publish(&package(&market.stage, "keeper.wasm", "steps", steps));
    for folder in ["one", "other"] {
        fs::write(market.stage.directory(folder).join("a"), format!("of {folder}")).expect("a file");
    }
    market
}

fn install(market: &Market, folder: &str) -> Command {
    let mut install = market.install("acme:keeper");
    install.arg("--root").arg(format!("documents={}", market.stage.path(folder).display()));
    install
}

fn run(stage: &Stage, does: &Value) -> Command {
    let mut run = stage.agentry("run");
    run.args(["keeper", "--json", "--input", &does.to_string()]);
    run
}

/// What the agent reads, once it reads this.
fn until_it_reads(stage: &Stage, text: &str) {
    let begun = Instant::now();
    loop {
        let report = end(&mut run(stage, &json!([["read", "documents", "a"]])));
        if report.stdout.contains(text) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{}{}", report.stdout, report.stderr);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_host_that_serves_gives_an_agent_the_folder_that_it_is_installed_with_now() {
    let market = market();
    let stage = &market.stage;
    let server = serve(&mut stage.agentry("serve"));
    end(&mut install(&market, "one")).with(0);
    until_it_reads(stage, "of one");
    end(stage.agentry("uninstall").arg("keeper")).with(0);
    end(&mut install(&market, "other")).with(0);
    until_it_reads(stage, "of other");
    drop(server);
}

#[test]
fn a_folder_that_has_the_home_is_refused_and_one_that_comes_to_have_it_is_lacking_to_its_agent_alone() {
    let market = market();
    let stage = &market.stage;
    market.publish(&package(stage, "zeta.wasm", "echo", |manifest| manifest["name"] = "acme:zeta".into()));
    end(&mut market.install("acme:zeta")).with(0);
    for folder in ["", "home", "home/policies"] {
        end(&mut install(&market, folder)).with(2).complains("contains the home of agents, or lies in it");
    }
    end(&mut install(&market, "one")).with(0);
    fs::rename(stage.path("one"), stage.path("moved")).expect("it is ours");
    symlink(stage.home(), stage.path("one")).expect("a link");
    end(stage.agentry("run").args(["zeta", "--input", "1"])).with(0);
    end(&mut run(stage, &json!([]))).with(2).complains("documents");
}

#[test]
fn a_run_that_waits_without_a_grant_says_so_and_goes_on_once_there_is_one() {
    let market = market();
    let stage = &market.stage;
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 0\n");
    end(&mut install(&market, "one")).with(0);
    let server = serve(&mut stage.agentry("serve"));
    let does = json!([["put", "agent/keeper/x", "k", "kept"], ["sleep", "1500"], ["get", "agent/keeper/x", "k"]]);
    let mut order = stage.agentry("run");
    order.args(["keeper", "--detach", "--json", "--input", &does.to_string()]);
    let id = end(&mut order).with(0).json()["run"].as_str().expect("an id").to_owned();
    let row = || end(stage.agentry("ps").arg("--json")).with(0).json()[0].clone();
    let until = |what: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        while !what(&row()) {
            assert!(begun.elapsed() < SOON, "{}", row());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(&|row| row["rests"] != Value::Null);
    end(stage.agentry("uninstall").arg("keeper")).with(0);
    until(&|row| row["stranded"].as_str().is_some_and(|why| why.contains("keeper")));
    assert!(end(&mut stage.agentry("ps")).stdout.contains("cannot go on: "));
    let late = end(stage.agentry("wait").args([&id, "--timeout", "2s"])).with(5);
    assert!(late.stderr.contains("it is tried again when"), "{}", late.stderr);
    end(&mut install(&market, "one")).with(0);
    let report = end(stage.agentry("wait").args([&id, "--json"])).with(0).json();
    assert!(report["output"][2].as_str().is_some_and(|got| got.contains("kept")), "{report}");
    drop(server);
}
