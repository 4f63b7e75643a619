//! The targets that std can be made for, and what is special about each. Nothing is done here.

use std::env;
use std::path::{Path, PathBuf};

/// A target that a toolchain may lack std for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// WebAssembly with WASI 0.2.
    Wasip2,
    /// WebAssembly alone.
    Pure,
    /// Linux on this machine's processor, with musl as a C library that programs carry along.
    Musl,
}

impl Platform {
    /// As rustc names it.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::Wasip2 => "wasm32-wasip2",
            Self::Pure => "wasm32-unknown-unknown",
            Self::Musl if cfg!(target_arch = "aarch64") => "aarch64-unknown-linux-musl",
            Self::Musl => "x86_64-unknown-linux-musl",
        }
    }

    /// The variable that names a sysroot which has std for it already.
    pub(crate) const fn given_by(self) -> &'static str {
        match self {
            Self::Wasip2 | Self::Pure => "AGENTRY_WASM_SYSROOT",
            Self::Musl => "AGENTRY_MUSL_SYSROOT",
        }
    }

    /// The sysroot that the user named, if any.
    pub(crate) fn given(self) -> Option<PathBuf> {
        env::var_os(self.given_by()).filter(|value| !value.is_empty()).map(Into::into)
    }

    /// Where a sysroot has the libraries for it.
    pub(crate) fn libraries(self, sysroot: &Path) -> PathBuf {
        sysroot.join("lib/rustlib").join(self.triple()).join("lib")
    }

    /// Whether a sysroot has std for it.
    pub(crate) fn is_in(self, sysroot: &Path) -> bool {
        let Ok(entries) = self.libraries(sysroot).read_dir() else { return false };
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    }

    /// How a panic ends in programs for it: guests stop at once.
    pub(crate) const fn panic(self) -> &'static str {
        match self {
            Self::Wasip2 | Self::Pure => "abort",
            Self::Musl => "unwind",
        }
    }
}
