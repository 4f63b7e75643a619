//! Commands that change what is installed, killed at random instants: the set is the old one or the new one, and it verifies.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{begin, end};

/// How often a command is killed, unless `AGENTRY_INSTALL_KILLS` says otherwise.
const KILLS: usize = 40;

/// Versions of both packages.
const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];

/// By agent.
type Set = BTreeMap<String, String>;

/// Marsaglia's xorshift64: the same instants again with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What is installed, and what a rollback would take.
fn listed(market: &Market) -> (Set, Set) {
    let listed = end(market.stage.agentry("list").arg("--json")).with(0).json();
    let version = |one: &Value| one["version"].as_str().map(str::to_owned);
    let (mut now, mut before) = (Set::new(), Set::new());
    for one in listed.as_array().expect("a list") {
        let agent = one["agent"].as_str().expect("a name").to_owned();
        before.extend(version(&one["previous"][0]).map(|version| (agent.clone(), version)));
        now.extend(version(one).map(|version| (agent, version)));
    }
    (now, before)
}

fn both(version: &str) -> Set {
    ["days", "helper"].map(|agent| (agent.to_owned(), version.to_owned())).into()
}

#[test]
fn whenever_a_command_is_killed_the_installed_set_is_the_old_one_or_the_new_one() {
    let kills = std::env::var("AGENTRY_INSTALL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let market = Market::new();
    let stage = &market.stage;
    let mut codes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (version, seq) in VERSIONS.into_iter().zip(1_u32..) {
        for name in ["days", "helper"] {
            market.publish(&package(stage, &format!("{name}-{seq}.wasm"), "echo", |manifest| {
                manifest["name"] = format!("acme:{name}").into();
                manifest["version"] = version.into();
                manifest["seq"] = seq.into();
                if name == "helper" {
                    // Neither goes without the other.
                    manifest["requires"] = json!([{"package": format!("acme:days@={version}"), "why": "x"}]);
                }
            }));
        }
        let shown = end(stage.agentry("info").args([&format!("acme:helper@{version}"), "--json"])).with(0).json();
        let code = |one: &Value| one["consent"].as_str().expect("a code").to_owned();
        codes.insert(version, vec![code(&shown), code(&shown["with"][0])]);
    }
    let install = |version: &str| {
        let mut install = stage.agentry("install");
        install.arg(format!("acme:helper@{version}"));
        codes[version].iter().for_each(|code| {
            install.args(["--consent", code]);
        });
        install
    };
    // An older version that was taken away cannot come again, so now and then all begins anew.
    let afresh = || {
        for part in ["agents.lock", "packages", "policies"] {
            let path = stage.home().join(part);
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        let begun = Instant::now();
        end(&mut install(VERSIONS[0])).with(0);
        begun.elapsed()
    };
    let took = afresh();
    let mut dice = Dice(0x5eed_0000_0001);
    let (mut old, mut new, mut ended) = (0, 0, 0);
    let [first, newest] = [both(VERSIONS[0]), both(VERSIONS[2])];
    for kill in 0..kills {
        if listed(&market).0 != first && dice.below(3) == 0 {
            afresh();
        }
        let (now, before) = listed(&market);
        let (mut command, then) = match dice.below(6) {
            0 if !now.is_empty() => {
                let mut command = stage.agentry("uninstall");
                command.args(["helper", "days"]);
                (command, Set::new())
            }
            1..=3 if now == newest && before.len() == 2 => {
                let mut command = stage.agentry("rollback");
                command.args(["days", "helper"]);
                (command, before)
            }
            1..=3 if now == first && before.is_empty() => {
                let mut command = stage.agentry("update");
                codes[VERSIONS[2]].iter().for_each(|code| {
                    command.args(["--consent", code]);
                });
                command.arg("helper");
                (command, newest.clone())
            }
            _ => (install(VERSIONS[2]), newest.clone()),
        };
        let instant = dice.below(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let running = begin(&mut command);
        std::thread::sleep(Duration::from_micros(instant));
        running.kill();
        let (is, _) = listed(&market);
        assert!(is == now || is == then, "kill {kill}: {now:?} became {is:?} instead of {then:?}");
        end(&mut stage.agentry("verify")).with(0);
        // Whoever has the next turn finishes what was left, grants included.
        end(stage.agentry("uninstall").arg("nobody")).with(2);
        for agent in ["helper", "days"] {
            let grant = fs::read_to_string(stage.path(&format!("home/policies/50-{agent}.toml")));
            assert_eq!(grant.is_ok(), is.contains_key(agent), "kill {kill}: its grant is there as it is itself");
        }
        match (now == then, is == then) {
            (true, _) => ended += 1,
            (false, true) => new += 1,
            (false, false) => old += 1,
        }
    }
    eprintln!(
        "{kills} kills: {old} left the old set, {new} the new one, {ended} had nothing to change; a change takes {took:?}"
    );
    assert!(old > 0 && new > 0, "{old} old, {new} new");
    if listed(&market).0.is_empty() {
        end(&mut install(VERSIONS[2])).with(0);
    }
    end(stage.agentry("run").args(["helper", "--input", "1"])).with(0);
}
