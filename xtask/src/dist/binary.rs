//! The binary that is packed: built for a C library that it carries along, where that can be had, or else for glibc; and stripped.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use agentry_sysroot::{Platform, Rustc};
use anyhow::{Context, Result, bail, ensure};

use super::NAME;
use super::elf::{self, Needs};
use crate::steps::{cargo, command, is_there, run};
use crate::workspace::{agentry, root, target};

/// Which build is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What people install.
    Release,
    /// The one of the tests, as it lies there: for trying out the packages, not for anybody else.
    Dev,
}

/// A stripped binary.
pub struct Binary {
    /// As rustc names it.
    pub target: String,
    /// Of this version.
    pub version: String,
    /// What it asks of a machine.
    pub needs: Needs,
    /// The program itself.
    pub bytes: Vec<u8>,
    /// Where it lies, to be asked for its pages.
    pub path: PathBuf,
}

impl Binary {
    /// The processor as Debian and as npm call it.
    pub fn processor(&self) -> Result<(&'static str, &'static str)> {
        match self.architecture() {
            "x86_64" => Ok(("amd64", "x64")),
            "aarch64" => Ok(("arm64", "arm64")),
            other => bail!("nobody has said what others call the processor {other}"),
        }
    }

    /// As Rust and Python call it.
    pub fn architecture(&self) -> &str {
        self.target.split('-').next().unwrap_or_default()
    }
}

/// Builds it if it is for people, and puts it stripped into `out`.
pub fn make(profile: Profile, out: &Path) -> Result<Binary> {
    let gnu = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let (target, built) = match profile {
        Profile::Dev => (gnu, agentry()),
        Profile::Release => {
            let build = carrying().unwrap_or_else(|lacking| {
                eprintln!("note: {lacking:#}\nnote: this one is for machines with glibc");
                Build { target: gnu, sysroot: None }
            });
            (build.target.clone(), release(&build)?)
        }
    };
    ensure!(built.is_file(), "{} is not built: cargo xtask guests", built.display());
    let path = out.join(NAME);
    elf::strip(&built, &path)?;
    let needs = elf::needs(&path)?;
    let bytes = fs::read(&path).context("cannot read the stripped binary")?;
    Ok(Binary { target, version: version(&path)?, needs, bytes, path })
}

/// What a binary is built for, and the std that the toolchain does not have for it.
struct Build {
    target: String,
    sysroot: Option<PathBuf>,
}

/// A build whose binary carries its C library along. glibc cannot be carried: it loads the machine's own parts when names are resolved, which must
/// be of the same version.
///
/// # Errors
/// If this machine lacks something for it; the error names it.
fn carrying() -> Result<Build> {
    ensure!(is_there("musl-gcc"), "there is no C compiler for musl (on Debian: apt-get install musl-tools)");
    let std = agentry_sysroot::provide(&Rustc::of(root())?, Platform::Musl, &|said| eprintln!("{said}"))?;
    Ok(Build { target: Platform::Musl.triple().to_owned(), sysroot: std.sysroot })
}

/// Builds for people. No path of this machine stays in it, so that it is the same from another directory.
fn release(Build { target: for_target, sysroot }: &Build) -> Result<PathBuf> {
    let mut places = vec![(root().to_owned(), NAME)];
    places.extend(registries()?.into_iter().map(|place| (place, "crates")));
    let mut flags = OsString::new();
    let mut c_flags = OsString::new();
    for (place, name) in &places {
        let separator = if flags.is_empty() { "" } else { "\u{1f}" };
        flags.push(format!("{separator}--remap-path-prefix={}={name}", place.display()));
        let separator = if c_flags.is_empty() { "" } else { " " };
        c_flags.push(format!("{separator}-ffile-prefix-map={}={name}", place.display()));
    }
    if let Some(sysroot) = sysroot {
        flags.push(format!("\u{1f}--sysroot={}", sysroot.display()));
    }
    if for_target.ends_with("-musl") {
        // What the kernel defines does not come with musl, and is the same beside any C library.
        let architecture = env::consts::ARCH;
        c_flags.push(format!(" -idirafter /usr/include -idirafter /usr/include/{architecture}-linux-gnu"));
    }
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", "agentry-cli", "--target", for_target]);
    build.env("CARGO_ENCODED_RUSTFLAGS", flags).env(format!("CFLAGS_{}", for_target.replace('-', "_")), c_flags);
    run(&mut build)?;
    Ok(target().join(for_target).join("release").join(NAME))
}

/// Where cargo keeps the sources of crates.
fn registries() -> Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("cannot tell where cargo keeps crates: set CARGO_HOME")?.join("registry/src");
    let mut registries: Vec<PathBuf> =
        fs::read_dir(sources).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    registries.sort();
    Ok(registries)
}

/// What it says of itself, which is also that it runs here.
fn version(binary: &Path) -> Result<String> {
    let output = command(binary).arg("--version").output().context("the binary does not run here")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.trim().strip_prefix(&format!("{NAME} ")).map(str::to_owned);
    version.filter(|_| output.status.success()).with_context(|| format!("the binary says no version, but `{said}`"))
}
