//! Journaled syscalls a second of 64 runs at once, beside as many writers of a raw log on the same disk that is synced for whole groups.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agentry_benches::{home, measure, median, open, server};
use agentry_runtime::host::Host;
use futures::future::join_all;

/// Runs at once, and writers of the raw log.
const RUNS: usize = 64;
/// Syscalls of each run that it does not wait for the disk with.
const CALLS: u32 = 20_000;
/// Writes to memory of each run, each durable before the next.
const PUTS: u32 = 500;
/// A record of the raw log, in bytes.
const RECORD: usize = 200;

fn main() {
    let threads = tokio::runtime::Runtime::new().expect("threads can be started");
    threads.block_on(async {
        let home = home(server::serve(Duration::ZERO).await.expect("loopback has a port"));
        let host = open(home.path()).await;
        all(&host, 1, 1).await;
        let (mut raw, mut waits, mut goes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..5 {
            raw.push(self::raw(home.path()) / (RUNS as u32 * PUTS));
            waits.push(all(&host, 0, PUTS).await / (RUNS as u32 * PUTS));
            goes.push(all(&host, CALLS, 0).await / (RUNS as u32 * CALLS));
        }
        let second = |each: Vec<Duration>| 1.0 / median(each).as_secs_f64();
        let (raw, waits, goes) = (second(raw), second(waits), second(goes));
        println!("raw log, {RUNS} writers that wait for each of their records: {raw:>9.0} a second");
        let line = |what: &str, figure: f64| {
            println!("{what}: {figure:>9.0} a second, {:.0} % of the raw log; target 45 %", figure / raw * 100.0)
        };
        line("journaled calls of 64 runs, on disk when the runs end", goes);
        line("writes to memory of 64 runs, each on disk with its entry before the next", waits);
    });
}

async fn all(host: &Host, calls: u32, puts: u32) -> Duration {
    let start = Instant::now();
    let input = |run: usize| format!(r#"{{"calls": {calls}, "asks": 0, "puts": {puts}, "name": "run{run}"}}"#);
    join_all((0..RUNS).map(|run| measure(host, input(run)))).await;
    start.elapsed()
}

/// What waits for the disk, and how many records are on it.
#[derive(Default)]
struct Log {
    waiting: Vec<u8>,
    appended: u64,
    durable: u64,
}

/// Writers that each append a record and wait until it is on disk; one thread writes all that waits and syncs it.
fn raw(directory: &Path) -> Duration {
    let mut file = File::create(directory.join("raw.log")).expect("the home is ours");
    let log = Arc::new((Mutex::new(Log::default()), Condvar::new()));
    let start = Instant::now();
    let writers: Vec<_> = (0..RUNS)
        .map(|_| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let (state, changed) = &*log;
                for _ in 0..PUTS {
                    let mut state = state.lock().expect("nobody panics");
                    state.waiting.extend_from_slice(&[7; RECORD]);
                    state.appended += 1;
                    let mine = state.appended;
                    changed.notify_all();
                    while state.durable < mine {
                        state = changed.wait(state).expect("nobody panics");
                    }
                }
            })
        })
        .collect();
    let (state, changed) = &*log;
    let mut durable = 0;
    while durable < RUNS as u64 * u64::from(PUTS) {
        let (bytes, appended) = {
            let mut state = state.lock().expect("nobody panics");
            while state.waiting.is_empty() {
                state = changed.wait(state).expect("nobody panics");
            }
            (std::mem::take(&mut state.waiting), state.appended)
        };
        file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk has room");
        durable = appended;
        state.lock().expect("nobody panics").durable = durable;
        changed.notify_all();
    }
    writers.into_iter().for_each(|writer| writer.join().expect("nobody panics"));
    start.elapsed()
}
