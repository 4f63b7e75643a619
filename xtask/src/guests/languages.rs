//! The same small agent in Python and in JavaScript: the proof that the syscall table is not Rust's alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::python;
use crate::steps::{command, is_there, run};
use crate::workspace::{agentry, root, target};

use super::test_guests;

/// Python to components.
const PYTHON: &str = "componentize-py==0.25.1";
/// JavaScript to components, on QuickJS.
const JAVASCRIPT: &str = "componentize-qjs@0.4.5";

/// Builds `python.wasm` and `javascript.wasm` among the test guests, unless they are newer than what they are made of.
pub fn build() -> Result<()> {
    for language in ["python", "javascript"] {
        let source = root().join("tests/guests").join(language);
        ensure!(source.join("agent.toml").exists(), "tests/guests/{language} holds no agent.toml");
        let component = test_guests().join(format!("{language}.wasm"));
        if is_fresh(&component, &source) {
            continue;
        }
        let parts = Parts::of(language, source)?;
        match language {
            "python" => parts.python()?,
            _ => parts.javascript()?,
        }
        let mut build = command(agentry());
        build.arg("build").arg(&parts.bare).arg("--manifest").arg(parts.source.join("agent.toml"));
        run(build.arg("--out").arg(&component))?;
    }
    Ok(())
}

/// Where a guest is made of what.
struct Parts {
    source: PathBuf,
    /// The syscall table, narrowed to what the manifest wants: other languages import their whole world.
    world: PathBuf,
    /// The component before its manifest is attached.
    bare: PathBuf,
}

impl Parts {
    fn of(language: &str, source: PathBuf) -> Result<Self> {
        let place = target().join("languages").join(language);
        fs::create_dir_all(&place).context("cannot make a directory to build in")?;
        let (world, bare) = (place.join("wit"), place.join("bare.wasm"));
        run(command(agentry()).arg("build").arg(&source).arg("--world").arg(&world))?;
        Ok(Self { source, world, bare })
    }

    fn python(&self) -> Result<()> {
        let mut tool = python::environment("componentize", &[PYTHON])?.program("componentize-py");
        tool.arg("-d").arg(&self.world).args(["-w", "agent", "componentize", "app", "--stub-wasi", "-p"]);
        run(tool.arg(&self.source).arg("-o").arg(&self.bare))
    }

    fn javascript(&self) -> Result<()> {
        if !is_there("npx") {
            bail!("npx is not there: the JavaScript guest needs Node.js; on Debian: apt-get install npm");
        }
        let mut tool = command("npx");
        tool.args(["--yes", JAVASCRIPT, "--stub-wasi", "--opt-size", "-n", "agent", "-w"]).arg(&self.world);
        run(tool.arg("-j").arg(self.source.join("agent.js")).arg("-o").arg(&self.bare))
    }
}

fn is_fresh(component: &Path, source: &Path) -> bool {
    let Ok(built) = fs::metadata(component).and_then(|about| about.modified()) else { return false };
    let made_of = [source, &root().join("wit")];
    made_of
        .iter()
        .flat_map(|directory| fs::read_dir(directory).into_iter().flatten())
        .flatten()
        .all(|entry| entry.metadata().and_then(|about| about.modified()).is_ok_and(|changed| changed < built))
}
