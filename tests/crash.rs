//! Hosts that are killed again and again, at any instant: each effect is counted where it arrives, and each run comes to the end that it
//! would have come to undisturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::provider::{last, piece};
use crate::serve::serve;
use crate::stage::{Stage, end, guest};
use crate::web::{Asked, Site, say};

/// Runs of the workload, and rounds of each.
const RUNS: usize = 24;
const ROUNDS: usize = 16;

/// How often a host is killed, unless `AGENTRY_CRASHES` says otherwise.
const CRASHES: usize = 60;

/// The longest that a host lives between two kills, in milliseconds, at first.
const LIVES_MAX_MS: u64 = 250;

/// All that is killed at random is killed at the same instants again with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A model, and two tools, on one server that counts.
fn world() -> Site {
    Site::that(|asked, stream| {
        // So that there is something to cut.
        std::thread::sleep(Duration::from_millis(10));
        if asked.path().ends_with("/chat/completions") {
            let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
            let question = body["messages"][0]["content"].to_string();
            let events: Vec<String> =
                [piece(&format!("answer to {question}"))].into_iter().chain(last(10, 5)).collect();
            let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            return say(stream, 200, &[("content-type", "text/event-stream")], &events);
        }
        say(stream, 200, &[("content-type", "text/plain")], "noted")
    })
}

fn stage(world: &Site) -> Stage {
    let stage = Stage::new();
    stage.policy(
        r#"format = 1
layer = "grant"
agent = "laborer"
llm = { models = ["small"] }
memory = { write = ["team/**"] }
[budget]
usd_day = "5.00"
[[allow]]
id = "laborer/test"
tool = "test.*"
args = "any"
"#,
    );
    let port = world.port();
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\ndefault = \"small\"\n[providers.near]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             [models.small]\nprovider = \"near\"\nmodel = \"m\"\ncontext_tokens = 8192\nmax_output_tokens = 64\nslots = 4\n\
             price = {{ input = 1_000_000, output = 2_000_000 }}\n"
        ),
    );
    let tool = |name: &str, effect: &str| {
        format!(
            "[tools.\"test.{name}\"]\ndescription = \"For a test.\"\neffect = \"{effect}\"\nschema = '{{\"type\": \"object\"}}'\n\
             http = {{ url = \"http://127.0.0.1:{port}/{name}\" }}\n"
        )
    };
    let tools = format!("format = 1\n{}{}", tool("note", "idempotent"), tool("sell", "irreversible"));
    let file = stage.write("home/tools.toml", &tools);
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    stage
}

/// Orders the whole workload, numbered from `first`; names by run.
fn order(stage: &Stage, first: usize) -> BTreeMap<String, String> {
    let component = guest("laborer");
    let ordered = (first..first + RUNS).map(|number| {
        let name = format!("laborer-{number}");
        let input = json!({"name": name, "rounds": ROUNDS}).to_string();
        let begun = end(stage.agentry("run").arg("--detach").arg(&component).args(["--input", &input])).with(0);
        (begun.stdout.trim().to_owned(), name)
    });
    ordered.collect()
}

fn statuses(stage: &Stage) -> BTreeMap<String, String> {
    let runs = end(stage.agentry("ps").args(["--json", "--limit", "1000"])).with(0).json();
    let word = |run: &Value, key: &str| run[key].as_str().expect("text").to_owned();
    runs.as_array().expect("a list").iter().map(|run| (word(run, "run"), word(run, "status"))).collect()
}

fn keys(asked: &[Asked], path: &str) -> Vec<String> {
    let of = asked.iter().filter(|asked| asked.path().ends_with(path));
    of.map(|asked| asked.header("idempotency-key").expect("each has a key").to_owned()).collect()
}

/// What an undisturbed run gives; of the last, it may be that nobody knows.
fn is_as_undisturbed(name: &str, output: &Value) {
    let output: Vec<&str> =
        output.as_array().expect("a list").iter().map(|said| said.as_str().expect("text")).collect();
    assert_eq!(output.len(), ROUNDS + 1, "{name}: {output:?}");
    for (round, said) in output[..ROUNDS].iter().enumerate() {
        let version = round + 1;
        assert_eq!(*said, format!("answer to \"{name} {round}\", noted, version {version}"), "{name}");
    }
    assert!(["noted", "nobody knows"].contains(&output[ROUNDS]), "{name}: {output:?}");
}

#[test]
fn hosts_killed_at_any_instant_lose_no_work_and_do_nothing_twice() {
    let crashes = std::env::var("AGENTRY_CRASHES").ok().and_then(|number| number.parse().ok()).unwrap_or(CRASHES);
    let world = world();
    let stage = stage(&world);
    let (begun, mut dice, mut killed) = (Instant::now(), Dice(0x5eed_5eed_5eed), 0);
    let mut ordered = BTreeMap::new();
    let mut lives_max_ms = LIVES_MAX_MS;
    while killed < crashes {
        let server = serve(&mut stage.agentry("serve"));
        if statuses(&stage).values().all(|status| status == "done") {
            // All that was ordered has ended: it begins anew, in the same home.
            ordered.append(&mut order(&stage, ordered.len()));
        }
        std::thread::sleep(Duration::from_millis(dice.below(lives_max_ms)));
        server.kill();
        killed += 1;
        // A host that lives too short a time for what a machine does in it would be killed for ever.
        lives_max_ms = (LIVES_MAX_MS + begun.elapsed().as_millis() as u64 / 50).min(3000);
    }
    let server = serve(&mut stage.agentry("serve"));
    let mut unknown = 0;
    for (run, name) in &ordered {
        let report = end(stage.agentry("wait").args([run.as_str(), "--json"])).with(0).json();
        unknown += usize::from(report["output"][ROUNDS] == "nobody knows");
        is_as_undisturbed(name, &report["output"]);
    }
    let asked = world.asked();
    // Who asked twice asked under one key, so whoever looks at it does it once.
    for (path, rounds) in [("/completions", ROUNDS), ("/note", ROUNDS)] {
        let different: BTreeSet<String> = keys(&asked, path).into_iter().collect();
        assert_eq!(different.len(), ordered.len() * rounds, "{path}");
    }
    let sold = keys(&asked, "/sell");
    let different: BTreeSet<&String> = sold.iter().collect();
    assert_eq!(sold.len(), different.len(), "what cannot be undone was done twice");
    assert!(
        sold.len() <= ordered.len() && sold.len() + unknown >= ordered.len(),
        "{} sold, {unknown} unknown",
        sold.len()
    );
    let twice = asked.len() - keys(&asked, "/sell").len() - ordered.len() * ROUNDS * 2;
    eprintln!(
        "{killed} kills in {} s: {} runs, {} requests, {twice} asked again under their key, {unknown} of which nobody knows",
        begun.elapsed().as_secs(),
        ordered.len(),
        asked.len()
    );
    server.stop();
    end(&mut stage.agentry("audit verify")).with(0);
    stage.replays();
    let budget = end(stage.agentry("budget").arg("--json")).json();
    nothing_is_held(&budget);
}

fn nothing_is_held(budget: &Value) {
    match budget {
        Value::Object(map) => map.iter().for_each(|(key, value)| match key.as_str() {
            "reserved" => assert_eq!(value, 0, "something is held for runs that are over: {budget}"),
            _ => nothing_is_held(value),
        }),
        Value::Array(list) => list.iter().for_each(nothing_is_held),
        _ => {}
    }
}
