//! Versions of dependencies stand in the workspace's `Cargo.toml`, once; guests, their SDK and bindings, the oracle and the fuzzer stand
//! alone and have their own.

use super::{Findings, Tree};

/// Built elsewhere: in an author's workspace, which inherits nothing from ours.
const STANDS_ALONE: [&str; 6] =
    ["sdk-guest", "example-agents", "tests/guests", "host/oracle", "host/fuzz", "xtask/bindings"];

/// Checks every manifest of a member of the workspace.
pub fn check(tree: &Tree, findings: &mut Findings) {
    let manifests = tree.files().filter(|file| file.path.file_name().is_some_and(|name| name == "Cargo.toml"));
    for file in manifests {
        let is_root = file.path.components().count() == 1;
        let is_template = file.path.iter().any(|part| part == "author" || part == "template");
        if is_root || is_template || STANDS_ALONE.iter().any(|apart| file.path.starts_with(apart)) {
            continue;
        }
        let mut in_dependencies = false;
        for (number, line) in file.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
                continue;
            }
            let has_version =
                line.contains("version = \"") || line.split(" = ").nth(1).is_some_and(|value| value.starts_with('"'));
            if in_dependencies && has_version {
                findings.file(file, number, "the version belongs into [workspace.dependencies]");
            }
        }
    }
}
