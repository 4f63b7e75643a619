//! What a binary asks of the machine that it comes to, read by binutils.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::steps::command;

/// Where a binary runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// It brings all that it needs.
    Nothing,
    /// The GNU C library of this version, `2.N`, and the shared libraries of these names.
    Glibc {
        /// `N`
        minor: u32,
        /// As its loader looks for them.
        libraries: Vec<String>,
    },
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => write!(f, "static, runs on every Linux of this processor"),
            Self::Glibc { minor, libraries } => {
                write!(f, "needs glibc 2.{minor} or later ({})", libraries.join(", "))
            }
        }
    }
}

/// Reads them off.
pub fn needs(binary: &Path) -> Result<Needs> {
    let dynamic = said("readelf", &["-dlW"], binary)?;
    if !dynamic.contains("INTERP") && !dynamic.contains("(NEEDED)") {
        return Ok(Needs::Nothing);
    }
    let versions = said("objdump", &["-T"], binary)?;
    let minor = newest(&versions).context("it is dynamic, and names no version of glibc: that is another C library")?;
    Ok(Needs::Glibc { minor, libraries: libraries(&dynamic) })
}

/// Takes off what only debuggers read.
pub fn strip(from: &Path, to: &Path) -> Result<()> {
    crate::steps::run(command("strip").args(["--strip-all", "-o"]).arg(to).arg(from))
}

fn said(program: &str, arguments: &[&str], binary: &Path) -> Result<String> {
    let output = command(program).env("LC_ALL", "C").args(arguments).arg(binary).output();
    let output = output.with_context(|| format!("cannot run {program}; on Debian: apt-get install binutils"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The `N` of the newest `GLIBC_2.N` among these.
fn newest(versions: &str) -> Option<u32> {
    let minor = |rest: &str| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok();
    versions.split("GLIBC_2.").skip(1).filter_map(minor).max()
}

fn libraries(dynamic: &str) -> Vec<String> {
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    needed.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_says_which_glibc_it_is() {
        let listed = "\
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) free
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34)  __libc_start_main
0000000000000000  w   D  *UND*  0000000000000000  Base         __gmon_start__
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.9)  pipe2";
        assert_eq!(newest(listed), Some(34));
        assert_eq!(newest("nothing"), None);
        let dynamic = " 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n 0x1e (FLAGS) BIND_NOW";
        assert_eq!(libraries(dynamic), ["libc.so.6"]);
    }
}
