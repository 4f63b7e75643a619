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

/// The crates of the host.
const OURS: &[&str] = &[
    "agentry_kernel",
    "agentry_store",
    "agentry_config",
    "agentry_abi",
    "agentry_journal",
    "agentry_engine",
    "agentry_llm",
    "agentry_drivers",
    "agentry_packages",
    "agentry_runtime",
    "agentry_serve",
];

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
        room: "host/runtime/src/dispatch",
        words: &["kernel::policy", "Policy"],
        why: "a syscall file holds no policy",
    },
    Wall { room: "sdk-guest", words: OURS, why: "guests know the syscall table alone" },
    Wall { room: "example-agents", words: OURS, why: "guests know the SDK alone" },
    Wall { room: "tests", words: OURS, why: "the tests see the system from outside" },
    Wall { room: "xtask/src", words: OURS, why: "xtask uses Agentry as a person would" },
];

const BELOW_RUNTIME: &[&str] = &[
    "agentry-kernel",
    "agentry-store",
    "agentry-config",
    "agentry-abi",
    "agentry-journal",
    "agentry-engine",
    "agentry-llm",
    "agentry-drivers",
    "agentry-packages",
];

const BELOW_PACKAGES: &[&str] =
    &["agentry-kernel", "agentry-store", "agentry-config", "agentry-journal", "agentry-engine", "agentry-drivers"];

const BELOW_SERVE: &[&str] = &[
    "agentry-kernel",
    "agentry-store",
    "agentry-config",
    "agentry-abi",
    "agentry-journal",
    "agentry-engine",
    "agentry-llm",
    "agentry-drivers",
    "agentry-runtime",
];

/// What each manifest may depend on among our own crates, tests included. The CLI may know them all.
const KNOWS: &[(&str, &[&str])] = &[
    ("host/kernel/Cargo.toml", &[]),
    ("host/store/Cargo.toml", &["agentry-kernel"]),
    ("host/config/Cargo.toml", &["agentry-kernel"]),
    ("host/abi/Cargo.toml", &["agentry-kernel", "agentry-store"]),
    ("host/journal/Cargo.toml", &["agentry-kernel", "agentry-store", "agentry-abi"]),
    ("host/engine/Cargo.toml", &["agentry-kernel", "agentry-store"]),
    ("host/llm/Cargo.toml", &["agentry-kernel", "agentry-abi", "agentry-config", "agentry-store"]),
    ("host/llm-embedded/Cargo.toml", &["agentry-kernel", "agentry-llm", "agentry-abi"]),
    ("host/drivers/Cargo.toml", &["agentry-kernel", "agentry-abi", "agentry-config", "agentry-store"]),
    ("host/packages/Cargo.toml", BELOW_PACKAGES),
    ("host/runtime/Cargo.toml", BELOW_RUNTIME),
    ("host/serve/Cargo.toml", BELOW_SERVE),
    ("host/oracle/Cargo.toml", &["agentry-kernel"]),
    ("host/fuzz/Cargo.toml", &["agentry-abi", "agentry-kernel", "agentry-llm"]),
    ("tests/Cargo.toml", &[]),
    ("host/sysroot/Cargo.toml", &[]),
    ("xtask/Cargo.toml", &["agentry-sysroot"]),
    ("sdk-guest/Cargo.toml", &["agentry-macros", "agentry-mcp"]),
    ("sdk-guest/macros/Cargo.toml", &[]),
    ("sdk-guest/mcp/Cargo.toml", &[]),
];

/// The drivers: what else is in their crate, the way to the web and secrets, they share.
const DRIVERS: [&str; 6] = ["files", "http", "human", "mail", "memory", "tools"];

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
    for file in tree.rust("host/drivers/src") {
        let own = driver(&file.path);
        for other in DRIVERS.iter().filter(|other| **other != own) {
            forbid(file, &format!("crate::{other}::"), "a driver calls no driver", findings);
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

/// The driver that a file belongs to: `tools` of `tools/command.rs` and of `tools.rs`.
fn driver(path: &Path) -> String {
    let inside = path.strip_prefix("host/drivers/src").unwrap_or(path);
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
