//! What writes bindings for C and Go out of the table: `xtask/bindings`, built once in a target directory of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::steps::{cargo, command, run};
use crate::workspace::{root, target};

/// The generators, whose Go packages travel with them.
const GO_PACKAGES: &str = "wit-bindgen-go-0.63.0/src/pkg";

/// Writes the bindings of a language for the world in `wit`.
pub fn bindings(language: &str, wit: &Path, directory: &Path) -> Result<()> {
    let place = target().join("tools");
    let manifest = root().join("xtask/bindings/Cargo.toml");
    let mut build = cargo();
    build.args(["build", "--locked", "--manifest-path"]).arg(manifest);
    run(build.arg("--target-dir").arg(&place))?;
    run(command(place.join("debug/bindings")).arg(language).arg(wit).arg(directory))
}

/// The Go packages that generated code imports: cargo has unpacked them with the generator's source.
pub fn go_packages() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("cargo has no home")?;
    let registries = home.join("registry/src");
    let entries = registries.read_dir().with_context(|| format!("cannot list {}", registries.display()))?;
    let mut places = entries.flatten().map(|entry| entry.path().join(GO_PACKAGES));
    places.find(|place| place.join("go.mod").exists()).context("wit-bindgen-go is not unpacked")
}
