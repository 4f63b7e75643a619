//! Reads packages: a component whose manifest is inside. It says what a package is and asks for, and never runs any of it.

mod hashed;
mod imports;
mod manifest;
mod parts;
mod stamp;
mod structure;

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use agentry_kernel::Digest;
use agentry_kernel::manifest::{FORMAT, Manifest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use agentry_store::limits::COMPONENT_MAX_BYTES;
pub use hashed::Hashed;
pub use imports::{Import, WIT_VERSION};
pub use manifest::{SECTION, canonical_json};
pub use parts::Parts;
pub use stamp::Stamp;

/// A package that is well formed: its imports are declared, its export is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The SHA-256 of the file: code and request in one name.
    pub digest: Digest,
    /// What it asks for.
    pub manifest: Manifest,
    /// What its code imports, in the order in which it does.
    pub imports: Vec<Import>,
    /// Interfaces that the manifest declares and the code does not import, by name.
    pub unused: Vec<String>,
    /// Bytes of the file.
    pub bytes: usize,
    /// What one run of it takes of the places of an engine.
    pub parts: Parts,
}

impl Package {
    /// What it says of itself, for whoever must not read it again.
    pub fn facts(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a package has nothing that JSON lacks")
    }

    /// The same back, of these bytes: none if they are another package's, or if this host would not run what they say.
    pub fn of_facts(facts: &[u8], digest: Digest, bytes: usize) -> Option<Self> {
        let package: Self = serde_json::from_slice(facts).ok()?;
        let Self { manifest, imports, .. } = &package;
        let fits = package.digest == digest && package.bytes == bytes && manifest.format == FORMAT;
        if !fits || manifest.validate().is_err() || imports::speaks(&manifest.wit).is_err() {
            return None;
        }
        let unused = imports::check(imports, manifest).ok()?;
        Some(Self { unused, ..package })
    }
}

/// Why a file is not a package that this host runs: one line, and a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\nhint: {hint}")]
pub struct PackageError {
    /// What is wrong, lowercase, without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl PackageError {
    /// With what is wrong, and what to do.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Reads a file that may be a package: a regular one of at most 64 MiB, whose size is looked at first.
///
/// # Errors
/// If it is not there, not a regular file, or too large.
pub fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        let hint = "give the path of a `.wasm` file; `agentry build` makes one".to_owned();
        PackageError::new(format!("cannot read {shown}: {error}"), hint)
    };
    // Not blocking, because opening a pipe waits for a writer otherwise.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(PackageError::new(
            format!("{shown} is not a regular file"),
            "give the path of a `.wasm` file; `agentry build` makes one",
        ));
    }
    let max = u64::try_from(COMPONENT_MAX_BYTES).unwrap_or(u64::MAX);
    if metadata.len() > max {
        return Err(too_big(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Reads a package: its structure, its manifest, its imports. Nothing of it runs. A component that is made for it takes all time,
/// memory and stack of this process: what comes from outside is read by a `Preparer`.
///
/// # Errors
/// If this host would not run it, with the first reason found.
pub fn inspect(bytes: &[u8]) -> Result<Package, PackageError> {
    inspect_named(bytes, digest(bytes))
}

/// The same of bytes whose digest was computed by whoever asks.
pub(crate) fn inspect_named(bytes: &[u8], digest: Digest) -> Result<Package, PackageError> {
    let shape = structure::read(bytes)?;
    let section = match shape.manifests.as_slice() {
        [one] => one,
        [] => {
            return Err(PackageError::new(
                "the component has no manifest",
                "`agentry build` puts it in; for another toolchain, `agentry build --manifest agent.toml FILE.wasm`",
            ));
        }
        more => {
            return Err(PackageError::new(
                format!("the component has {} manifests", more.len()),
                format!("remove every custom section `{SECTION}` and build it again; one says what an agent asks for"),
            ));
        }
    };
    let manifest = manifest::parse(section)?;
    imports::speaks(&manifest.wit)?;
    let unused = imports::check(&shape.imports, &manifest)?;
    Ok(Package { digest, manifest, imports: shape.imports, unused, bytes: bytes.len(), parts: shape.parts })
}

/// Puts a manifest into a component that has none.
///
/// # Errors
/// If the bytes are not a component, have a manifest already, or import what the manifest does not declare.
pub fn attach(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, PackageError> {
    let shape = structure::read(component)?;
    if !shape.manifests.is_empty() {
        return Err(PackageError::new(
            "the component has a manifest already",
            "build it again; a manifest is put in once, at the end",
        ));
    }
    imports::check(&shape.imports, manifest)?;
    manifest::append(component, manifest)
}

/// The name of a package: the SHA-256 of its bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn too_big(bytes: u64) -> PackageError {
    PackageError::new(
        format!("the component has {} MiB, more than {} MiB", bytes >> 20, COMPONENT_MAX_BYTES >> 20),
        "build it without debug information (`strip = true`), and read large data by `files` instead of carrying it",
    )
}

#[cfg(test)]
mod tests;
