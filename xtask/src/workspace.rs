//! Where things are in this repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::steps::command;

/// The directory of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The command under test and on show: the development build.
pub fn agentry() -> PathBuf {
    target().join("debug/agentry")
}

/// Every file of the repository that is not ignored, relative to its root.
pub fn files() -> Result<Vec<PathBuf>> {
    let listing = command("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).output();
    let listing = listing.context("cannot run git: the tidy checks look at the files that it lists")?;
    anyhow::ensure!(listing.status.success(), "git ls-files failed: the tidy checks need a clone, not an archive");
    let names = String::from_utf8(listing.stdout).context("a file name is not UTF-8")?;
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(files.filter(|file| root().join(file).is_file()).collect())
}

/// The text of a file of the repository.
pub fn read(file: impl AsRef<Path>) -> Result<String> {
    let file = file.as_ref();
    fs::read_to_string(root().join(file)).with_context(|| format!("cannot read {}", file.display()))
}
