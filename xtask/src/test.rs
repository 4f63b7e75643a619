//! Every check and every test, the cheap ones first; the last line counts them.

mod counts;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::model_server::{Answering, ModelServer};
use crate::steps::{self, cargo, shown};
use crate::workspace::{agentry, root, target};
use crate::{debian, demo, dist, fuzz, guests, python, readme, tidy};
use counts::Counts;

/// The names of guest workspaces; they are compiled for WebAssembly and no part of the host's.
const GUEST_WORKSPACES: [&str; 2] = ["example-agents", "tests/guests"];

/// The tests that are executed with `isolation = "none"` as well: all pass with it, and these are the ones that rest on it most.
const WITHOUT_ISOLATION: [&str; 3] = ["guests::", "replay::", "resume::"];

/// The crates whose documentation authors of agents read.
const AUTHORS: [&str; 3] = ["agentry", "agentry-macros", "agentry-mcp"];

/// The reference implementation of The Update Framework.
const TUF: &str = "tuf==7.0.1";

/// The reference implementation of Sigstore in Python, for bundles of cosign.
const SIGSTORE: &str = "sigstore==4.5.1";

/// The vendors' own clients, which our readers of answers are compared with.
const CLIENTS: [&str; 2] = ["openai==3.57.0", "anthropic==2.14.0"];

/// The reference implementation of the Model Context Protocol: its servers of version 1 have sessions, to those of 2 each request stands for itself.
const MCP: [(&str, &str); 2] = [("mcp1", "mcp==1.30.0"), ("mcp2", "mcp==2.3.0")];

/// What the makers of CycloneDX read such lists with.
const CYCLONEDX: &str = "cyclonedx-python-lib[json-validation]==11.12.0";

/// Runs all and prints `N passed, N failed` last.
pub fn run() -> ExitCode {
    let mut steps = Steps { counts: Counts::default(), began: Instant::now(), took: Vec::new() };
    // A mistake found in a second is not worth half an hour of building.
    if checks(&mut steps) {
        tests(&mut steps);
    }
    let Steps { counts, took, .. } = steps;
    for (name, seconds) in &took {
        eprintln!("{seconds:>6} s  {name}");
    }
    eprintln!("took {} s", took.iter().map(|(_, seconds)| seconds).sum::<u64>());
    let skips_count = std::env::var_os("CI").is_some();
    if skips_count && counts.skipped > 0 {
        eprintln!("error: in CI nothing may be skipped");
    }
    println!("{counts}");
    let good = counts.failed == 0 && !(skips_count && counts.skipped > 0);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn checks(steps: &mut Steps) -> bool {
    steps.check("tidy", tidy::run());
    steps.check("format", steps::run(cargo().args(["fmt", "--all", "--check"])));
    for guests in GUEST_WORKSPACES {
        let manifest = root().join(guests).join("Cargo.toml");
        steps.check("format", steps::run(cargo().args(["fmt", "--all", "--check", "--manifest-path"]).arg(manifest)));
    }
    // Only its own dependencies are unified here: a `std` feature that another room turns on cannot help it.
    steps.check("the kernel alone", steps::run(cargo().args(["check", "--quiet", "--package", "agentry-kernel"])));
    steps.check(
        "clippy",
        steps::run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    );
    steps.counts.failed == 0
}

fn tests(steps: &mut Steps) {
    // Always the whole workspace, narrowed by target: another choice of packages would turn on other features, and
    // build every dependency again.
    let mut unit = workspace_tests(&["--lib", "--bins"]);
    let server = match real_models(&mut unit) {
        Ok(server) => Some(server),
        Err(error) => {
            steps.skip(&format!("real models under the drivers: {error:#}"));
            None
        }
    };
    steps.tests("unit", unit);
    drop(server);
    // Those of the crates that authors read, which have few dependencies: for examples cargo builds all of them once more, since `lto` is off.
    let mut documented = cargo();
    documented.args(["test", "--doc", "--no-fail-fast"]).args(AUTHORS.map(|name| format!("--package={name}")));
    steps.tests("examples in the documentation", documented);
    // A workspace of its own: Cedar is in nobody's dependency tree but the oracle's.
    let mut oracle = cargo();
    oracle.args(["test", "--no-fail-fast", "--manifest-path", "host/oracle/Cargo.toml"]);
    oracle.arg("--target-dir").arg(target().join("oracle"));
    steps.tests("decisions beside Cedar's", oracle);
    steps.tests("what fuzzers kept", fuzz::kept());
    if !steps.check("guests", guests::all()) {
        return;
    }
    for guests in GUEST_WORKSPACES {
        steps.check("clippy of guests", guests::clippy(guests));
    }
    let mut examples = cargo();
    examples.args(["test", "--no-fail-fast", "--manifest-path", "example-agents/Cargo.toml"]);
    examples.arg("--target-dir").arg(target().join("guest-checks"));
    steps.tests("unit tests of the examples", examples);
    steps.check("demo", demo::run());
    steps.check("readme", readme::run());
    if let Err(error) = integration(steps) {
        steps.check("integration", Err(error));
    }
}

/// A real server and real weights for the unit tests of the drivers; the server lasts as long as what is returned.
fn real_models(tests: &mut Command) -> Result<Answering> {
    let models = ModelServer::fetched()?;
    let server = models.start()?;
    tests.envs(models.variables_of_drivers(&server));
    Ok(server)
}

fn workspace_tests(targets: &[&str]) -> Command {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]).args(targets);
    tests
}

fn integration(steps: &mut Steps) -> Result<()> {
    // Somebody else's program around the host, and our readers of answers alone, which tests run.
    steps::run(cargo().args(["build", "--quiet", "--workspace", "--example", "embed", "--example", "answer"]))?;
    let server = ModelServer::fetched()?;
    // Another implementation of the form that indexes have.
    let tuf = python::environment("tuf", &[TUF])?;
    let clients = python::environment("clients", &CLIENTS)?;
    let sigstore = python::environment("sigstore", &[SIGSTORE])?;
    let mcp = MCP.map(|(name, package)| python::environment(name, &[package]));
    // A real registry of containers, and another program that reads in it.
    let registry = debian::registry_tools();
    // A real browser, for the pages of an index.
    let browser = debian::browser();
    let cyclonedx = python::environment("cyclonedx", &[CYCLONEDX])?;
    let packed = packed()?;
    let skipped = target().join("skipped-tests");
    let _ = std::fs::remove_file(&skipped);
    let mut tests = integration_tests(&[]);
    tests.env("AGENTRY_BIN", agentry()).env("AGENTRY_SKIPPED", &skipped).envs(server.variables());
    tests.env("AGENTRY_TUF_PYTHON", tuf.path("python")).env("AGENTRY_CLIENTS_PYTHON", clients.path("python"));
    tests.env("AGENTRY_SIGSTORE_PYTHON", sigstore.path("python"));
    for (variable, environment) in ["AGENTRY_MCP1_PYTHON", "AGENTRY_MCP2_PYTHON"].into_iter().zip(mcp) {
        tests.env(variable, environment?.path("python"));
    }
    match registry {
        Ok(tools) => {
            tests.env("AGENTRY_REGISTRY_TOOLS", tools);
        }
        // The tests that need it say so, and in CI that is a failure.
        Err(error) => eprintln!("no registry of containers: {error:#}"),
    }
    match browser {
        Ok(tools) => {
            tests.env("AGENTRY_BROWSER_TOOLS", tools);
        }
        Err(error) => eprintln!("no browser: {error:#}"),
    }
    tests.env("AGENTRY_DIST", packed).env("AGENTRY_CYCLONEDX_PYTHON", cyclonedx.path("python"));
    steps.tests("integration", tests);
    // The other setting, which programs have that embed Agentry: what guests see, and what a run is when it is executed again.
    let mut weaker = integration_tests(&WITHOUT_ISOLATION);
    weaker.env("AGENTRY_BIN", agentry()).env("AGENTRY_SKIPPED", &skipped);
    weaker.env("AGENTRY_ISOLATED", "none").envs(server.variables());
    steps.tests("integration without isolation", weaker);
    steps.skips(&skipped);
    Ok(())
}

/// Of these names, or all. Tests that wait, for processes and times, leave cores to others: half as many again are executed at once.
fn integration_tests(only: &[&str]) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tests = workspace_tests(&["--test", "integration", "--", "--test-threads"]);
    tests.arg((cores + cores.div_ceil(2)).to_string()).args(only);
    tests
}

/// What people install, packed from the binary that is tested, and signed by a key of a home.
fn packed() -> Result<PathBuf> {
    let home = target().join("dist-home");
    let key = home.join("keys/releases.key");
    if !key.exists() {
        let mut make = steps::command(agentry());
        steps::run(make.args(["key", "new", "releases", "--home"]).arg(&home))?;
    }
    let order = dist::Order { profile: dist::Profile::Dev, out: target().join("dist-dev"), key: Some(key) };
    dist::run(&order)?;
    Ok(order.out)
}

/// What was done so far: what came of it, and how long each step took.
struct Steps {
    counts: Counts,
    began: Instant,
    took: Vec<(String, u64)>,
}

impl Steps {
    fn ended(&mut self, name: &str) {
        self.took.push((name.to_owned(), self.began.elapsed().as_secs()));
        self.began = Instant::now();
    }

    /// Counts one check, and says what was wrong.
    fn check(&mut self, name: &str, outcome: Result<()>) -> bool {
        self.ended(name);
        match outcome {
            Ok(()) => self.counts.passed += 1,
            Err(error) => {
                self.counts.failed += 1;
                eprintln!("FAILED {name}: {error:#}");
                return false;
            }
        }
        true
    }

    /// Runs tests, shows what they print and counts what they say.
    fn tests(&mut self, name: &str, mut command: Command) {
        let before = self.counts.failed;
        let listened = self.listen(&mut command);
        self.ended(name);
        match listened {
            Ok(true) => {}
            // A test that does not compile prints no result at all.
            Ok(false) if self.counts.failed == before => {
                self.check(name, Err(anyhow::anyhow!("`{}` failed", shown(&command))));
            }
            Ok(false) => eprintln!("FAILED {name}"),
            Err(error) => {
                self.check(name, Err(error));
            }
        }
    }

    fn listen(&mut self, command: &mut Command) -> Result<bool> {
        eprintln!("$ {}", shown(command));
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let output = child.stdout.take().expect("stdout is piped");
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the tests print")?;
            self.counts.add_result(&line);
            eprintln!("{line}");
        }
        Ok(child.wait().context("cannot wait for cargo")?.success())
    }

    fn skip(&mut self, what: &str) {
        self.counts.skipped += 1;
        eprintln!("SKIPPED {what}");
    }

    /// Counts the tests that wrote their names down instead of running.
    fn skips(&mut self, list: &PathBuf) {
        let names = std::fs::read_to_string(list).unwrap_or_default();
        for name in names.lines() {
            // It returned early, so it was counted as passed.
            self.counts.passed = self.counts.passed.saturating_sub(1);
            self.skip(name);
        }
    }
}
