//! Where the crates of others come from and under which terms: each from the one registry, with its checksum, under a licence that lets anybody
//! use Agentry for anything. And what is known of the engine is known of the version that is pinned. It fetches no more than a build does.

use std::process::Command;

use serde_json::Value;

use super::{File, Findings, Tree};
use crate::steps::cargo;

/// The registry as lock files name it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Terms that ask for no more than that they are passed on with a copy.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Says what is known of the engine.
const THREAT_MODEL: &str = "docs/threat-model.md";

/// Checks every lock file, what the workspace is built of, and what is known of the engine.
pub fn check(tree: &Tree, findings: &mut Findings) {
    for file in tree.files().filter(|file| file.path.file_name().is_some_and(|name| name == "Cargo.lock")) {
        sources(file, findings);
    }
    // What other systems would bring is neither built in nor fetched.
    let system = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    match listed(cargo().args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &system])) {
        Ok(packages) => packages.iter().for_each(|package| licence(package, findings)),
        Err(why) => findings.missing("Cargo.lock", format!("cannot be read by cargo: {why}")),
    }
    engine(tree, findings);
}

fn sources(file: &File, findings: &mut Findings) {
    let Ok(lock) = file.text.parse::<toml::Table>() else {
        return findings.file(file, 1, "is no lock file");
    };
    let packages = lock.get("package").and_then(toml::Value::as_array);
    for package in packages.into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let (name, source) = (text("name").unwrap_or("?"), text("source"));
        // What has no source lies in this repository.
        if source.is_some_and(|source| source != REGISTRY) {
            findings.file(file, 1, format!("{name} comes from another place than the registry"));
        }
        if source.is_some() && text("checksum").is_none() {
            findings.file(file, 1, format!("{name} has no checksum"));
        }
    }
}

fn listed(metadata: &mut Command) -> Result<Vec<Value>, String> {
    let output = metadata.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut metadata: Value =
        serde_json::from_str(&text).map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    match metadata["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => Err("it lists no packages".to_owned()),
    }
}

fn licence(package: &Value, findings: &mut Findings) {
    let (name, terms) = (package["name"].as_str().unwrap_or("?"), package["license"].as_str().unwrap_or_default());
    if !is_allowed(terms) {
        findings.missing("Cargo.lock", format!("{name} may be used as `{terms}` says, which nobody has looked at"));
    }
}

/// Whether one way to read these terms asks for nothing but what is in the list.
fn is_allowed(terms: &str) -> bool {
    let terms = terms.replace('/', " OR ");
    let words: Vec<&str> = terms.split_whitespace().collect();
    let plain = words.join(" ");
    let mut depth = 0_usize;
    // Where no parenthesis is open, from the weakest word to the strongest.
    for joined in [" OR ", " AND "] {
        for (at, letter) in plain.char_indices() {
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ if depth == 0 && plain[at..].starts_with(joined) => {
                    let (one, other) = (&plain[..at], &plain[at + joined.len()..]);
                    return match joined {
                        " OR " => is_allowed(one) || is_allowed(other),
                        _ => is_allowed(one) && is_allowed(other),
                    };
                }
                _ => {}
            }
        }
    }
    match plain.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => LICENCES.contains(&plain.as_str()),
    }
}

/// The table of advisories speaks of the engine that is pinned, or somebody has changed one and not read the other.
fn engine(tree: &Tree, findings: &mut Findings) {
    let pinned = tree.get("Cargo.toml").and_then(|file| {
        let line = file.text.lines().find(|line| line.starts_with("wasmtime = "))?;
        line.split("\"=").nth(1)?.split('"').next().map(str::to_owned)
    });
    let known = tree.get(THREAT_MODEL).is_some_and(|file| {
        pinned.as_ref().is_some_and(|version| file.text.contains(&format!("wasmtime is pinned at {version}.")))
    });
    if !known {
        let version = pinned.as_deref().unwrap_or("a version that is not pinned");
        findings.missing(THREAT_MODEL, format!("does not say what is known of wasmtime {version}, which is built in"));
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn terms_are_read_as_they_are_written() {
        for terms in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
            "ISC AND (Apache-2.0 OR ISC) AND BSD-3-Clause",
        ] {
            assert!(is_allowed(terms), "{terms}");
        }
        for terms in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR AGPL-3.0) AND MIT", "SSPL-1.0/GPL-3.0"] {
            assert!(!is_allowed(terms), "{terms}");
        }
    }
}
