//! Programs of Debian that tests talk to, unpacked under `target/` without being installed: none of their services starts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::steps::{command, run};
use crate::workspace::target;

/// A registry of containers, another program that reads in one, and the libraries of that.
const REGISTRY: [&str; 5] = ["docker-registry", "skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"];

/// A browser without a screen, and letters that it shows.
const BROWSER: [&str; 2] = ["chromium-headless-shell", "fonts-dejavu-core"];

/// The directory in which a registry and what it is read with lie as they would below `/`.
pub fn registry_tools() -> Result<PathBuf> {
    unpacked("registry", &REGISTRY, || Ok(REGISTRY.map(str::to_owned).to_vec()))
}

/// The directory in which a browser lies as it would below `/`, with the libraries that this machine does not have.
pub fn browser() -> Result<PathBuf> {
    unpacked("browser", &BROWSER, lacking)
}

/// What apt would install for the browser to be there.
fn lacking() -> Result<Vec<String>> {
    let ask = || {
        let output =
            command("apt-get").args(["-qq", "--simulate", "--no-install-recommends", "install"]).args(BROWSER).output();
        let output = output.context("there is no apt here")?;
        if !output.status.success() {
            bail!("apt knows no {}", BROWSER.join(", "));
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let new = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next().map(str::to_owned));
        Ok(new.collect::<Vec<_>>())
    };
    ask().or_else(|_| {
        let _ = run(command("apt-get").args(["-qq", "update"]));
        ask()
    })
}

/// The directory in which packages lie unpacked. `wanted` says it is finished, and `all` names what is to be downloaded for it.
fn unpacked(name: &str, wanted: &[&str], all: impl FnOnce() -> Result<Vec<String>>) -> Result<PathBuf> {
    let directory = target().join("debian").join(name);
    let (root, stamp, wanted) = (directory.join("root"), directory.join("packages"), wanted.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == wanted) {
        return Ok(root);
    }
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&root).context("cannot make a directory for programs of Debian")?;
    let all = all()?;
    let download = || run(command("apt-get").args(["-qq", "download"]).args(&all).current_dir(&directory));
    if !all.is_empty() && download().is_err() {
        // A container begins without lists of packages; whoever is not root has those that there are.
        let _ = run(command("apt-get").args(["-qq", "update"]));
        download().context("cannot get them; they are Debian's")?;
    }
    let packages = fs::read_dir(&directory).context("cannot look at what came")?.flatten().map(|entry| entry.path());
    let packages: Vec<PathBuf> = packages.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    if packages.len() != all.len() {
        bail!("{} packages came instead of {}", packages.len(), all.len());
    }
    for package in &packages {
        run(command("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    // Written last: a directory without it is not finished.
    fs::write(&stamp, wanted).context("cannot finish what was unpacked")?;
    Ok(root)
}
