//! What people and one good agent notice of a crowd of hostile runs on the same host: how long its runs take, how soon commands answer, and by how
//! much a run outlives its wall time or a `kill`. `-- 200` says how many runs, `-- DIR` that they are the components of a directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agentry_benches::{agent, agentry, home, median, server, shown, workspace};
use agentry_serve::api::{News, Start};
use agentry_serve::socket::Client;
use serde_json::Value;

const RUNS: usize = 200;
/// Runs of the good agent, idle and beside the crowd.
const GOOD: usize = 200;
/// Commands of each kind beside the crowd.
const ASKED: usize = 25;
const WALL: Duration = Duration::from_secs(20);

const TIMES_TARGET: f64 = 3.0;
const ANSWER_TARGET: Duration = Duration::from_millis(100);
const LATE_TARGET: Duration = Duration::from_millis(500);

/// Test guests that take all that they get, with their inputs: they compute, have the host work, poll, write and grow.
const HOSTILE: [(&str, &str); 8] = [
    ("spin", "null"),
    ("busy-host", r#"{"with": "clock"}"#),
    ("busy-host", r#"{"with": "wait"}"#),
    ("busy-host", r#"{"with": "budget"}"#),
    ("busy-poll", "null"),
    ("flood-log", "null"),
    ("flood-futures", "null"),
    ("gigabyte", "null"),
];

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let runs = words.iter().find_map(|word| word.parse().ok()).unwrap_or(RUNS);
    let crowd = words.iter().find(|word| Path::new(word).is_dir()).map_or_else(guests, |from| components(from));
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let home = home(address);
    let home = home.path();
    grants(home, &crowd);
    let mut serving = Command::new(agentry());
    serving.args(["serve", "--drain", "0s", "--home"]).arg(home).stdout(Stdio::null()).stderr(Stdio::null());
    let mut serving = serving.spawn().expect("agentry can be started");
    while !home.join("control/host.sock").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..10 {
        good(home);
    }
    let alone: Vec<Duration> = (0..GOOD).map(|_| good(home)).collect();
    let idle = part(&alone, 99);
    told("a good agent's run, idle host", &alone, None);
    let going = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for at in 0..runs {
            let (crowd, going, over) = (&crowd, &going, &over);
            scope.spawn(move || keep_going(home, &crowd[at % crowd.len()], (going, over)));
        }
        // All have been ordered, and those that end at once have been compiled.
        std::thread::sleep(Duration::from_secs(15));
        let beside: Vec<Duration> = (0..GOOD).map(|_| good(home)).collect();
        println!("{} of {runs} hostile runs go on at once", going.load(Ordering::Relaxed));
        told("a good agent's run beside them", &beside, Some((idle, TIMES_TARGET)));
        answers(home);
        over.store(true, Ordering::Relaxed);
        late(home);
        let _ = serving.kill();
    });
    serving.wait().expect("it ends");
}

/// The p50 and p99 of this, beside so many times that.
fn told(what: &str, took: &[Duration], limit: Option<(Duration, f64)>) {
    let (p50, p99) = (part(took, 50), part(took, 99));
    let times = limit.map_or_else(String::new, |(of, most)| {
        format!("   × {:.2} of p99 {} (limit × {most})", p99.as_secs_f64() / of.as_secs_f64(), shown(of))
    });
    println!("{what:<34} p50 {:>10}  p99 {:>10}{times}", shown(p50), shown(p99));
}

/// How soon commands answer.
fn answers(home: &Path) {
    let asks: [(&str, &[&str]); 5] = [
        ("ps", &["ps", "--limit", "20"]),
        ("approvals", &["approvals"]),
        ("lock", &["lock", "--because", "It is measured."]),
        ("unlock", &["unlock"]),
        ("status", &["status"]),
    ];
    let mut took = vec![Vec::new(); asks.len()];
    for _ in 0..ASKED {
        for ((_, words), took) in asks.iter().zip(&mut took) {
            took.push(asked(home, words));
        }
    }
    for ((what, _), took) in asks.iter().zip(&took) {
        let all = (shown(median(took.clone())), shown(part(took, 99)));
        println!("`agentry {what}`: p50 {}, p99 {} (limit {})", all.0, all.1, shown(ANSWER_TARGET));
    }
}

/// How soon a run is over that is killed, and by how much the others outlive their wall time.
fn late(home: &Path) {
    let mut kills = Vec::new();
    for run in listed(home).iter().filter(|row| row["status"] == "running").take(ASKED) {
        let run = run["run"].as_str().unwrap_or_default().to_owned();
        let begun = Instant::now();
        asked(home, &["kill", &run]);
        asked(home, &["wait", &run]);
        kills.push(begun.elapsed());
    }
    if !kills.is_empty() {
        println!("killed until it is over: p50 {}, p99 {}", shown(part(&kills, 50)), shown(part(&kills, 99)));
    }
    std::thread::sleep(WALL + Duration::from_secs(2));
    let wall = u64::try_from(WALL.as_millis()).unwrap_or(u64::MAX);
    let late = listed(home);
    let late = late.iter().filter_map(|row| {
        let (from, to) = (row["started_ms"].as_u64()?, row["ended_ms"].as_u64()?);
        let over = row["failure"].as_str().is_some_and(|failure| failure.contains("wall time"));
        over.then(|| Duration::from_millis(to.saturating_sub(from).saturating_sub(wall)))
    });
    let late: Vec<Duration> = late.collect();
    let left = listed(home).iter().filter(|row| row["status"] == "running").count();
    let most = late.iter().max().copied().unwrap_or_default();
    println!(
        "beyond their wall time, {} runs: at most {} (limit {}); {left} are left",
        late.len(),
        shown(most),
        shown(LATE_TARGET)
    );
}

/// Orders one hostile run after another.
fn keep_going(home: &Path, (component, input): &(PathBuf, String), (going, over): (&AtomicUsize, &AtomicBool)) {
    while !over.load(Ordering::Relaxed) {
        going.fetch_add(1, Ordering::Relaxed);
        let ended = order(home, component, input.clone());
        going.fetch_sub(1, Ordering::Relaxed);
        // One that is refused or ends at once comes again, but not all the time.
        std::thread::sleep(if ended.is_ok() { Duration::from_millis(100) } else { Duration::from_secs(1) });
    }
}

fn good(home: &Path) -> Duration {
    let begun = Instant::now();
    order(home, &agent(), r#"{"calls": 10, "asks": 1, "puts": 1, "name": "notes"}"#.to_owned()).expect("it runs");
    begun.elapsed()
}

/// Orders a run over a connection of its own, and waits for its end.
fn order(home: &Path, component: &Path, input: String) -> Result<(), String> {
    let client = Client::connect(home).map_err(|error| error.to_string())?;
    let start = Start { component: component.to_path_buf(), input: input.into_bytes(), watch: true, key: None };
    let mut following = client.start(start).map_err(|error| error.to_string())?;
    loop {
        if let News::Over(_) = following.news().map_err(|error| error.to_string())? {
            return Ok(());
        }
    }
}

fn asked(home: &Path, words: &[&str]) -> Duration {
    let begun = Instant::now();
    let mut command = Command::new(agentry());
    command.args(words).env("AGENTRY_HOME", home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("agentry can be started");
    begun.elapsed()
}

fn listed(home: &Path) -> Vec<Value> {
    let mut command = Command::new(agentry());
    command.args(["ps", "--json", "--limit", "100000"]).env("AGENTRY_HOME", home).stdin(Stdio::null());
    let listed = command.output().expect("agentry can be started").stdout;
    serde_json::from_slice(&listed).unwrap_or_default()
}

fn part(took: &[Duration], percent: usize) -> Duration {
    let mut took = took.to_vec();
    took.sort_unstable();
    took[(took.len() - 1) * percent / 100]
}

fn guests() -> Vec<(PathBuf, String)> {
    let of = |(name, input): (&str, &str)| {
        (workspace().join("target/test-guests").join(name).with_extension("wasm"), input.to_owned())
    };
    HOSTILE.into_iter().map(of).collect()
}

fn components(from: &str) -> Vec<(PathBuf, String)> {
    let all = std::fs::read_dir(from).expect("it is a directory").flatten().map(|entry| entry.path());
    let mut all: Vec<_> = all.filter(|file| file.extension().is_some_and(|end| end == "wasm")).collect();
    all.sort();
    all.into_iter().map(|file| (file, "null".to_owned())).collect()
}

/// Each may spend what an agent may that nobody thought about, for some seconds.
fn grants(home: &Path, crowd: &[(PathBuf, String)]) {
    let name = |(file, _): &(PathBuf, String)| {
        file.file_stem().and_then(|name| name.to_str()).unwrap_or_default().replace('_', "-")
    };
    let mut names: Vec<String> = crowd.iter().map(name).chain(["evil".to_owned()]).collect();
    names.sort();
    names.dedup();
    for name in names {
        let grant = format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{name}\"\nwhy = \"It is measured.\"\n[budget]\nwall_run = \"{}s\"\n\
             fuel_run = 10_000_000_000_000\n",
            WALL.as_secs()
        );
        let file = home.join("policies").join(format!("60-{name}.toml"));
        std::fs::write(file, grant).expect("the home is ours");
    }
}
