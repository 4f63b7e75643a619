//! What the benchmarks share: a home with a policy, rounds that alternate with their limit, a table with ratios.

pub mod bare;
pub mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentry_engine::prepare::Preparer;
use agentry_journal::report::Report;
use agentry_kernel::journal::Status;
use agentry_runtime::host::{Host, Options};
use agentry_runtime::run::events::Observer;
use tempfile::TempDir;

/// Rounds of each figure. Its limit is measured in turn with it, so that a machine that slows down slows both.
pub const ROUNDS: usize = 9;

/// An agent that makes as many syscalls and asks a model as often as its input says.
pub fn agent() -> PathBuf {
    guest("measure")
}

fn guest(name: &str) -> PathBuf {
    let file = workspace().join("target/test-guests").join(name).with_extension("wasm");
    assert!(file.exists(), "there is no {}: run `cargo xtask guests` first", file.display());
    file
}

/// The command that is measured: `AGENTRY_BIN`, or the release build.
pub fn agentry() -> PathBuf {
    let built = workspace().join("target/release/agentry");
    let file = std::env::var_os("AGENTRY_BIN").map_or(built, PathBuf::from);
    assert!(file.exists(), "there is no {}: run `cargo build --release --workspace --bin agentry`", file.display());
    file
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches/ lies in the workspace").to_owned()
}

/// A home whose policy lets `measure` do all that it is measured at, on the model at `server`.
pub fn home(server: SocketAddr) -> TempDir {
    let home = agentry_home("measure", "loopback");
    let config = format!(
        "format = 1\ndefault = \"loopback\"\n\n[providers.loopback]\nkind = \"openai-compatible\"\n\
         base_url = \"http://{server}/v1\"\n\n[models.loopback]\nprovider = \"loopback\"\nmodel = \"loopback\"\n\
         context_tokens = 8192\nmax_output_tokens = 64\nslots = 2000\nlocal = true\n"
    );
    std::fs::write(home.path().join("agentry.toml"), config).expect("the home is ours");
    home
}

/// A home whose one grant lets this agent use this model.
pub fn agentry_home(agent: &str, model: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let policies = home.path().join("policies");
    std::fs::create_dir(&policies).expect("the home is ours");
    let grant = format!(
        "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nwhy = \"It is measured.\"\n\
         llm = {{ models = [\"{model}\"] }}\nmemory = {{ read = [\"team/**\"], write = [\"team/**\"] }}\n\n[budget]\ntokens_day = 1_000_000_000_000\n"
    );
    std::fs::write(policies.join("50-grant.toml"), grant).expect("the home is ours");
    home
}

/// A host on this home. Its guests are our own, so they are compiled in this process.
pub async fn open(home: &Path) -> Host {
    open_on(home, None).await
}

/// The same, with this model for `default`.
pub async fn open_on(home: &Path, model: Option<String>) -> Host {
    let options = Options {
        home: home.to_owned(),
        policies: home.join("policies"),
        roots: std::collections::BTreeMap::new(),
        model,
        models: Vec::new(),
        preparer: Preparer::InProcess,
        accept_older: false,
        one_run: false,
    };
    Host::open(options).await.expect("the host opens")
}

/// Runs `measure` once.
pub async fn run(host: &Host, calls: u32, asks: u32) -> Report {
    start(host, "measure", format!(r#"{{"calls": {calls}, "asks": {asks}}}"#)).await
}

/// Runs `ask` once: one question to the default model.
pub async fn ask(host: &Host, prompt: &str, max_tokens: u32) -> Report {
    start(host, "ask", serde_json::json!({ "prompt": prompt, "max_tokens": max_tokens }).to_string()).await
}

async fn start(host: &Host, name: &str, input: String) -> Report {
    let report = host.run(&guest(name), input.into_bytes(), Observer::nobody()).await.expect("the agent begins");
    let went_well = report.output.is_some() || report.status == Status::Suspended;
    assert!(went_well, "the agent failed: {:?}", report.failure);
    report
}

/// Runs `measure` on this input JSON.
pub async fn measure(host: &Host, input: String) -> Report {
    start(host, "measure", input).await
}

/// The median of what was measured.
pub fn median(mut figures: Vec<Duration>) -> Duration {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// How long this takes.
pub async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work.await);
    start.elapsed()
}

/// How often the system took the core from this thread, as far as it says; whoever compares two counts knows whether what lies
/// between was interrupted.
pub fn preemptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// One line: a figure, the limit that it is held against, their ratio.
pub fn line(what: &str, figure: Duration, limit: &str, limit_is: Duration) {
    let ratio = figure.as_secs_f64() / limit_is.as_secs_f64();
    println!("{what:<54} {:>10}   {limit:<44} {:>10}   × {ratio:.2}", shown(figure), shown(limit_is));
}

/// A duration as a person reads it.
pub fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Resident memory of this process, in bytes.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) * 1024.0
}
