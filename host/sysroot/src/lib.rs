//! Makes: std for a target, from the toolchain itself, by `rustup`, or from its source; once a compiler version, into the user's cache. It needs no
//! root, and changes nothing outside of that cache but what `rustup` installs.

mod debian;
mod libc;
mod platform;
mod quietly;
mod rustc;
mod source;

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub use platform::Platform;
pub use rustc::Rustc;

/// Set to anything but nothing, `rustup` is not asked.
const NO_RUSTUP: &str = "AGENTRY_NO_RUSTUP";

/// std for a target, and what is known of where it is from.
#[derive(Clone, Debug)]
pub struct Std {
    /// The sysroot to compile with; none if the compiler has std for the target itself.
    pub sysroot: Option<PathBuf>,
    /// `toolchain`, `source` or `given`.
    pub origin: &'static str,
}

/// std to compile with. What takes long is said before.
///
/// # Errors
/// If there is none in any of these ways; the error says which command brings it.
pub fn provide(rustc: &Rustc, platform: Platform, say: &dyn Fn(&str)) -> Result<Std> {
    let own = Std { sysroot: None, origin: "toolchain" };
    if let Some(given) = platform.given().filter(|given| platform.is_in(given)) {
        return Ok(Std { sysroot: Some(given), origin: "given" });
    }
    if platform.is_in(&rustc.sysroot) {
        return Ok(own);
    }
    let cache = cache()?;
    let built = cache.join(name(rustc, platform));
    if !platform.is_in(&built) {
        if rustup(platform) && platform.is_in(&rustc.sysroot) {
            return Ok(own);
        }
        source::build(rustc, platform, &cache, &built, say)?;
    }
    Ok(Std { sysroot: Some(built), origin: "source" })
}

/// One try, and silence about it: where there is no server, the source is the way.
fn rustup(platform: Platform) -> bool {
    if env::var_os(NO_RUSTUP).is_some_and(|value| !value.is_empty()) {
        return false;
    }
    let tried = Command::new("rustup")
        .args(["target", "add", platform.triple()])
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

fn name(rustc: &Rustc, platform: Platform) -> String {
    format!("{}-{}-{}", platform.triple(), rustc.release, rustc.short_commit())
}
