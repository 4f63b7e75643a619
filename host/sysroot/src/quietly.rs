//! Runs a program whose output matters only if it fails; it is part of the error then.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Lines of a failed program's output that are worth showing.
const TAIL_LINES: usize = 12;

/// Runs it to its end, with nothing to read.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    reading(command, Stdio::null())
}

/// The same for one that reads its orders.
pub(crate) fn reading(command: &mut Command, orders: impl Into<Stdio>) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(orders).output().with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
    bail!("{name} ended with {}:\n  {tail}", output.status);
}
