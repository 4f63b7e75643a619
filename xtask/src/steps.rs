//! Running other programs, and saying which, so that a person can do the same by hand.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::workspace::root;

/// A program that will run in the root of the workspace.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    // What this build was given is not meant for the builds that it starts.
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it, says what and how long it took, and fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    eprintln!("$ {line}");
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    let seconds = begun.elapsed().as_secs();
    if seconds > 2 {
        eprintln!("  took {seconds} s");
    }
    Ok(())
}

/// Whether a program can be run at all.
pub fn is_there(program: &str) -> bool {
    command(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The command as one would type it in the root of the workspace.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        let inside = root().to_string_lossy();
        let word = word.strip_prefix(&*inside).map_or(&*word, |rest| rest.trim_start_matches('/'));
        if word.is_empty() || word.contains([' ', '"', '{', '*']) { format!("'{word}'") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}
