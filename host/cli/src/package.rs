//! Reads packages for commands, each in a child with limits: this process takes no component apart.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use agentry_engine::package::{self, Package};
use agentry_engine::prepare::Preparer;
use agentry_kernel::Digest;
use agentry_kernel::manifest::Manifest;
use agentry_runtime::shapes;
use anyhow::{Context, Result};

/// Packages whose manifests a command has at hand. One that looks at many runs meets the same few again and again.
const KNOWN_MAX: usize = 1_024;

static KNOWN: Mutex<Option<HashMap<Digest, Option<Manifest>>>> = Mutex::new(None);

/// This program, which is also the child.
pub fn preparer() -> Result<Preparer> {
    let program = std::env::current_exe().context("cannot find this program, which also prepares components")?;
    Ok(Preparer::Child(program))
}

/// What the package in this file is.
pub fn of_file(file: &Path) -> Result<Package> {
    of(&package::read(file)?)
}

/// The same for a command in this home: what is known of the package there is not read again, which takes a child.
pub fn of_file_in(home: &Path, file: &Path) -> Result<Package> {
    let bytes = package::read(file)?;
    agentry_engine::known(home, &bytes).map_or_else(|| of(&bytes), begins)
}

/// What the package of these bytes is.
pub fn of(bytes: &[u8]) -> Result<Package> {
    begins(preparer()?.read_now(bytes)?)
}

/// It, unless what it states as the schema of its input or its output is none: no run of it would ever begin.
fn begins(package: Package) -> Result<Package> {
    shapes::check(&package.manifest)?;
    Ok(package)
}

/// What a package that this home keeps asks for; none if it is no package any more.
pub fn manifest_of_kept(digest: Digest, bytes: &[u8]) -> Option<Manifest> {
    let known = || KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(manifest) = known().as_ref().and_then(|known| known.get(&digest)) {
        return manifest.clone();
    }
    let read = of(bytes).ok().filter(|package| package.digest == digest);
    let manifest = read.map(|package| package.manifest);
    let mut known = known();
    let known = known.get_or_insert_default();
    if known.len() < KNOWN_MAX {
        known.insert(digest, manifest.clone());
    }
    manifest
}

/// Puts a manifest into a component, which may come from any toolchain.
pub fn attach(component: &[u8], manifest: &Manifest) -> Result<(Package, Vec<u8>)> {
    Ok(preparer()?.attach_now(component, manifest)?)
}
