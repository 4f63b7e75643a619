//! What it costs that guests are executed by processes of their own: the same agent, command by command, in the host's process and in workers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agentry_benches::{ROUNDS, agent, agentry, home, line, median, server};

/// What is measured, the input of so many of it, and how many.
const FIGURES: [(&str, &str, u32); 3] = [
    ("timers.now", "calls", 100_000),
    ("memory.put, on disk", "puts", 2_000),
    ("llm.complete, its intent on disk", "asks", 300),
];

#[tokio::main]
async fn main() {
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let homes = ["none", "process"].map(|isolation| {
        let home = home(address);
        let file = home.path().join("agentry.toml");
        let config = std::fs::read_to_string(&file).expect("the home is ours");
        std::fs::write(&file, format!("{config}\n[engine]\nisolation = \"{isolation}\"\n")).expect("the home is ours");
        home
    });
    let mut whole = [Vec::new(), Vec::new()];
    for _ in 0..=ROUNDS {
        for (home, times) in homes.iter().zip(&mut whole) {
            times.push(executed(home.path(), "calls", 0));
        }
    }
    // The first run of a home compiles.
    let [in_host, in_worker] = whole.map(|times| median(times[1..].to_vec()));
    for (what, field, count) in FIGURES {
        let mut each = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for ((home, nothing), times) in homes.iter().zip([in_host, in_worker]).zip(&mut each) {
                times.push(executed(home.path(), field, count).saturating_sub(nothing) / count);
            }
        }
        let [in_host, in_worker] = each.map(median);
        line(&format!("{what}, in a worker"), in_worker, "in the host's process", in_host);
    }
    line("a whole `agentry run`, in a worker", in_worker, "in the host's process", in_host);
}

/// How long `agentry run` takes for so many of what this field of `measure`'s input counts.
fn executed(home: &Path, field: &str, count: u32) -> Duration {
    let mut input = serde_json::json!({ "calls": 0, "asks": 0, "name": "notes" });
    input[field] = count.into();
    let mut run = Command::new(agentry());
    run.arg("run").arg(agent()).args(["--input", &input.to_string(), "--json"]).env("AGENTRY_HOME", home);
    let start = Instant::now();
    let status = run.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("agentry can be started");
    assert!(status.success(), "agentry run ended with {status}");
    start.elapsed()
}
