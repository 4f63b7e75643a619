//! Programs of Debian that tests talk to, unpacked under `target/` without being installed: none of their services starts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::steps::{command, run};
use crate::workspace::target;

/// A registry of containers, another program that reads in one, and the libraries of that.
const REGISTRY: [&str; 5] = ["docker-registry", "skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"];

/// The directory in which these lie as they would below `/`.
pub fn registry_tools() -> Result<PathBuf> {
    let directory = target().join("debian").join("registry");
    let (root, stamp, wanted) = (directory.join("root"), directory.join("packages"), REGISTRY.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == wanted) {
        return Ok(root);
    }
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&root).context("cannot make a directory for programs of Debian")?;
    let download = || run(command("apt-get").args(["-qq", "download"]).args(REGISTRY).current_dir(&directory));
    if download().is_err() {
        // A container begins without lists of packages; whoever is not root has those that there are.
        let _ = run(command("apt-get").args(["-qq", "update"]));
        download().context("cannot get them; they are Debian's")?;
    }
    let packages = fs::read_dir(&directory).context("cannot look at what came")?.flatten().map(|entry| entry.path());
    let packages: Vec<PathBuf> = packages.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    if packages.len() != REGISTRY.len() {
        bail!("{} packages came instead of {}", packages.len(), REGISTRY.len());
    }
    for package in &packages {
        run(command("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    // Written last: a directory without it is not finished.
    fs::write(&stamp, wanted).context("cannot finish what was unpacked")?;
    Ok(root)
}
