//! What is in the binary, crate by crate: read from cargo, written as CycloneDX 1.5 (ECMA-424), in which others look for what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::binary::Binary;
use super::elf::Needs;
use super::{Artifact, LICENCE, NAME};
use crate::steps::{cargo, command};
use crate::workspace::read;

/// The crate of the command.
const COMMAND: &str = "agentry-cli";

/// One crate that is linked into the binary.
pub struct Crate {
    /// As its manifest has it.
    pub name: String,
    /// As its manifest has it.
    pub version: String,
    /// An expression of SPDX.
    pub licence: String,
    /// Where its source lies on this machine; none for what is of this repository.
    pub source: Option<PathBuf>,
    sha256: Option<String>,
    depends: BTreeSet<String>,
}

/// All of them by a name that tells them apart.
pub struct Crates(BTreeMap<String, Crate>);

impl Crates {
    /// What the command is linked from for this target: no tests, no build scripts, no macros.
    pub fn of(target: &str) -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gives no JSON")?;
        Self::read(&metadata, &checksums(&read("Cargo.lock")?)?)
    }

    fn read(metadata: &Value, checksums: &BTreeMap<String, String>) -> Result<Self> {
        let by_id = |list: &Value| -> BTreeMap<String, Value> {
            let items = list.as_array().into_iter().flatten();
            items.filter_map(|item| Some((item["id"].as_str()?.to_owned(), item.clone()))).collect()
        };
        let (packages, nodes) = (by_id(&metadata["packages"]), by_id(&metadata["resolve"]["nodes"]));
        let first = packages.iter().find(|(_, package)| package["name"] == COMMAND);
        let (first, _) = first.with_context(|| format!("there is no crate {COMMAND}"))?;
        let (mut found, mut open) = (BTreeMap::new(), vec![first.clone()]);
        while let Some(id) = open.pop() {
            let package = packages.get(&id).with_context(|| format!("cargo metadata does not describe {id}"))?;
            let below: Vec<String> = linked(&nodes[&id]).filter(|id| packages.get(id).is_some_and(is_linked)).collect();
            let depends = below.iter().map(|id| reference(&packages[id])).collect();
            if found.insert(reference(package), described(package, checksums, depends)).is_none() {
                open.extend(below);
            }
        }
        Ok(Self(found))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Crate> {
        self.0.values()
    }
}

/// The list as a file.
pub fn write(crates: &Crates, binary: &Binary) -> Result<Artifact> {
    let mut components: Vec<Value> = crates.0.iter().map(|(reference, of)| component(reference, of)).collect();
    components.push(json!({
        "type": "library", "bom-ref": "rust-std", "name": "rust-std", "version": rustc()?, "licenses": expression(LICENCE),
    }));
    if binary.needs == Needs::Nothing {
        // rustc brings it, and says no version.
        let licence = expression("MIT");
        components.push(json!({"type": "library", "bom-ref": "musl", "name": "musl", "licenses": licence}));
    }
    let dependencies: Vec<Value> =
        crates.0.iter().map(|(reference, of)| json!({"ref": reference, "dependsOn": of.depends})).collect();
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "application",
            "bom-ref": NAME,
            "name": NAME,
            "version": binary.version,
            "licenses": expression(LICENCE),
            "hashes": [{"alg": "SHA-256", "content": hex(&Sha256::digest(&binary.bytes))}],
            "properties": [{"name": "agentry:target", "value": binary.target}],
        }},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(Artifact { name: format!("{NAME}-{}.cdx.json", binary.version), bytes: format!("{bom:#}\n").into_bytes() })
}

fn component(reference: &str, of: &Crate) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": reference, "name": of.name, "version": of.version, "licenses": expression(&of.licence),
    });
    // What is of this repository is in no registry.
    if let Some(sha256) = &of.sha256 {
        component["purl"] = format!("pkg:cargo/{}@{}", of.name, of.version.replace('+', "%2B")).into();
        component["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    component
}

fn expression(licence: &str) -> Value {
    json!([{"expression": licence}])
}

fn described(package: &Value, checksums: &BTreeMap<String, String>, depends: BTreeSet<String>) -> Crate {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let sha256 = checksums.get(&format!("{name}@{version}")).cloned();
    let source = PathBuf::from(text("manifest_path")).parent().map(PathBuf::from);
    let licence = text("license").replace('/', " OR ");
    Crate { source: source.filter(|_| sha256.is_some()), name, version, licence, sha256, depends }
}

fn reference(package: &Value) -> String {
    format!("{}@{}", package["name"].as_str().unwrap_or_default(), package["version"].as_str().unwrap_or_default())
}

/// The ids of what is linked into a crate: neither for its tests nor for its build script.
fn linked(node: &Value) -> impl Iterator<Item = String> {
    let normal = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let depends = node["deps"].as_array().into_iter().flatten().filter(normal);
    depends.filter_map(|dependency| Some(dependency["pkg"].as_str()?.to_owned()))
}

/// Macros are executed by the compiler, and no part of what it makes.
fn is_linked(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.filter_map(|target| target["kind"].as_array()).flatten().all(|kind| kind != "proc-macro")
}

/// The SHA-256 of each crate as it was fetched, by `name@version`.
fn checksums(lock: &str) -> Result<BTreeMap<String, String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is no lock file")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let checksum = |package: &toml::Value| {
        let text = |key: &str| package.get(key)?.as_str().map(str::to_owned);
        Some((format!("{}@{}", text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.filter_map(checksum).collect())
}

fn rustc() -> Result<String> {
    let output = command("rustc").arg("--version").output().context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_whitespace().nth(1).map(str::to_owned).context("rustc says no version")
}

/// In hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let package = |name: &str, kind: &str| {
            json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "manifest_path": "/x/Cargo.toml",
                   "targets": [{"kind": [kind]}]})
        };
        let on = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package(COMMAND, "bin"), package("used", "lib"), package("derives", "proc-macro"),
                         package("tests", "lib"), package("builds", "lib")],
            "resolve": {"nodes": [
                {"id": COMMAND, "deps": [on("used", Value::Null), on("derives", Value::Null), on("tests", json!("dev")),
                                         on("builds", json!("build"))]},
                {"id": "used", "deps": [on(COMMAND, json!("dev"))]},
            ]},
        });
        let checksums = checksums("[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n").unwrap();
        let crates = Crates::read(&metadata, &checksums).unwrap();
        let names: Vec<&str> = crates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, [COMMAND, "used"]);
        let used = component("used@1.0.0", &crates.0["used@1.0.0"]);
        assert_eq!(used["purl"], "pkg:cargo/used@1.0.0");
        assert_eq!(used["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
        assert_eq!(component("x", &crates.0[&format!("{COMMAND}@1.0.0")])["purl"], Value::Null);
    }
}
