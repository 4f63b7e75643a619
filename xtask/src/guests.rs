//! Builds guests the way an author does: with `agentry build`, which brings its own way to std for WebAssembly.

mod languages;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::steps::{cargo, command, run};
use crate::workspace::{agentry, root, target};

/// Everything: the examples, the guests of the tests, and one guest of each other language.
pub fn all() -> Result<()> {
    host()?;
    for name in examples()? {
        example(&name)?;
    }
    misbehaving()?;
    languages::build()
}

/// Builds the command itself, with the features that the whole workspace turns on, so that tests build nothing again.
pub fn host() -> Result<()> {
    run(cargo().args(["build", "--workspace", "--bin", "agentry"]))
}

/// Builds one example and gives its component: `target/guests/NAME.wasm`.
pub fn example(name: &str) -> Result<PathBuf> {
    let component = target().join("guests").join(format!("{name}.wasm"));
    fs::create_dir_all(component.parent().expect("it lies in a directory"))?;
    let source = root().join("example-agents").join(name);
    run(command(agentry()).arg("build").arg(source).arg("--out").arg(&component))?;
    Ok(component)
}

/// What clippy says of a guest workspace. It reads the code as the host's: nothing is linked, so no WebAssembly is needed.
pub fn clippy(workspace: &str) -> Result<()> {
    let manifest = root().join(workspace).join("Cargo.toml");
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet", "--all-targets", "--manifest-path"]).arg(manifest);
    run(clippy.arg("--target-dir").arg(target().join("guest-checks")).args(["--", "-D", "warnings"]))
}

/// Where the guests of the tests are built to.
pub fn test_guests() -> PathBuf {
    target().join("test-guests")
}

fn misbehaving() -> Result<()> {
    fs::create_dir_all(test_guests())?;
    let source = root().join("tests/guests");
    run(command(agentry()).arg("build").arg(source).args(["--examples", "--out"]).arg(test_guests()))
}

/// The directories of `example-agents/` that hold an agent.
fn examples() -> Result<Vec<String>> {
    let directory = root().join("example-agents");
    let entries = fs::read_dir(&directory).context("cannot list the examples")?.filter_map(Result::ok);
    let agents = entries.map(|entry| entry.path()).filter(|path| path.join("agent.toml").exists());
    let mut names: Vec<String> = agents.filter_map(|path| name(&path)).collect();
    names.sort();
    Ok(names)
}

fn name(path: &Path) -> Option<String> {
    path.file_name().and_then(OsStr::to_str).map(str::to_owned)
}
