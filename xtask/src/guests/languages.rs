//! The same small agent in languages that are not Rust, each built by the tools that its authors use: the proof that the syscall table is
//! not Rust's alone.

mod c;
mod go;
mod tools;

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

/// Makes what a language's compiler makes.
type Compile = fn(&Parts) -> Result<()>;

/// How each language comes to WebAssembly.
const LANGUAGES: [(&str, Compile); 4] =
    [("c", c::build), ("go", go::build), ("javascript", javascript), ("python", python)];

/// Builds `LANGUAGE.wasm` among the test guests, unless it is newer than what it is made of.
pub fn build() -> Result<()> {
    for (language, compile) in LANGUAGES {
        let source = root().join("tests/guests").join(language);
        ensure!(source.join("agent.toml").exists(), "tests/guests/{language} holds no agent.toml");
        let component = test_guests().join(format!("{language}.wasm"));
        if is_fresh(&component, &source) {
            continue;
        }
        let parts = Parts::of(language, source)?;
        compile(&parts)?;
        // A core module becomes a component here; a component is taken as it is.
        let mut build = command(agentry());
        build.arg("build").arg(&parts.bare).arg("--manifest").arg(parts.source.join("agent.toml"));
        run(build.arg("--out").arg(&component))?;
    }
    Ok(())
}

/// Where a guest is made of what.
struct Parts {
    source: PathBuf,
    /// Where it is built.
    place: PathBuf,
    /// The syscall table, narrowed to what the manifest wants: other languages import their whole world.
    world: PathBuf,
    /// What the language's compiler makes: a component or a core module, without its manifest.
    bare: PathBuf,
}

impl Parts {
    fn of(language: &str, source: PathBuf) -> Result<Self> {
        let place = target().join("languages").join(language);
        fs::create_dir_all(&place).context("cannot make a directory to build in")?;
        let (world, bare) = (place.join("wit"), place.join("bare.wasm"));
        run(command(agentry()).arg("build").arg(&source).arg("--world").arg(&world))?;
        Ok(Self { source, place, world, bare })
    }
}

fn python(parts: &Parts) -> Result<()> {
    let mut tool = python::environment("componentize", &[PYTHON])?.program("componentize-py");
    tool.arg("-d").arg(&parts.world).args(["-w", "agent", "componentize", "app", "-p"]);
    run(tool.arg(&parts.source).arg("-o").arg(&parts.bare))
}

fn javascript(parts: &Parts) -> Result<()> {
    if !is_there("npx") {
        bail!("npx is not there: the JavaScript guest needs Node.js; on Debian: apt-get install npm");
    }
    let mut tool = command("npx");
    tool.args(["--yes", JAVASCRIPT, "--opt-size", "-n", "agent", "-w"]).arg(&parts.world);
    run(tool.arg("-j").arg(parts.source.join("agent.js")).arg("-o").arg(&parts.bare))
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
