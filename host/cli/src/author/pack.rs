//! From a component and a manifest to a package on disk, checked by the same code that later opens it.

use std::fs;
use std::path::Path;

use agentry_kernel::digest::Digest;
use agentry_kernel::manifest::Manifest;
use anyhow::{Context, Result, bail};

use crate::package;
use crate::screen::{self, units};

/// Attaches the manifest, checks the package and writes it; prints its path, size and digest, and gives the last.
pub fn write(component: &[u8], manifest: &Manifest, out: &Path) -> Result<Digest> {
    if component.get(..4) != Some(b"\0asm") {
        bail!("that is not WebAssembly\nhint: compile it to a component first");
    }
    let (package, bytes) = package::attach(component, manifest)?;
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    // Under another name first: whoever runs the agent meanwhile finds the old one or the new one, never half of it.
    let mut unfinished = out.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    fs::write(&unfinished, &bytes)
        .and_then(|()| fs::rename(&unfinished, out))
        .with_context(|| format!("cannot write {}", out.display()))?;
    let size = units::bytes(bytes.len() as u64);
    screen::print(&format!("{}  {size}  sha256:{}\n", out.display(), package.digest))?;
    Ok(package.digest)
}
