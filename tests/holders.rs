//! Publishers of several keys: so many of them must sign, in turn, and nobody takes fewer or others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{Ended, end, repository, skip};

/// A market whose author holds three keys, of which two must sign.
struct Shared {
    market: Market,
    keys: Vec<String>,
}

impl Shared {
    fn new() -> Self {
        let market = Market::new();
        let new = |name: &str| end(market.author("key new").arg(name)).with(0).stdout.trim().to_owned();
        let keys = vec![market.key.clone(), new("second"), new("third")];
        let shared = Self { market, keys };
        shared.trust(shared.market.author("key trust"), &shared.keys, "2").with(0);
        shared
    }

    /// A publisher `acme` of these keys.
    fn trust(&self, mut command: Command, keys: &[String], threshold: &str) -> Ended {
        end(command.arg("acme").args(keys).args(["--threshold", threshold]))
    }

    /// `agentry publish FILE --key NAME`, by whoever holds it.
    fn publish(&self, file: &Path, key: &str) -> Command {
        let mut command = self.market.author("publish");
        command.arg(file).args(["--key", key]);
        command
    }

    /// The same, listed in the index.
    fn list(&self, file: &Path, key: &str) -> Command {
        let mut command = self.publish(file, key);
        command.arg("--index").arg(self.index());
        command
    }

    fn index(&self) -> PathBuf {
        self.market.stage.path("index")
    }

    /// `agentry index add DIR`.
    fn add(&self) -> Command {
        let mut command = self.market.author("index add");
        command.arg(self.index());
        command
    }

    fn sign(&self) -> Ended {
        end(self.market.author("index sign").arg(self.index())).with(0)
    }
}

#[test]
fn a_file_of_a_publisher_of_several_keys_is_taken_when_enough_of_them_have_signed() {
    let shared = Shared::new();
    let stage = &shared.market.stage;
    let file = package(stage, "keeper.wasm", "echo", |_| {});
    shared.trust(stage.agentry("key trust"), &shared.keys, "2").with(0);
    // One of them, and the same one again.
    for _ in 0..2 {
        let told = end(&mut shared.publish(&file, "acme")).with(0).stderr;
        assert!(told.contains("1 of the 2 keys that must sign have signed: hand it on"), "{told}");
        end(stage.agentry("info").arg(&file)).with(3).complains("signed by 1 of the 2 keys that must sign it");
    }
    let told = end(shared.publish(&file, "third").arg("--json")).with(0).json();
    assert_eq!((told["signed_by"].as_array().map(Vec::len), &told["threshold"]), (Some(2), &json!(2)));
    let name = told["key"].as_str().expect("it is named").to_owned();
    assert!(name.starts_with("keys:"), "{name}");
    end(&mut shared.market.install(&file.display().to_string())).with(0);
    // The grant names all of them at once, and holds.
    let grant = fs::read_to_string(stage.path("home/policies/50-keeper.toml")).expect("a grant");
    assert!(grant.contains(&format!("publisher = \"{name}\"")), "{grant}");
    let ran = end(stage.agentry("run").args(["keeper", "--json", "--input", "{\"a\":1}"])).with(0).json();
    assert_eq!(ran["output"], json!({"a": 1}));
    end(&mut stage.agentry("verify")).with(0);
    let listed = end(stage.agentry("list").arg("--json")).with(0).json();
    let key = &listed[0]["key"];
    let sorted = |keys: &[&String]| {
        let mut keys: Vec<Value> = keys.iter().map(|key| json!(key)).collect();
        keys.sort_by_key(ToString::to_string);
        Value::from(keys)
    };
    assert_eq!(key["by"], sorted(&[&shared.keys[0], &shared.keys[2]]), "{listed}");
    assert_eq!((key["keys"].as_array().map(Vec::len), &key["threshold"]), (Some(3), &json!(2)));
    // Who has lost one of the keys that signed says so, and the agent stands on one alone.
    end(stage.agentry("key revoke").arg("acme")).with(2).complains("`acme` has several keys");
    let told = end(stage.agentry("key revoke").arg(&shared.keys[0])).with(0).stderr;
    assert!(told.contains("keeper is granted nothing any more"), "{told}");
    end(stage.agentry("run").args(["keeper", "--json"])).with(3).complains("is revoked");
    // A third one makes up for it.
    end(&mut shared.publish(&file, "second")).with(0);
    end(stage.agentry("info").arg(&file)).with(0);
}

#[test]
fn keys_that_nobody_could_sign_with_and_others_than_before_are_refused() {
    let shared = Shared::new();
    let stage = &shared.market.stage;
    let (keys, trust) = (&shared.keys, || stage.agentry("key trust"));
    for (keys, threshold) in [(&keys[..], "0"), (&keys[..], "4"), (&[keys[0].clone(), keys[0].clone()][..], "2")] {
        shared.trust(trust(), keys, threshold).with(2).complains("cannot be those that must sign");
        shared.trust(shared.add(), keys, threshold).with(2).complains("cannot be those that must sign");
    }
    end(trust().arg("acme").args(keys)).with(2).complains("not how many of them must sign");
    shared.trust(trust(), keys, "2").with(0);
    for (other, threshold) in [(&keys[..], "1"), (&keys[..2], "2"), (&keys[..1], "1")] {
        shared.trust(trust(), other, threshold).with(3).complains("`acme` has the key 2 of 3 keys: ed25519:");
    }
    // What one of them signed for itself alone is not the publisher's word.
    let file = package(stage, "keeper.wasm", "echo", |_| {});
    end(shared.market.author("key trust").arg("acme").arg(&keys[0]).arg("--replace")).with(0);
    end(&mut shared.publish(&file, "acme")).with(0);
    let told = end(stage.agentry("info").arg(&file)).with(3);
    told.complains("`acme` signed with another key than before");
    end(trust().arg("acme").arg(&keys[0]).arg("--replace")).with(0);
    end(stage.agentry("info").arg(&file)).with(0);
}

#[test]
fn a_publisher_of_several_keys_lists_in_an_index_when_enough_of_them_have_signed() {
    let shared = Shared::new();
    let (market, stage) = (&shared.market, &shared.market.stage);
    shared.trust(shared.add(), &shared.keys, "2").with(0);
    let file = package(stage, "1.wasm", "echo", |_| {});
    end(&mut shared.list(&file, "acme")).with(3).complains("not yet: it is signed by 1 of the 2 keys");
    assert!(!stage.path("1.wasm.sig").exists(), "nothing was written");
    end(&mut shared.publish(&file, "acme")).with(0);
    let told = end(&mut shared.list(&file, "second")).with(0).stderr;
    assert!(told.contains("once 2 keys have signed its list; so far 1"), "{told}");
    assert!(shared.sign().stderr.contains("acme: its newest list waits for more of its keys"));
    end(stage.agentry("info").arg("acme:keeper")).with(2).complains("no index here lists acme:keeper");
    end(&mut shared.list(&file, "acme")).with(0);
    shared.sign();
    let told = end(stage.agentry("info").args(["acme:keeper", "--json"])).with(0).json();
    assert!(told["key"].as_str().is_some_and(|key| key.starts_with("keys:")), "{told}");
    assert_eq!(told["signed_by"].as_array().map(Vec::len), Some(2));
    let shown = end(stage.agentry("info").arg("acme:keeper")).with(0).stdout;
    assert!(shown.contains("signed by acme with 2 of its 3 keys (ed25519:"), "{shown}");
    end(&mut market.install("acme:keeper")).with(0);
    // A publisher that takes back does so in turn as well.
    let yank = |key: &str| {
        let mut yank = market.author("yank");
        yank.args(["acme:keeper@1.0.0", "--because", "it loses cents", "--key", key, "--index"]).arg(shared.index());
        end(&mut yank).with(0).stderr
    };
    assert!(yank("third").contains("once 2 keys have signed its list"));
    assert!(yank("acme").contains("agentry index sign"));
    shared.sign();
    end(stage.agentry("info").arg("acme:keeper@1.0.0")).with(3).complains("it loses cents");
    // With other keys it is another publisher, until an admin says that this is meant.
    let fewer = &shared.keys[..2];
    shared.trust(shared.add(), fewer, "1").with(0);
    let mut trust = market.author("key trust");
    trust.arg("--replace");
    shared.trust(trust, fewer, "1").with(0);
    market.publish(&package(stage, "2.wasm", "echo", |manifest| {
        manifest["version"] = "1.1.0".into();
        manifest["seq"] = 2.into();
    }));
    end(stage.agentry("info").arg("acme:keeper")).with(3).complains("`acme` signed with other keys than before");
    let mut trust = stage.agentry("key trust");
    trust.arg("--replace");
    shared.trust(trust, fewer, "1").with(0);
    end(stage.agentry("info").arg("acme:keeper")).with(0);
}

#[test]
fn another_implementation_of_tuf_reads_a_publisher_of_several_keys() {
    const TEST: &str = "another_implementation_of_tuf_reads_a_publisher_of_several_keys";
    let Some(python) = std::env::var_os("AGENTRY_TUF_PYTHON") else {
        return skip(TEST, "AGENTRY_TUF_PYTHON names no Python with `tuf`");
    };
    let shared = Shared::new();
    shared.trust(shared.add(), &shared.keys, "2").with(0);
    let file = package(&shared.market.stage, "1.wasm", "echo", |_| {});
    end(&mut shared.publish(&file, "third")).with(0);
    end(&mut shared.list(&file, "acme")).with(0);
    let list = shared.index().join("metadata/1.acme.json");
    let by_one = fs::read_to_string(&list).expect("a list");
    end(&mut shared.list(&file, "second")).with(0);
    shared.sign();
    let read = || {
        let mut client = Command::new(&python);
        client.arg(repository("tests/tuf_client.py")).arg(shared.index()).args(["acme/keeper/1.0.0.wasm", "2"]);
        end(client.args(&shared.keys))
    };
    let found = read().with(0).stdout;
    assert!(found.contains("signed acme:keeper by 2 of 3"), "{found}");
    // The list that one alone signed is not the one that was signed in: neither takes it.
    fs::write(&list, by_one).expect("a file");
    let told = read().with(1).stderr;
    assert!(told.contains("does not match expected"), "{told}");
    end(shared.market.stage.agentry("info").arg("acme:keeper")).with(3).complains("is not the file that it speaks of");
}
