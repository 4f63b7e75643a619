//! Runs cargo for an author's crate: what is compiled, with which flags, and where the result is.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::sysroot::{self, Rustc, Target};

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

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    source: Option<String>,
    manifest_path: PathBuf,
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

/// Compiles the crate in this directory and gives its components.
pub fn build(directory: &Path, target: Target, select: Select) -> Result<Vec<Artifact>> {
    let manifest = directory.join("Cargo.toml").canonicalize().with_context(|| {
        format!("there is no Cargo.toml in {}\nhint: name the directory of an agent's crate", directory.display())
    })?;
    let rustc = Rustc::of(directory)?;
    let flags = flags(directory, sysroot::provide(&rustc, target)?.as_deref())?;
    let mut cargo = cargo(directory);
    cargo
        .args(["build", "--release", "--target", target.triple(), "--message-format=json-render-diagnostics"])
        .arg(match select {
            Select::Library => "--lib",
            Select::Examples => "--examples",
        })
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS")
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
    found.into_iter().map(|(name, path)| read(name, &path, target)).collect()
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

fn read(name: String, path: &Path, target: Target) -> Result<Artifact> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let component = match target {
        Target::Wasip2 => bytes,
        Target::Pure => wit_component::ComponentEncoder::default()
            .validate(true)
            .module(&bytes)
            .and_then(|mut encoder| encoder.encode())
            .context("the module does not become a component\nhint: does the crate use `#[agentry::agent]`?")?,
    };
    Ok(Artifact { name, component })
}

/// Flags for rustc: the sysroot, and names for directories, so that the same source gives the same bytes anywhere.
fn flags(directory: &Path, sysroot: Option<&Path>) -> Result<OsString> {
    let mut flags: Vec<OsString> = Vec::new();
    if let Some(given) = env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        flags.push(given);
    } else if let Ok(given) = env::var("RUSTFLAGS") {
        flags.extend(given.split_whitespace().map(OsString::from));
    }
    let mut rename = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push(format!("={to}"));
        flags.push(flag);
    };
    let metadata = metadata(directory)?;
    let local = metadata.packages.iter().filter(|package| package.source.is_none());
    // rustc takes the last prefix that fits, so the shorter ones come first.
    let mut places: Vec<&Path> = local.filter_map(|package| package.manifest_path.parent()).collect();
    places.push(&metadata.workspace_root);
    places.sort();
    places.dedup();
    if let Some(home) = cargo_home() {
        rename(&home, "/cargo");
    }
    for place in places {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
        rename(place, &format!("/source/{}", name.as_deref().unwrap_or("root")));
    }
    if let Some(sysroot) = sysroot {
        let mut flag = OsString::from("--sysroot=");
        flag.push(sysroot);
        flags.push(flag);
    }
    Ok(flags.join(&OsString::from("\u{1f}")))
}

fn metadata(directory: &Path) -> Result<Metadata> {
    let output = cargo(directory)
        .args(["metadata", "--format-version", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cannot run cargo\nhint: agents in Rust need a Rust toolchain; see https://rustup.rs")?;
    if !output.status.success() {
        bail!("cargo cannot read the crate in {}\nhint: it says above why", directory.display());
    }
    serde_json::from_slice(&output.stdout).context("cargo's metadata is not what it should be")
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

fn cargo(directory: &Path) -> Command {
    let mut command = Command::new("cargo");
    // What cargo sets for a program that it runs itself is not meant for the crate built here.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command
        .current_dir(directory)
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_MANIFEST_PATH")
        .stdin(Stdio::null());
    command
}
