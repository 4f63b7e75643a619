//! What a guest is compiled for. It compiles nothing.

use agentry_sysroot::Platform;

/// What a guest is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// std works; the host makes up the WASI behind it.
    Wasip2,
    /// Imports nothing but the syscall table.
    Pure,
}

impl Target {
    /// The platform whose std it needs.
    pub const fn platform(self) -> Platform {
        match self {
            Self::Wasip2 => Platform::Wasip2,
            Self::Pure => Platform::Pure,
        }
    }

    /// As rustc names it.
    pub const fn triple(self) -> &'static str {
        self.platform().triple()
    }
}
