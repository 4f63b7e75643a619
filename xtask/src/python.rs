//! Python tools in virtual environments under `target/`, each made once.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::steps::{command, run};
use crate::workspace::target;

/// An environment named `name` that holds exactly these packages; each is `name==version`.
pub fn environment(name: &str, packages: &[&str]) -> Result<Environment> {
    let directory = target().join("python").join(name);
    let environment = Environment(directory.clone());
    let (stamp, wanted) = (directory.join("packages"), packages.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(environment);
    }
    let _ = fs::remove_dir_all(&directory);
    run(command("python3").args(["-m", "venv"]).arg(&directory))
        .context("cannot make a Python environment; on Debian: apt-get install python3-venv")?;
    run(environment.program("pip").args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    // Written last: an environment without it is not finished.
    fs::write(&stamp, wanted).context("cannot finish the Python environment")?;
    Ok(environment)
}

/// One virtual environment.
pub struct Environment(PathBuf);

impl Environment {
    /// A program of this environment, to be run in the root of the workspace.
    pub fn program(&self, name: &str) -> std::process::Command {
        command(self.path(name))
    }

    /// Where that program is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }
}
