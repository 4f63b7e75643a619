//! What the compiler that cargo would use says of itself. It compiles nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

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
}
