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
    pub release: String,
    /// The whole hash: tells two nightlies of one release apart.
    pub commit: String,
    /// The machine that it runs on: `x86_64-unknown-linux-gnu`.
    pub host: String,
    /// Where its std and its tools are.
    pub sysroot: PathBuf,
}

/// std for a target, and what is known of where it is from.
#[derive(Clone, Debug)]
pub struct Std {
    /// The sysroot to compile with; none if the compiler has std for the target itself.
    pub sysroot: Option<PathBuf>,
    /// `toolchain`, `source` or `given`.
    pub origin: &'static str,
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
            commit: line("commit-hash")?,
            host: line("host")?,
            sysroot: ask(&["--print", "sysroot"])?.trim().into(),
        })
    }

    /// Its commit, as rustc shows it.
    pub fn short_commit(&self) -> &str {
        self.commit.get(..9).unwrap_or(&self.commit)
    }

    fn has_std(&self, target: Target) -> bool {
        has_std(&self.sysroot, target)
    }
}

/// std to compile with.
pub fn provide(rustc: &Rustc, target: Target) -> Result<Std> {
    let own = Std { sysroot: None, origin: "toolchain" };
    if let Some(given) = env::var_os(OVERRIDE).filter(|value| !value.is_empty()) {
        let given = PathBuf::from(given);
        if has_std(&given, target) {
            return Ok(Std { sysroot: Some(given), origin: "given" });
        }
    }
    if rustc.has_std(target) {
        return Ok(own);
    }
    let cache = cache()?;
    let built = cache.join(name(rustc, target));
    if !has_std(&built, target) {
        if rustup(target) && rustc.has_std(target) {
            return Ok(own);
        }
        source::build(rustc, target, &cache, &built)?;
    }
    Ok(Std { sysroot: Some(built), origin: "source" })
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
    format!("{}-{}-{}", target.triple(), rustc.release, rustc.short_commit())
}
