//! Builds std for a target from its source. It needs no root and changes nothing outside its directory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::Debian;
use crate::libc;
use crate::platform::Platform;
use crate::quietly::quietly;
use crate::rustc::Rustc;

/// cargo makes the precompiled std for itself out of this crate's dependencies.
const SEED: &str = r#"[package]
name = "std-seed"
version = "0.0.0"
edition = "2021"

[lib]
path = "lib.rs"

[workspace]

[profile.release]
codegen-units = 1
"#;

/// Builds std and puts the sysroot at `built`, where it appears whole or not at all.
pub(crate) fn build(rustc: &Rustc, platform: Platform, cache: &Path, built: &Path, say: &dyn Fn(&str)) -> Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    // Two builds at once would tread on each other's files; the second one waits and then finds the work done.
    let lock = File::create(cache.join("lock")).context("cannot make a lock file in the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if platform.is_in(built) {
        return Ok(());
    }
    say(&format!("std for {} is not installed: building it once, from source", platform.triple()));
    let work = cache.join("work");
    let debian = Debian::new(work.join("debian"));
    let library = library(rustc, platform, &debian)?;
    let sysroot = work.join("sysroot");
    let _ = fs::remove_dir_all(&sysroot);
    let libraries = platform.libraries(&sysroot);
    let contained = libraries.join("self-contained");
    fs::create_dir_all(&contained)?;
    libc::gather(platform, &debian, &contained).with_context(|| remedy(platform, &rustc.release))?;
    compile(platform, &library, &work, &libraries)?;
    fs::rename(&sysroot, built).context("cannot put the sysroot in its place")?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// The source of std: the toolchain's component if it is there, else Debian's package of exactly this version, for the
/// standard library of one version does not compile with another.
fn library(rustc: &Rustc, platform: Platform, debian: &Debian) -> Result<PathBuf> {
    let component = rustc.sysroot.join("lib/rustlib/src/rust/library");
    if component.join("std/Cargo.toml").exists() {
        return Ok(component);
    }
    let unpacked = debian.rust_source(&rustc.release).with_context(|| remedy(platform, &rustc.release))?;
    if !unpacked.join("std/Cargo.toml").exists() {
        bail!("the package of rust's source holds no std\n{}", hint(platform));
    }
    Ok(unpacked)
}

fn remedy(platform: Platform, release: &str) -> String {
    format!("cannot get std of rustc {release} for {}\n{}", platform.triple(), hint(platform))
}

fn hint(platform: Platform) -> String {
    let (triple, given) = (platform.triple(), platform.given_by());
    format!("hint: run `rustup target add {triple}`, or name a sysroot that has it in {given}")
}

fn compile(platform: Platform, library: &Path, work: &Path, libraries: &Path) -> Result<()> {
    let seed = work.join("seed");
    fs::create_dir_all(&seed)?;
    fs::write(seed.join("lib.rs"), "")?;
    fs::write(seed.join("Cargo.toml"), SEED)?;
    // Guests are linked with lto, which needs the bitcode of std.
    let mut flags = OsString::from("-Cembed-bitcode=yes");
    flags.push(format!("\u{1f}--remap-path-prefix={}=/rust/library", library.display()));
    flags.push(format!("\u{1f}-L\u{1f}{}", libraries.join("self-contained").display()));
    let panic = platform.panic();
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", platform.triple()])
        .arg(format!("-Zbuild-std=std,panic_{panic}"))
        .current_dir(&seed)
        .env("CARGO_PROFILE_RELEASE_PANIC", panic)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", work.join("target"))
        // std is built with the features of its own compiler, and from the source named here.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    quietly(&mut cargo).context("std does not compile")?;
    let made = work.join("target").join(platform.triple()).join("release/deps");
    for entry in fs::read_dir(&made)?.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libstd_seed") {
            fs::copy(entry.path(), libraries.join(&name))?;
        }
    }
    Ok(())
}
