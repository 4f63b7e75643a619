//! Builds the source of a package once more, somewhere else: from a copy, into a directory of its own, with the crates that `Cargo.lock` names.
//! The source itself is only read. What runs is the author's toolchain and what their crates run while they are compiled.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use agentry_kernel::manifest::Manifest;
use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use super::cargo::{self, Metadata, Select, Terms};
use super::target::Target;
use super::{manifest, sdk};
use crate::package;

/// What says that a directory can be made again (<https://bford.info/cachedir/>); cargo puts it where it compiles to.
const CACHE_TAG: &str = "CACHEDIR.TAG";

const LOCK: &str = "Cargo.lock";

/// A crate whose bytes are to be made again.
pub struct Source {
    /// The crate.
    directory: PathBuf,
    /// The workspace that it is part of.
    workspace: PathBuf,
    /// As its `agent.toml` has it.
    pub manifest: Manifest,
}

impl Source {
    /// The crate in this directory.
    ///
    /// # Errors
    /// If it is none, or could not be built alike elsewhere: a crate of it lies outside, or no lock says which versions it was built of.
    pub fn at(directory: &Path) -> Result<Self> {
        let directory = directory.canonicalize().with_context(|| {
            format!("there is no {}\nhint: --rebuild names the directory of the agent's crate", directory.display())
        })?;
        if !directory.join("Cargo.toml").is_file() {
            bail!(
                "there is no Cargo.toml in {}\nhint: --rebuild names the directory of an agent's crate; what another toolchain made is built \
                 again there, then packed: agentry build FILE.wasm, which prints its digest",
                directory.display()
            );
        }
        let manifest = manifest::read(&directory.join(manifest::FILE))?;
        // Nothing else is looked at: that would write a lock where there is none.
        let known = cargo::metadata(&directory, Terms::default(), &["--no-deps"])?;
        let workspace = known.workspace_root.clone();
        if !workspace.join(LOCK).is_file() {
            bail!(
                "there is no {LOCK} in {}, so nobody can tell which versions of other crates it was built of\n\
                 hint: ask its author to keep {LOCK} with the source",
                workspace.display()
            );
        }
        if let Some((name, place)) = outside(&known) {
            bail!(
                "the crate depends on `{name}` in {}, outside of its workspace: cargo makes other bytes of that wherever it lies otherwise\n\
                 hint: its author moves it into the workspace, or takes it from a registry or out of git",
                place.display()
            );
        }
        Ok(Self { directory, workspace, manifest })
    }

    /// The package that comes of it.
    ///
    /// # Errors
    /// If it does not compile, or its lock does not fit.
    pub fn build(&self, target: Target) -> Result<Vec<u8>> {
        let place = TempDir::new().context("cannot make a directory to build in")?;
        let copied = place.path().join("source");
        copy(&self.workspace, &copied).context("cannot copy the source")?;
        let below = self.directory.strip_prefix(&self.workspace).expect("a crate lies in its workspace");
        let directory = copied.join(below);
        sdk::renew(&directory)?;
        let compiled = place.path().join("target");
        let terms = Terms { target_directory: Some(&compiled), locked: true };
        let mut made = cargo::build(&directory, target, Select::Library, terms)?;
        let one = made.pop().filter(|_| made.is_empty()).context("the crate makes more than one component")?;
        Ok(package::attach(&one.component, &self.manifest)?.1)
    }
}

/// A crate of this machine that is needed and lies outside of the workspace.
fn outside(known: &Metadata) -> Option<(&str, &Path)> {
    let needed = known.packages.iter().flat_map(|package| &package.dependencies);
    let mut local = needed.filter_map(|needed| Some((needed.name.as_str(), needed.path.as_deref()?)));
    local.find(|(_, path)| !path.starts_with(&known.workspace_root))
}

/// Copies a tree, without what is made out of it again and without its history.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let cannot = |error: std::io::Error| anyhow!("{}: {error}", source.display());
        let kind = entry.file_type().map_err(cannot)?;
        if kind.is_symlink() {
            let named = fs::read_link(&source).map_err(cannot)?;
            symlink(named, target).map_err(cannot)?;
        } else if kind.is_file() {
            fs::copy(&source, target).map_err(cannot)?;
        } else if kind.is_dir() && !is_made(&source) {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Whether a directory is no part of the source.
fn is_made(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name == ".git" || name == ".agentry" || directory.join(CACHE_TAG).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_source_and_nothing_that_was_made_of_it() {
        let place = TempDir::new().expect("a directory");
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        for file in
            ["Cargo.toml", "src/lib.rs", "src/a/b.rs", "out/CACHEDIR.TAG", "out/x", ".git/HEAD", ".agentry/sdk/x"]
        {
            let path = from.join(file);
            fs::create_dir_all(path.parent().expect("it lies in one")).expect("a directory");
            fs::write(path, file).expect("a file");
        }
        symlink("../Cargo.toml", from.join("src/link")).expect("a link");
        copy(&from, &to).expect("copied");
        let there = |file: &str| to.join(file).symlink_metadata().is_ok();
        assert!(["Cargo.toml", "src/lib.rs", "src/a/b.rs", "src/link"].into_iter().all(there));
        assert!(!["out", ".git", ".agentry"].into_iter().any(there));
    }
}
