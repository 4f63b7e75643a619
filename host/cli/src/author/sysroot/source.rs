//! Builds std for a WebAssembly target from its source, once a compiler version, into the user's cache.
//!
//! It needs no root and changes nothing outside its directory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::debian::Debian;
use super::{Rustc, Target, has_std};
use crate::screen::{self, text};

/// Lines of a failed command's output that are worth showing.
const TAIL_LINES: usize = 12;

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
panic = "abort"
"#;

/// Builds std and puts the sysroot at `built`, where it appears whole or not at all.
pub fn build(rustc: &Rustc, target: Target, cache: &Path, built: &Path) -> Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    // Two builds at once would tread on each other's files; the second one waits and then finds the work done.
    let lock = File::create(cache.join("lock")).context("cannot make a lock file in the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if has_std(built, target) {
        return Ok(());
    }
    screen::say(&format!("std for {} is not installed: building it once, from source\n", target.triple()));
    let work = cache.join("work");
    let debian = Debian::new(work.join("debian"));
    let library = library(rustc, target, &debian)?;
    let sysroot = work.join("sysroot");
    let _ = fs::remove_dir_all(&sysroot);
    let libraries = sysroot.join("lib/rustlib").join(target.triple()).join("lib");
    fs::create_dir_all(&libraries)?;
    if target == Target::Wasip2 {
        let contained = libraries.join("self-contained");
        fs::create_dir_all(&contained)?;
        libc(rustc, target, &debian, &contained)?;
    }
    compile(target, &library, &work, &libraries)?;
    fs::rename(&sysroot, built).context("cannot put the sysroot in its place")?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// The source of std: the toolchain's component if it is there, else Debian's package of exactly this version, for the
/// standard library of one version does not compile with another.
fn library(rustc: &Rustc, target: Target, debian: &Debian) -> Result<PathBuf> {
    let component = rustc.sysroot.join("lib/rustlib/src/rust/library");
    if component.join("std/Cargo.toml").exists() {
        return Ok(component);
    }
    let unpacked = debian.rust_source(&rustc.release).with_context(|| remedy(target, &rustc.release))?;
    if !unpacked.join("std/Cargo.toml").exists() {
        bail!("the package of rust's source holds no std\n{}", hint(target));
    }
    Ok(unpacked)
}

/// The C library that std for WASI stands on.
fn libc(rustc: &Rustc, target: Target, debian: &Debian, contained: &Path) -> Result<()> {
    let unpacked = debian.wasi_libc().with_context(|| remedy(target, &rustc.release))?;
    for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
        fs::copy(unpacked.join(file), contained.join(file)).with_context(|| format!("wasi-libc has no {file}"))?;
    }
    Ok(())
}

fn remedy(target: Target, release: &str) -> String {
    format!("cannot get std of rustc {release} for {}\n{}", target.triple(), hint(target))
}

fn hint(target: Target) -> String {
    format!("hint: run `rustup target add {}`, or name a sysroot that has it in AGENTRY_WASM_SYSROOT", target.triple())
}

fn compile(target: Target, library: &Path, work: &Path, libraries: &Path) -> Result<()> {
    let seed = work.join("seed");
    fs::create_dir_all(&seed)?;
    fs::write(seed.join("lib.rs"), "")?;
    fs::write(seed.join("Cargo.toml"), SEED)?;
    // Guests are linked with lto, which needs the bitcode of std.
    let mut flags = OsString::from("-Cembed-bitcode=yes");
    flags.push(format!("\u{1f}--remap-path-prefix={}=/rust/library", library.display()));
    if target == Target::Wasip2 {
        flags.push(format!("\u{1f}-L\u{1f}{}", libraries.join("self-contained").display()));
    }
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", target.triple()])
        .current_dir(&seed)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", work.join("target"))
        // std is built with the features of its own compiler, and from the source named here.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    quietly(&mut cargo).context("std does not compile")?;
    let made = work.join("target").join(target.triple()).join("release/deps");
    for entry in fs::read_dir(&made)?.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libstd_seed") {
            fs::copy(entry.path(), libraries.join(&name))?;
        }
    }
    Ok(())
}

/// Runs a command and shows the end of what it said only if it failed.
pub(super) fn quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        screen::say(&format!("  {}\n", text::line(line)));
    }
    bail!("{name} ended with {}", output.status);
}
