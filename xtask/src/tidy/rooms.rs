//! Which room may know which. The kernel knows nobody; nobody but the CLI knows the CLI; guests know the table alone.

use std::path::Path;

use super::{File, Findings, Tree};

/// A room, and what none of its Rust files may name.
struct Wall {
    room: &'static str,
    /// What stands for a second way past the wall.
    words: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        room: "host/kernel/src",
        words: &["agentry_runtime", "std::fs", "std::time", "std::thread", "std::net", "std::env", "tokio", "wasmtime"],
        why: "the kernel knows nobody and does no IO",
    },
    Wall {
        room: "host/runtime/src/syscalls",
        words: &["kernel::policy", "Policy"],
        why: "a syscall file holds no policy",
    },
    Wall {
        room: "sdk-guest",
        words: &["agentry_kernel", "agentry_runtime"],
        why: "guests know the syscall table alone",
    },
    Wall { room: "example-agents", words: &["agentry_kernel", "agentry_runtime"], why: "guests know the SDK alone" },
    Wall { room: "tests", words: &["agentry_kernel", "agentry_runtime"], why: "the tests see the system from outside" },
    Wall {
        room: "xtask/src",
        words: &["agentry_kernel::", "agentry_runtime::"],
        why: "xtask uses Agentry as a person would",
    },
];

/// What each manifest may depend on among our own crates.
const KNOWS: &[(&str, &[&str])] = &[
    ("host/kernel/Cargo.toml", &[]),
    ("host/runtime/Cargo.toml", &["agentry-kernel"]),
    ("host/cli/Cargo.toml", &["agentry-kernel", "agentry-runtime"]),
    ("host/oracle/Cargo.toml", &["agentry-kernel"]),
    ("host/fuzz/Cargo.toml", &["agentry-kernel"]),
    ("tests/Cargo.toml", &[]),
    ("xtask/Cargo.toml", &[]),
    ("sdk-guest/Cargo.toml", &["agentry-macros"]),
    ("sdk-guest/macros/Cargo.toml", &[]),
];

/// Checks walls, manifests and drivers.
pub fn check(tree: &Tree, findings: &mut Findings) {
    for wall in WALLS {
        let files = tree.rust(wall.room).filter(|file| !file.path.starts_with("xtask/src/tidy"));
        for file in files.filter(|file| !is_test(&file.path)) {
            for word in wall.words {
                forbid(file, word, wall.why, findings);
            }
        }
    }
    for (path, known) in KNOWS {
        manifest(tree, path, known, findings);
    }
    for file in tree.rust("host/runtime/src/drivers") {
        let own = driver(&file.path);
        for other in tree.rust("host/runtime/src/drivers").map(|other| driver(&other.path)) {
            if own != other {
                forbid(file, &format!("drivers::{other}::"), "a driver calls no driver", findings);
            }
        }
    }
    if let Some(kernel) = tree.get("host/kernel/src/lib.rs")
        && !kernel.text.lines().any(|line| line == "#![no_std]")
    {
        findings.file(kernel, 1, "the kernel is `#![no_std]`: a clock, a thread or a file in it must not compile");
    }
}

/// Tests run on a host, the simulation too: they are no part of what is built without one.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "tests" || name == "simulation")
}

/// The driver that a file belongs to: `llm` of `drivers/llm/stream.rs` and of `drivers/llm.rs`.
fn driver(path: &Path) -> String {
    let inside = path.strip_prefix("host/runtime/src/drivers").unwrap_or(path);
    let first = inside.iter().next().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

fn forbid(file: &File, word: &str, why: &str, findings: &mut Findings) {
    for (number, line) in file.lines() {
        let is_comment = line.trim_start().starts_with("//");
        if !is_comment && line.contains(word) {
            findings.file(file, number, format_args!("`{word}`: {why}"));
        }
    }
}

fn manifest(tree: &Tree, path: &str, known: &[&str], findings: &mut Findings) {
    let Some(file) = tree.get(path) else {
        findings.missing(path, "this room is gone");
        return;
    };
    for (number, line) in file.lines().filter(|(_, line)| line.starts_with("agentry-") && line.contains(['=', '.'])) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if !known.contains(&name) {
            findings.file(file, number, format_args!("may not depend on `{name}`"));
        }
    }
}
