//! Runs that have left memory while they wait: how long a host takes to open on so many of them, what it keeps of them, and how soon one is
//! back when its time comes. `cargo bench … --bench idle -- 1000000` takes another number than a hundred thousand.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_abi::clock::Clock;
use agentry_benches::{home, measure, open, resident, server, shown};
use agentry_kernel::journal::{Unfinished, Wake};
use agentry_kernel::{Millis, RunId};
use agentry_store::ids::HostEpoch;
use agentry_store::rows::parked::ParkedRun;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, Page, Range, RedbStore, Store, keys};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const RUNS: u64 = 100_000;
/// Of these, those that come back while it is measured, and how far apart.
const BACK: u64 = 1_000;
const APART_MS: u64 = 10;
/// The length of the wait, so short that it is over when they come back.
const WAIT_MS: u64 = 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Runs of one transaction.
const AT_ONCE: u64 = 4_096;

#[tokio::main]
async fn main() {
    let runs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(RUNS).max(BACK);
    let home = home(server::serve(Duration::ZERO).await.expect("loopback has a port"));
    let first = one(home.path()).await;
    let size = |home: &Path| std::fs::metadata(home.join("store.redb")).map_or(0, |data| data.len());
    // The store grows in steps; whatever it has now it has for one.
    let before = size(home.path());
    let start = Instant::now();
    let due = multiply(home.path(), first, runs).await;
    println!(
        "{runs} runs that rest, written in {}, {} bytes of disk each",
        shown(start.elapsed()),
        (size(home.path()) - before) / runs
    );
    let (before, start) = (resident(), Instant::now());
    let host = Arc::new(open(home.path()).await);
    let (stop, (ready, served)) = (CancellationToken::new(), oneshot::channel());
    let serving = tokio::spawn(Arc::clone(&host).serve(Duration::from_secs(30), stop.clone(), ready));
    served.await.expect("it serves");
    let each = (resident() - before) / runs as f64;
    println!("a host opens on them in {}, and has {each:.0} bytes of memory more for each", shown(start.elapsed()));
    let mut late = Vec::new();
    for (run, at) in due {
        let ended = loop {
            let record = host.history().run(&run.to_string()).expect("it is there");
            if let Some(ended) = record.ended {
                assert!(record.failure.is_none(), "{record:?}");
                break ended;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        late.push(Duration::from_millis(ended.since(at)));
    }
    late.sort_unstable();
    let part = |percent: usize| shown(late[late.len() * percent / 100]);
    println!(
        "from its time to its end, {} runs, in whole milliseconds: p50 {}, p99 {}",
        late.len(),
        part(50),
        part(99)
    );
    stop.cancel();
    serving.await.expect("it serves").expect("it stops in good order");
}

/// One run that rests.
async fn one(home: &Path) -> RunRecord {
    let host = open(home).await;
    let leave = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let gate = &host.services().drivers.gate;
            if gate.live().iter().any(|live| gate.rest(live.run)) {
                return;
            }
        }
    };
    let input = format!(r#"{{"calls": 10, "asks": 0, "sleep_ms": {WAIT_MS}}}"#);
    let (report, ()) = tokio::join!(measure(&host, input), leave);
    tokio::time::sleep(Duration::from_millis(WAIT_MS)).await;
    host.history().run(&report.run.to_string()).expect("it is there")
}

/// Writes so many that are like it but for their names; which come back, and when.
async fn multiply(home: &Path, first: RunRecord, runs: u64) -> Vec<(RunId, Millis)> {
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home).expect("nobody else has it"));
    let page = Page { rows: 1024, bytes: usize::MAX };
    let segments = store.scan(&Range::of(&keys::indices(first.id)), page).expect("it can be read");
    let segments: Vec<_> = segments.iter().filter_map(|(key, _)| keys::segment_of(key)).collect();
    let segments: Vec<_> = segments
        .iter()
        .map(|id| store.get(&keys::segment(*id)).expect("it can be read").expect("it is there"))
        .collect();
    let entries =
        agentry_journal::history::History::over(Arc::clone(&store)).entries(first.id).expect("it can be read");
    let holds = Unfinished::of(&entries).expect("it has not ended").holds();
    let last = store.scan(&Range::of(keys::LOG).reversed(), Page { rows: 1, bytes: 1 }).expect("it can be read");
    let mut next = keys::segment_of(&last[0].0).expect("a segment").next();
    let host = HostEpoch { host: next.host, epoch: 1 };
    // The first comes back when the host that opens on all has been ready for long.
    let begin = Clock::System.now().plus(20_000 + runs / 20);
    let mut due = Vec::new();
    for group in (0..runs).collect::<Vec<_>>().chunks(AT_ONCE as usize) {
        let mut batch = Batch::default();
        for number in group {
            let run = RunId(u64::MAX / (runs + 2) * (number + 1));
            let back = number % (runs / BACK) == 0;
            let at = if back { begin.plus(due.len() as u64 * APART_MS) } else { begin.plus(DAY_MS) };
            if back {
                due.push((run, at));
            }
            let record = RunRecord { id: run, ..first.clone() };
            let rest = ParkedRun {
                payer: first.agent.clone(),
                holds,
                wake: Some(Wake { at, letter: false, person: false }),
                readers: Vec::new(),
            };
            record.write(&mut batch);
            batch.put(keys::open(run), rest.clone().encode(host));
            rest.places(run).into_iter().for_each(|place| batch.put(place, Vec::new()));
            for segment in &segments {
                let mut segment = segment.clone();
                segment[1..9].copy_from_slice(&run.0.to_be_bytes());
                batch.put(keys::segment(next), segment);
                batch.put(keys::index(run, next), Vec::new());
                next = next.next();
            }
        }
        store.commit(batch).await.expect("the disk has room");
    }
    due
}
