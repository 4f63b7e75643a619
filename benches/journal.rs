//! Journaled syscalls a second of 64 runs at once, beside as many writers of a raw log on the same disk that is synced for whole groups.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agentry_benches::{agentry_home, measure, median, open_on};
use agentry_runtime::host::Host;
use futures::future::join_all;
use tokio::sync::oneshot;

/// Runs at once, and writers of the raw log.
const RUNS: usize = 64;
/// Syscalls of each run for which it does not wait for the disk.
const CALLS: u32 = 20_000;
/// Calls of each run for which it does.
const WAITS: u32 = 500;
/// A record of the raw log, in bytes.
const RECORD: usize = 200;

fn main() {
    let threads = tokio::runtime::Runtime::new().expect("threads can be started");
    threads.block_on(async {
        let home = agentry_home("measure", "*");
        let script = home.path().join("script.jsonl");
        let answers = "{\"script\": 1, \"repeat\": true, \"slots\": 64}\n{\"text\": \"ok\"}\n";
        std::fs::write(&script, answers).expect("the home is ours");
        let host = open_on(home.path(), Some(format!("scripted:{}", script.display()))).await;
        all(&host, [1, 1, 1]).await;
        let (mut raw, mut goes, mut asks, mut puts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..5 {
            raw.push(self::raw(home.path()).await / (RUNS as u32 * WAITS));
            goes.push(all(&host, [CALLS, 0, 0]).await / (RUNS as u32 * CALLS));
            asks.push(all(&host, [0, WAITS, 0]).await / (RUNS as u32 * WAITS));
            puts.push(all(&host, [0, 0, WAITS]).await / (RUNS as u32 * WAITS));
        }
        let second = |each: Vec<Duration>| 1.0 / median(each).as_secs_f64();
        let raw = second(raw);
        println!("{:<72} {raw:>9.0} a second", "raw log, 64 writers that wait for each record of 200 bytes");
        let line = |what: &str, each: Vec<Duration>| {
            let figure = second(each);
            println!("{what:<72} {figure:>9.0} a second, {:.0} % of the raw log", figure / raw * 100.0);
        };
        line("calls of 64 runs, all on disk when their runs end; target 45 %", goes);
        line("calls of a model that answers at once, each intent on disk before", asks);
        line("writes to memory, each on disk with its entry before the next call", puts);
    });
}

async fn all(host: &Host, [calls, asks, puts]: [u32; 3]) -> Duration {
    let start = Instant::now();
    let input = |run: usize| format!(r#"{{"calls": {calls}, "asks": {asks}, "puts": {puts}, "name": "run{run}"}}"#);
    join_all((0..RUNS).map(|run| measure(host, input(run)))).await;
    start.elapsed()
}

/// Tasks that each append a record and wait until it is on disk; one thread writes all that waits and syncs it.
async fn raw(directory: &Path) -> Duration {
    let mut file = File::create(directory.join("raw.log")).expect("the home is ours");
    let (records, inbox) = mpsc::channel::<oneshot::Sender<()>>();
    let writer = std::thread::spawn(move || {
        while let Ok(first) = inbox.recv() {
            let group: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
            file.write_all(&vec![7; RECORD * group.len()]).and_then(|()| file.sync_data()).expect("the disk has room");
            // Each waits for its own.
            for written in group {
                let _ = written.send(());
            }
        }
    });
    let start = Instant::now();
    let writers = (0..RUNS).map(|_| {
        let records = records.clone();
        tokio::spawn(async move {
            for _ in 0..WAITS {
                let (sender, written) = oneshot::channel();
                records.send(sender).expect("the writer goes on");
                written.await.expect("the writer goes on");
            }
        })
    });
    join_all(writers.collect::<Vec<_>>()).await;
    let took = start.elapsed();
    drop(records);
    writer.join().expect("nobody panics");
    took
}
