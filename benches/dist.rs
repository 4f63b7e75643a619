//! What people install: how large it is, how soon an installed agent makes its first syscall, and what an index of ten thousand packages
//! costs whoever searches it, checks a file of it and draws its pages. `-- 10000` says how many; `AGENTRY_BIN` names the binary.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agentry_benches::{ROUNDS, agentry, line, median, shown, workspace};
use agentry_engine::package::{attach, digest, inspect};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::time::Millis;
use agentry_packages::index::repository::Repository;
use agentry_packages::key::{self, PublicKey};
use agentry_packages::statement::Statement;
use serde_json::Value;
use tempfile::TempDir;

const PACKAGES: u32 = 10_000;
const PUBLISHERS: u32 = 100;
const DAYS: u64 = 30;
const MIB: usize = 1 << 20;

/// Of the whole, with the embedded model.
const SIZE_MAX_MB: f64 = 60.0;

/// How a manifest lies at the end of a component: the name of its section, with its length before.
const SECTION: &[u8] = b"\x10agentry-manifest";

fn main() {
    let packages = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(PACKAGES);
    let bytes = fs::metadata(agentry()).expect("it is there").len();
    println!(
        "{:<54} {:>7.1} MB   of {SIZE_MAX_MB} MB",
        "the binary, the embedded model's code in it",
        bytes as f64 / 1e6
    );
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let market = Market::of(place, packages);
    verified(&market);
    let limit = Duration::from_millis(50);
    market.timed(
        &["search", "seven", "--json"],
        &format!("agentry search, {packages} packages, the first time"),
        limit,
    );
    let times = (0..ROUNDS).map(|_| market.spawned(&["search", "seven", "--json"]).0).collect();
    line("the same again", median(times), "its limit", limit);
    market.install_one();
    first_syscall(&market, "from exec to an installed agent's first syscall");
    let host = Serving::of(&market);
    first_syscall(&market, "the same where a host serves the home");
    drop(host);
    let out = market.path("site");
    let pages = ["index", "build", &market.text("index"), "--out", &out.to_string_lossy()];
    market.timed(&pages, &format!("pages of {packages} packages"), Duration::from_secs(5));
}

/// An index in a directory, and a home that knows it.
struct Market {
    place: TempDir,
    base: Vec<u8>,
    manifest: Manifest,
}

impl Market {
    fn of(place: TempDir, packages: u32) -> Self {
        let guest = fs::read(workspace().join("target/test-guests/measure.wasm")).expect("cargo xtask guests");
        let whole = inspect(&guest).expect("it is a package").manifest;
        let mut manifest = serde_json::to_value(whole).expect("it is JSON");
        // What it needs, and no folder that somebody would have to name.
        let wants = manifest["wants"].as_object_mut().expect("it wants something");
        wants.retain(|interface, _| ["llm", "memory"].contains(&interface.as_str()));
        let manifest = serde_json::from_value(manifest).expect("it is a manifest");
        let market = Self { place, base: bare(guest), manifest };
        let begun = Instant::now();
        market.fill(packages);
        println!("{packages} packages of {PUBLISHERS} publishers are listed in {}", shown(begun.elapsed()));
        market
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("it is UTF-8").to_owned()
    }

    /// A package of this name.
    fn component(&self, name: &str, words: &str) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        manifest.name = name.to_owned();
        manifest.description = words.to_owned();
        attach(&self.base, &manifest).expect("it takes a manifest")
    }

    fn fill(&self, packages: u32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis();
        let repository = Repository::at(&self.path("index"), Millis(u64::try_from(now).expect("it fits")));
        let home = self.path("home");
        fs::create_dir_all(home.join("policies")).expect("a directory");
        let made = |name: &str| key::create(&home, name).expect("a key can be made");
        let (root, online) = (made("index"), made("index-online"));
        repository.init(&root, &online, DAYS).expect("an index can be made");
        for publisher in 0..PUBLISHERS {
            let name = format!("p{publisher}");
            let key = made(&name);
            repository.add(&name, &PublicKey::of(&key).into(), &root).expect("it can be listed");
            for package in (publisher..packages).step_by(PUBLISHERS as usize) {
                let words = if package % 1_000 == 7 { "counts to seven" } else { "does as it is told, more or less" };
                let component = self.component(&format!("{name}:agent-{package}"), words);
                let package = inspect(&component).expect("it is a package");
                let envelope = Statement::of(&package, PublicKey::of(&key).into()).sign(&key);
                repository.publish(&package, &component, &envelope, &key).expect("it can be listed");
            }
        }
        repository.sign(&online, DAYS).expect("it can be signed");
        let index = format!("format = 1\n[indexes.main]\nat = \"../index\"\nroot = \"{}\"\n", PublicKey::of(&root));
        fs::write(home.join("packages.toml"), index).expect("a file");
    }

    /// A command in the home, and how long it took.
    fn spawned(&self, arguments: &[&str]) -> (Duration, Output) {
        let begun = Instant::now();
        let mut command = Command::new(agentry());
        command.args(arguments).env("AGENTRY_HOME", self.path("home")).stdin(Stdio::null());
        let output = command.output().expect("agentry can be started");
        let took = begun.elapsed();
        assert!(output.status.success(), "agentry {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        (took, output)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.spawned(arguments).1.stdout).expect("it prints JSON")
    }

    /// Installs the first of them.
    fn install_one(&self) {
        let shown = self.json(&["info", "p0:agent-0", "--json"]);
        let code = shown["consent"].as_str().expect("a code").to_owned();
        self.spawned(&["install", "p0:agent-0", "--consent", &code]);
    }

    fn timed(&self, arguments: &[&str], what: &str, limit: Duration) {
        line(what, self.spawned(arguments).0, "its limit", limit);
    }
}

/// A component without its manifest, which lies at its end.
fn bare(mut component: Vec<u8>) -> Vec<u8> {
    let name = component.windows(SECTION.len()).rposition(|window| window == SECTION).expect("it has a manifest");
    let mut size = component.len() - name;
    let mut head = 2;
    while size >= 0x80 {
        size >>= 7;
        head += 1;
    }
    component.truncate(name - head);
    component
}

/// Digest, signature and what they are of, then all that a preparer looks at as well.
fn verified(market: &Market) {
    let mut component = market.component("p0:large", "large");
    // A section that nobody reads.
    let name = b"\x07padding";
    let size = MIB - component.len() - 4;
    component.push(0);
    component.extend([0x80 | (size & 0x7f) as u8, 0x80 | (size >> 7 & 0x7f) as u8, (size >> 14) as u8]);
    component.extend(name);
    component.resize(MIB, 0);
    let key = key::open(&market.path("home"), "p0").expect("it was made");
    let package = inspect(&component).expect("it is a package");
    let envelope = Statement::of(&package, PublicKey::of(&key).into()).sign(&key);
    let limit = Duration::from_millis(5);
    let signature = || {
        let begun = Instant::now();
        let said = Statement::open(&envelope).expect("it is signed");
        assert_eq!(digest(&component), said.digest);
        begun.elapsed()
    };
    line(
        "a package of 1 MiB: digest and signature",
        median((0..ROUNDS).map(|_| signature()).collect()),
        "its limit",
        limit,
    );
    let gate = || {
        let begun = Instant::now();
        let said = Statement::open(&envelope).expect("it is signed");
        said.vouches_for(&inspect(&component).expect("it is a package")).expect("it is its package");
        begun.elapsed()
    };
    line("the same, and its structure", median((0..ROUNDS).map(|_| gate()).collect()), "its limit", limit);
}

/// A host that serves the home of a market, as long as this is kept.
struct Serving(Child);

impl Serving {
    fn of(market: &Market) -> Self {
        let mut serve = Command::new(agentry());
        serve.arg("serve").env("AGENTRY_HOME", market.path("home")).stdout(Stdio::null()).stderr(Stdio::null());
        let serving = Self(serve.stdin(Stdio::null()).spawn().expect("agentry can be started"));
        while !market.path("home").join("control/host.sock").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it is there");
    }
}

/// From the start of a command to the first syscall of the agent that it runs, by the clock of the machine; the second time and later.
fn first_syscall(market: &Market, what: &str) {
    let run = || {
        let begun = SystemTime::now();
        let input = ["--input", r#"{"calls": 0, "asks": 0, "puts": 1, "name": "a"}"#];
        market.spawned(&[&["run", "agent-0", "--json"][..], &input].concat());
        begun.duration_since(UNIX_EPOCH).expect("it is later").as_secs_f64()
    };
    run();
    let times = (0..ROUNDS * 5).map(|_| {
        let begun = run();
        let trace = market.json(&["trace", "last", "--json"]);
        let began = trace["started"].as_f64().or_else(|| trace["started_ms"].as_f64()).expect("when it began");
        let first = trace["calls"][0]["at_ms"].as_f64().expect("it made a call");
        Duration::from_secs_f64(((began + first) / 1e3 - begun).max(0.0))
    });
    line(what, median(times.collect()), "its limit", Duration::from_millis(5));
}
