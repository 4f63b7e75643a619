//! Fuzzing: each target of `host/fuzz` for so long, and what fuzzers kept as an ordinary test.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::{self, cargo};
use crate::workspace::{root, target};

/// How long each target is tried if nobody says.
const SECONDS: u32 = 600;

/// An input that is longer says nothing that a shorter one could not.
const INPUT_MAX_BYTES: u32 = 4096;

/// Tries every target. What breaks a property is kept under `host/fuzz/artifacts`, what meets a new branch in the corpus.
pub fn run(seconds: Option<&str>) -> Result<()> {
    let seconds: u32 = seconds.map_or(Ok(SECONDS), str::parse).context("the time is a number of seconds")?;
    if !cargo().args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is not there: `cargo install cargo-fuzz`");
    }
    for name in targets()? {
        // The kernel has no unsafe code that a sanitizer could look at, and without one every compiler can do it.
        let mut fuzz = cargo();
        fuzz.args(["fuzz", "run", "--fuzz-dir", "host/fuzz", "--sanitizer", "none", "--features", "fuzzer"]);
        fuzz.arg("--target-dir").arg(target().join("fuzz")).args([name.as_str(), "--"]);
        fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_MAX_BYTES}"));
        steps::run(&mut fuzz)?;
    }
    Ok(())
}

/// The test that tries every kept input again. It shares what is built with the oracle.
pub fn kept() -> Command {
    let mut kept = cargo();
    kept.args(["test", "--manifest-path", "host/fuzz/Cargo.toml", "--target-dir"]).arg(target().join("oracle"));
    kept
}

/// Each has a corpus.
fn targets() -> Result<Vec<String>> {
    let corpora = std::fs::read_dir(root().join("host/fuzz/corpus")).context("the corpora are gone")?;
    let names = corpora.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<String>>>()?;
    names.sort_unstable();
    Ok(names)
}
