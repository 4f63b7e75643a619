//! C by way of zig's compiler, which brings a libc for WebAssembly.

use anyhow::Result;

use super::{Parts, tools};
use crate::python;
use crate::steps::run;

/// clang and wasi-libc, as a Python package.
const ZIG: &str = "ziglang==0.17.1";

/// Generates the bindings and compiles them with the guest to a core module.
pub fn build(parts: &Parts) -> Result<()> {
    let bindings = parts.place.join("bindings");
    tools::bindings("c", &parts.world, &bindings)?;
    let mut compile = python::environment("zig", &[ZIG])?.program("python");
    compile.args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-Oz", "-s", "-Wall"]);
    compile.arg("-I").arg(&bindings);
    // The object file carries the world, which `agentry build` makes the component of.
    compile.args(["agent.c", "agent_component_type.o"].map(|file| bindings.join(file)));
    compile.arg(parts.source.join("guest.c"));
    run(compile.arg("-o").arg(&parts.bare))
}
