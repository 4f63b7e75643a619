//! A crowd that orders short runs of a host that serves: whole runs a second and how long each takes, over the control socket and by
//! `agentry run --detach`; and whether anybody is hung up on. `-- 100` says how many clients.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agentry_benches::{agent, agentry, home, server, shown};
use agentry_serve::api::{News, Start};
use agentry_serve::socket::Client;

const CLIENTS: usize = 100;
const EACH: usize = 50;
const DETACHED_EACH: usize = 5;
const RUNS_TARGET: f64 = 1_500.0;
const P99_TARGET: Duration = Duration::from_millis(150);

#[tokio::main]
async fn main() {
    let clients = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(CLIENTS);
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let home = home(address);
    let mut serving = Command::new(agentry());
    serving.args(["serve", "--home"]).arg(home.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut serving = serving.spawn().expect("agentry can be started");
    while !home.path().join("control/host.sock").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Compiled once, before anything is measured.
    order(home.path(), &agent(), true).expect("it runs");
    crowd("to its end, over the socket", home.path(), clients, EACH, |home| order(home, &agent(), true));
    crowd("begun, over the socket", home.path(), clients, EACH, |home| order(home, &agent(), false));
    crowd("begun, by a command each", home.path(), clients, DETACHED_EACH, detach);
    serving.kill().expect("it is there");
    serving.wait().expect("it ends");
}

/// So many at once, each one order after another.
fn crowd(
    what: &str,
    home: &Path,
    clients: usize,
    each: usize,
    one: impl Fn(&Path) -> Result<(), String> + Send + Sync,
) {
    let failed = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let (failed, one) = (Arc::clone(&failed), &one);
                scope.spawn(move || {
                    let mut took = Vec::with_capacity(each);
                    for _ in 0..each {
                        let begun = Instant::now();
                        if let Err(why) = one(home)
                            && failed.fetch_add(1, Ordering::Relaxed) == 0
                        {
                            eprintln!("one failed: {why}");
                        }
                        took.push(begun.elapsed());
                    }
                    took
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect()
    });
    let all = begun.elapsed();
    took.sort_unstable();
    let part = |percent: usize| shown(took[(took.len() - 1) * percent / 100]);
    println!(
        "{clients} clients, {what}: {:.0} runs/s (target {RUNS_TARGET}), p50 {}, p99 {} (target {}), {} of {} failed",
        took.len() as f64 / all.as_secs_f64(),
        part(50),
        part(99),
        shown(P99_TARGET),
        failed.load(Ordering::Relaxed),
        took.len(),
    );
}

/// Orders a run over a connection of its own.
fn order(home: &Path, component: &Path, watch: bool) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let client = Client::connect(home).map_err(|error| text(&error))?;
    let start =
        Start { component: component.to_path_buf(), input: br#"{"calls": 1, "asks": 0}"#.to_vec(), watch, key: None };
    let mut following = client.start(start).map_err(|error| text(&error))?;
    loop {
        match following.news().map_err(|error| text(&error))? {
            News::Begun(_) if !watch => return Ok(()),
            News::Over(_) => return Ok(()),
            _ => {}
        }
    }
}

fn detach(home: &Path) -> Result<(), String> {
    let mut command = Command::new(agentry());
    command.args(["run", "--detach"]).arg(agent()).args(["--input", r#"{"calls": 1, "asks": 0}"#]);
    let done = command.env("AGENTRY_HOME", home).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}
