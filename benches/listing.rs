//! A home of many runs beside one of a few: how long its list takes, whole, by a filter and by its first page, where no host runs and beside one that
//! serves, how long until a host is ready, books and pruning; and a trace of a long run, with the memory that it takes. `-- 200000` says how many runs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_benches::{agentry, home, line, measure, median, open, server, shown};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, RedbStore, Store};

const RUNS: u64 = 50_000;
const FEW: u64 = 2_000;
/// Calls of the long runs: what a trace takes in memory is to be the same for both.
const CALLS: [u64; 2] = [100_000, 900_000];
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let runs = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(RUNS);
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    for runs in [FEW, runs] {
        let home = home(address);
        let (one, long) = begin(home.path()).await;
        multiply(home.path(), &one, runs).await;
        lists(home.path(), "no host", runs);
        let limit = Duration::from_millis(100);
        spawned(home.path(), &["trace", &one.id.to_string()], &format!("one trace among {runs}"), limit);
        spawned(home.path(), &["budget"], &format!("books beside {runs}"), limit);
        spawned(home.path(), &["prune", "--older-than", "90d"], &format!("pruning {runs}, none of them old"), limit);
        for (long, calls) in long.iter().zip(CALLS) {
            let limit = Duration::from_micros(calls * 100);
            spawned(home.path(), &["trace", long], &format!("a trace of {calls} calls"), limit);
            spawned(home.path(), &["trace", long, "--json"], &format!("a trace of {calls} calls as JSON"), limit);
        }
        let (mut stopped, mut killed) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (took, host) = Serving::begin(home.path());
            if round == 0 {
                lists(home.path(), "beside a host", runs);
            }
            host.end("-KILL");
            // Its store is looked through once, which takes longer for a larger one.
            let (took_then, host) = Serving::begin(home.path());
            host.end("-TERM");
            killed.push(took_then);
            stopped.extend((round > 0).then_some(took));
        }
        line(&format!("a host on {runs} runs, until it serves"), median(stopped), "its limit", limit);
        line("the same behind one that was killed", median(killed), "its limit", limit);
    }
}

/// A run of one call and those of many, in a new home.
async fn begin(home: &Path) -> (RunRecord, Vec<String>) {
    let host = open(home).await;
    let one = measure(&host, r#"{"calls": 1, "asks": 0}"#.to_owned()).await;
    let mut long = Vec::new();
    for calls in CALLS {
        long.push(measure(&host, format!(r#"{{"calls": {calls}, "asks": 0}}"#)).await.run.to_string());
    }
    (host.history().run(&one.run.to_string()).expect("it is there"), long)
}

/// A host that serves a home.
struct Serving(Child);

impl Serving {
    /// Starts one, and waits until it says that it is ready; how long that took.
    fn begin(home: &Path) -> (Duration, Self) {
        let begun = Instant::now();
        let mut command = Command::new(agentry());
        command.args(["serve", "--home"]).arg(home).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("agentry can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut line).expect("it says something");
        assert!(line.contains(" serves "), "it is not ready: {line}");
        (begun.elapsed(), Self(child))
    }

    /// Ends it by this signal.
    fn end(mut self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{signal} cannot be sent");
        self.0.wait().expect("it ends");
    }
}

fn lists(home: &Path, how: &str, runs: u64) {
    let limit = Duration::from_millis(100);
    let all = runs.to_string();
    spawned(home, &["ps"], &format!("{how}: the first 20 of {runs}"), limit);
    spawned(home, &["ps", "--limit", &all], &format!("{how}: all of {runs}"), limit);
    spawned(home, &["ps", "--limit", &all, "--json"], &format!("{how}: all of {runs} as JSON"), limit);
    spawned(home, &["ps", "--agent", "rare"], &format!("{how}: the 50 of one agent among {runs}"), limit);
    spawned(home, &["ps", "--since", "2200-01-01"], &format!("{how}: those of a time without any"), limit);
}

/// Runs a command some times, and says how long it took from its start to its end, and how much memory.
fn spawned(home: &Path, args: &[&str], what: &str, limit: Duration) {
    let mut times = Vec::new();
    let mut most = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut command = Command::new(agentry());
        command.args(args).env("AGENTRY_HOME", home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("agentry can be started");
        let status = loop {
            most = most.max(resident(child.id()));
            if let Some(status) = child.try_wait().expect("it is ours") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert!(status.success(), "agentry {args:?} ended with {status}");
        times.push(begun.elapsed());
    }
    line(&format!("{what}, {:.0} MiB", most as f64 / 1024.0), median(times), "its limit", limit);
}

/// KiB that a process has in memory.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

/// Writes so many runs that are like this one, as their hosts would have written their records.
async fn multiply(home: &Path, first: &RunRecord, runs: u64) {
    let begun = Instant::now();
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home).expect("nobody else has it"));
    for group in (1..=runs).collect::<Vec<_>>().chunks(1_000) {
        let mut batch = Batch::default();
        for number in group {
            let id = RunId(u64::MAX / (runs + 2) * number);
            let agent = if number % (runs / 50).max(1) == 0 { "rare".to_owned() } else { first.agent.clone() };
            let status = if number % 7 == 0 { Status::Failed } else { Status::Done };
            RunRecord { id, agent, status, started: first.started.plus(*number), ..first.clone() }.write(&mut batch);
        }
        store.commit(batch).await.expect("the disk has room");
    }
    println!("{runs} runs written in {}", shown(begun.elapsed()));
}
