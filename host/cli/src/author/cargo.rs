//! Runs cargo for an author's crate: what is compiled, with which flags, and where the result is. The same source gives the same bytes,
//! wherever it lies and whoever builds it, as long as the toolchain is the same one.

mod places;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agentry_sysroot::Rustc;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::recipe::Recipe;
use super::sbom::Crate;
use super::target::Target;
use crate::screen::{self, text};

/// The moment that those are told who write one into what they make (<https://reproducible-builds.org/specs/source-date-epoch/>): the
/// first of 1980, before which archives of the ZIP format have no time.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// What of a crate is an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Its library.
    Library,
    /// Each of its examples.
    Examples,
}

/// One compiled agent.
#[derive(Debug)]
pub struct Artifact {
    /// The library's or the example's name.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
}

/// Where and how strictly a crate is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Where what is compiled goes; else where cargo puts it.
    pub target_directory: Option<&'a Path>,
    /// Whether `Cargo.lock` must be there and fit.
    pub locked: bool,
}

/// What cargo knows of a crate.
#[derive(Deserialize)]
pub struct Metadata {
    /// Those that are built: or those of the workspace, if no more was asked.
    pub packages: Vec<Package>,
    /// Where `Cargo.lock` lies.
    pub workspace_root: PathBuf,
    /// Where what is compiled goes.
    pub target_directory: PathBuf,
}

/// One crate.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    version: String,
    /// Where it is from; none if from this machine.
    source: Option<String>,
    manifest_path: PathBuf,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
}

/// What a crate needs.
#[derive(Deserialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Where it lies, if that is on this machine.
    pub path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Made>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Made {
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

/// Compiles the crate in this directory and gives its components; each says what made it.
pub fn build(directory: &Path, target: Target, select: Select, terms: Terms<'_>) -> Result<Vec<Artifact>> {
    let manifest = directory.join("Cargo.toml").canonicalize().with_context(|| {
        format!("there is no Cargo.toml in {}\nhint: name the directory of an agent's crate", directory.display())
    })?;
    let rustc = Rustc::of(directory)?;
    let std =
        agentry_sysroot::provide(&rustc, target.platform(), &|said| screen::say(&format!("{}\n", text::line(said))))?;
    let known = metadata(directory, terms, &[])?;
    let flags = places::flags(&known, &rustc, std.sysroot.as_deref());
    let recipe = Recipe::of(directory, &rustc, &std, target);
    let mut cargo = cargo(directory, terms);
    cargo
        .args(["build", "--release", "--target", target.triple(), "--message-format=json-render-diagnostics"])
        .arg(match select {
            Select::Library => "--lib",
            Select::Examples => "--examples",
        })
        .args(terms.locked.then_some("--locked"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .stdout(Stdio::piped());
    let mut running = cargo.spawn().context("cannot run cargo")?;
    let output = running.stdout.take().context("cargo has no output")?;
    let mut found = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("cargo's output broke off")?;
        if let Ok(message) = serde_json::from_str::<Message>(&line) {
            found.extend(agent(message, &manifest, select));
        }
    }
    if !running.wait()?.success() {
        bail!("the crate does not compile for {}\nhint: cargo says above what is wrong", target.triple());
    }
    if found.is_empty() {
        bail!(
            "the crate in {} makes no component\nhint: add `[lib]` with `crate-type = [\"cdylib\"]` to its Cargo.toml",
            directory.display()
        );
    }
    found.sort();
    let read = |(name, path): (String, PathBuf)| {
        let component = recipe.record(&read(&path, target)?)?;
        Ok(Artifact { name, component })
    };
    found.into_iter().map(read).collect()
}

/// The name and file of an agent, if that is what cargo says it made.
fn agent(message: Message, manifest: &Path, select: Select) -> Option<(String, PathBuf)> {
    let made = message.target.filter(|_| message.reason == "compiler-artifact")?;
    let ours = message.manifest_path?.canonicalize().is_ok_and(|path| path == manifest);
    let example = made.kind.iter().any(|kind| kind == "example");
    let library = made.crate_types.iter().any(|kind| kind == "cdylib");
    let selected = example == (select == Select::Examples);
    let file = message.filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
    (ours && library && selected).then_some((made.name, file))
}

fn read(path: &Path, target: Target) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(match target {
        Target::Wasip2 => bytes,
        Target::Pure => wit_component::ComponentEncoder::default()
            .validate(true)
            .module(&bytes)
            .and_then(|mut encoder| encoder.encode())
            .context("the module does not become a component\nhint: does the crate use `#[agentry::agent]`?")?,
    })
}

/// What cargo knows of the crate in this directory.
pub fn metadata(directory: &Path, terms: Terms<'_>, arguments: &[&str]) -> Result<Metadata> {
    let output = cargo(directory, terms)
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .args(terms.locked.then_some("--locked"))
        .stdout(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cannot run cargo\nhint: agents in Rust need a Rust toolchain; see https://rustup.rs")?;
    if !output.status.success() {
        bail!("cargo cannot read the crate in {}\nhint: it says above why", directory.display());
    }
    serde_json::from_slice(&output.stdout).context("cargo's metadata is not what it should be")
}

/// The crate in this directory, with the lock that it was built with.
pub fn locked(directory: &Path) -> Result<Crate> {
    let known = metadata(directory, Terms::default(), &["--no-deps"])?;
    let manifest = directory.join("Cargo.toml").canonicalize()?;
    let is_own = |package: &Package| package.manifest_path.canonicalize().is_ok_and(|path| path == manifest);
    let own = known.packages.into_iter().find(is_own).context("cargo's metadata is not of this crate")?;
    let path = known.workspace_root.join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Crate { name: own.name, version: own.version, lock })
}

/// Cargo without what a shell may hold that makes other bytes of the same source.
fn cargo(directory: &Path, terms: Terms<'_>) -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in env::vars_os().filter(|(name, _)| counts_for_nothing(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    if let Some(target) = terms.target_directory {
        command.env("CARGO_TARGET_DIR", target);
    }
    command
        .current_dir(directory)
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH)
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// Whether a variable of the shell is kept from the build: what cargo sets for a program that it runs itself, and what would change the code.
fn counts_for_nothing(name: &str) -> bool {
    let beginnings = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_", "CARGO_TARGET_WASM32_"];
    let whole = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_INCREMENTAL",
        "CARGO_BUILD_INCREMENTAL",
    ];
    beginnings.iter().any(|beginning| name.starts_with(beginning)) || whole.contains(&name)
}
