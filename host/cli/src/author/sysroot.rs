//! std for a WebAssembly target: the toolchain's own, or one that `rustup` fetches, or a private one from source.

mod debian;
mod source;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Names a sysroot that has std for the target already; no other way is tried then.
const OVERRIDE: &str = "AGENTRY_WASM_SYSROOT";

/// Set to anything but nothing, `rustup` is not asked.
const NO_RUSTUP: &str = "AGENTRY_NO_RUSTUP";

/// What a guest is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// std works; the host makes up the WASI behind it.
    Wasip2,
    /// Imports nothing but the syscall table.
    Pure,
}

impl Target {
    /// As rustc names it.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::Wasip2 => "wasm32-wasip2",
            Self::Pure => "wasm32-unknown-unknown",
        }
    }
}

/// The compiler that cargo would use in a directory.
#[derive(Clone, Debug)]
pub struct Rustc {
    /// `1.95.0`
    release: String,
    /// Tells two nightlies of one release apart.
    commit: String,
    /// Where its std and its tools are.
    sysroot: PathBuf,
}

impl Rustc {
    /// Asks the compiler of a directory what it is.
    pub fn of(directory: &Path) -> Result<Self> {
        let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |arguments: &[&str]| -> Result<String> {
            let answer = Command::new(&program)
                .args(arguments)
                .current_dir(directory)
                .stdin(Stdio::null())
                .output()
                .context("cannot run rustc\nhint: agents in Rust need a Rust toolchain; see https://rustup.rs")?;
            if !answer.status.success() {
                bail!("rustc does not work here: {}", String::from_utf8_lossy(&answer.stderr).trim());
            }
            String::from_utf8(answer.stdout).context("rustc does not speak UTF-8")
        };
        let version = ask(&["-vV"])?;
        let line = |name: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).with_context(|| format!("rustc -vV says no `{name}`"))
        };
        Ok(Self {
            release: line("release")?,
            commit: line("commit-hash")?.chars().take(9).collect(),
            sysroot: ask(&["--print", "sysroot"])?.trim().into(),
        })
    }

    fn has_std(&self, target: Target) -> bool {
        has_std(&self.sysroot, target)
    }
}

/// The sysroot to compile with; none if the compiler has std for the target itself.
pub fn provide(rustc: &Rustc, target: Target) -> Result<Option<PathBuf>> {
    if let Some(given) = env::var_os(OVERRIDE).filter(|value| !value.is_empty()) {
        let given = PathBuf::from(given);
        if has_std(&given, target) {
            return Ok(Some(given));
        }
    }
    if rustc.has_std(target) {
        return Ok(None);
    }
    let cache = cache()?;
    let built = cache.join(name(rustc, target));
    if has_std(&built, target) {
        return Ok(Some(built));
    }
    if rustup(target) && rustc.has_std(target) {
        return Ok(None);
    }
    source::build(rustc, target, &cache, &built)?;
    Ok(Some(built))
}

fn has_std(sysroot: &Path, target: Target) -> bool {
    let libraries = sysroot.join("lib/rustlib").join(target.triple()).join("lib");
    let Ok(entries) = libraries.read_dir() else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// One try, and silence about it: where there is no server, the source is the way.
fn rustup(target: Target) -> bool {
    if env::var_os(NO_RUSTUP).is_some_and(|value| !value.is_empty()) {
        return false;
    }
    let tried = Command::new("rustup")
        .args(["target", "add", target.triple()])
        .env("RUSTUP_MAX_RETRIES", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

fn cache() -> Result<PathBuf> {
    use etcetera::BaseStrategy;
    let places =
        etcetera::choose_base_strategy().context("cannot tell where your cache directory is\nhint: set HOME")?;
    Ok(places.cache_dir().join("agentry").join("std"))
}

fn name(rustc: &Rustc, target: Target) -> String {
    format!("{}-{}-{}", target.triple(), rustc.release, rustc.commit)
}
