//! What a person waits for and what an idle host keeps: the start of the binary, a whole `agentry run`, resident memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agentry_benches::{ROUNDS, agent, agentry, home, line, median, open, resident, server, shown};

const MIB: f64 = 1024.0 * 1024.0;

#[tokio::main]
async fn main() {
    let agentry = agentry();
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let home = home(address);
    let component = agent();
    let input = r#"{"calls": 1, "asks": 0}"#;
    let verbs: [&[&str]; 3] = [&["--version"], &["ps"], &["run", path(&component), "--input", input, "--json"]];
    let target = Duration::from_millis(50);
    for verb in verbs {
        spawned(&agentry, verb, home.path());
        let times = (0..ROUNDS * 3).map(|_| spawned(&agentry, verb, home.path())).collect();
        line(&format!("agentry {}, process to exit", verb[0]), median(times), "its target", target);
    }
    let before = resident();
    let start = Instant::now();
    let host = open(home.path()).await;
    println!("a host opens in {}", shown(start.elapsed()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let idle = resident();
    println!(
        "resident: {:.1} MiB idle host in this process, of these {:.1} before it opened; target 60",
        idle / MIB,
        before / MIB
    );
    drop(host);
}

fn spawned(agentry: &Path, verb: &[&str], home: &Path) -> Duration {
    let start = Instant::now();
    let mut command = Command::new(agentry);
    command.args(verb).env("AGENTRY_HOME", home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().expect("agentry can be started");
    assert!(status.success(), "agentry {verb:?} ended with {status}");
    start.elapsed()
}

fn path(file: &Path) -> &str {
    file.to_str().expect("the workspace's path is UTF-8")
}
