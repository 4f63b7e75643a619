//! The same small agent in Python and in JavaScript: the proof that the syscall table is not Rust's alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::python;
use crate::steps::{command, is_there, run};
use crate::workspace::{agentry, root};

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
        let bare = component.with_extension("bare");
        match language {
            "python" => python_component(&source, &bare)?,
            _ => javascript_component(&source, &bare)?,
        }
        let attach = &mut command(agentry());
        run(attach.arg("build").arg(&source).arg("--component").arg(&bare).arg("--out").arg(&component))?;
        fs::remove_file(&bare).context("cannot remove the component without a manifest")?;
    }
    Ok(())
}

fn python_component(source: &Path, out: &Path) -> Result<()> {
    let mut tool = python::environment("componentize", &[PYTHON])?.program("componentize-py");
    tool.arg("-d").arg(source.join("wit")).args(["-w", "agent", "componentize", "app", "--stub-wasi", "-p"]);
    run(tool.arg(source).arg("-o").arg(out))
}

fn javascript_component(source: &Path, out: &Path) -> Result<()> {
    if !is_there("npx") {
        bail!("npx is not there: the JavaScript guest needs Node.js; on Debian: apt-get install npm");
    }
    let mut tool = command("npx");
    tool.args(["--yes", JAVASCRIPT, "--stub-wasi", "--opt-size", "-n", "agent", "-w"]).arg(source.join("wit"));
    run(tool.arg("-j").arg(source.join("agent.js")).arg("-o").arg(out))
}

fn is_fresh(component: &Path, source: &Path) -> bool {
    let Ok(built) = fs::metadata(component).and_then(|about| about.modified()) else { return false };
    let made_of = [source.to_path_buf(), root().join("wit")];
    made_of
        .iter()
        .flat_map(|directory| fs::read_dir(directory).into_iter().flatten())
        .flatten()
        .all(|entry| entry.metadata().and_then(|about| about.modified()).is_ok_and(|changed| changed < built))
}
