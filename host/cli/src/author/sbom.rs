//! What an agent's crate is made of, as its `Cargo.lock` has it: a bill of materials in CycloneDX 1.5 (ECMA-424). It lists what only builds the
//! crate as well, for the lock does not tell these apart, and it has no time and no number of its own: the same source gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use agentry_kernel::digest::Digest;
use agentry_kernel::manifest::Manifest;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// As which a lock names the registry that `pkg:cargo` means, by whichever protocol it was asked.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

/// One crate of a lock.
#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The crate that an agent is.
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The text of the `Cargo.lock` that it was built with.
    pub lock: String,
}

/// The bill of materials of a package that was made of a crate; `component` is the digest of its file.
pub fn of(made: &Crate, manifest: &Manifest, component: Digest) -> Result<Vec<u8>> {
    let lock: Lock = toml::from_str(&made.lock).context("Cargo.lock is not what cargo writes")?;
    let mut by_name: BTreeMap<&str, Vec<&Locked>> = BTreeMap::new();
    lock.package.iter().for_each(|one| by_name.entry(&one.name).or_default().push(one));
    let own = by_name.get(made.name.as_str()).into_iter().flatten().find(|one| one.version == made.version);
    let own = own.with_context(|| format!("Cargo.lock lacks the crate {} {}", made.name, made.version))?;
    let below = |one: &Locked| one.dependencies.iter().filter_map(|named| found(&by_name, named)).collect::<Vec<_>>();
    let (mut all, mut open) = (BTreeMap::from([(reference(own), *own)]), vec![*own]);
    while let Some(one) = open.pop() {
        for other in below(one) {
            if all.insert(reference(other), other).is_none() {
                open.push(other);
            }
        }
    }
    let components: Vec<Value> = all.iter().map(|(reference, one)| described(reference, one)).collect();
    let dependencies = all.iter().map(|(reference, one)| {
        let on: BTreeSet<String> = below(one).into_iter().map(self::reference).collect();
        json!({"ref": reference, "dependsOn": on})
    });
    let whole = json!({"ref": manifest.name, "dependsOn": [reference(own)]});
    let dependencies: Vec<Value> = std::iter::once(whole).chain(dependencies).collect();
    let mut package = json!({
        "type": "application",
        "bom-ref": manifest.name,
        "name": manifest.name,
        "version": manifest.version,
        "hashes": [{"alg": "SHA-256", "content": component.to_string()}],
    });
    if let Some(licence) = &manifest.licence {
        package["licenses"] = json!([{"expression": licence}]);
    }
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": package},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{bom:#}\n").into_bytes())
}

/// What a line of `dependencies` means: `name`, and where that is not enough `name version`, and `name version (source)`.
fn found<'l>(by_name: &BTreeMap<&str, Vec<&'l Locked>>, named: &str) -> Option<&'l Locked> {
    let mut words = named.split(' ');
    let (name, version, source) = (words.next()?, words.next(), words.next());
    let source = source.map(|source| source.trim_matches(['(', ')']));
    let fits = |one: &&&Locked| {
        version.is_none_or(|version| one.version == version)
            && source.is_none_or(|source| one.source.as_deref().is_some_and(|own| own.starts_with(source)))
    };
    by_name.get(name)?.iter().find(fits).copied()
}

fn described(reference: &str, one: &Locked) -> Value {
    let mut described = json!({"type": "library", "bom-ref": reference, "name": one.name, "version": one.version});
    if let Some(checksum) = &one.checksum {
        described["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    match &one.source {
        Some(source) if source == CRATES_IO => {
            described["purl"] = format!("pkg:cargo/{}@{}", one.name, one.version.replace('+', "%2B")).into();
        }
        Some(source) => {
            let url = source.split_once('+').map_or(source.as_str(), |(_, url)| url);
            described["externalReferences"] = json!([{"type": "distribution", "url": url}]);
        }
        None => {}
    }
    described
}

/// What tells it apart from all others of a lock.
fn reference(one: &Locked) -> String {
    match &one.source {
        Some(source) if source != CRATES_IO => {
            format!("{}@{} {source}", one.name, one.version)
        }
        _ => format!("{}@{}", one.name, one.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "keeper"
version = "1.0.0"
dependencies = ["serde 1.0.2", "tool"]

[[package]]
name = "serde"
version = "0.9.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "11"

[[package]]
name = "serde"
version = "1.0.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "22"

[[package]]
name = "tool"
version = "0.1.0"
source = "git+https://example.org/tool?rev=1#1234"
dependencies = ["keeper"]

[[package]]
name = "other"
version = "0.1.0"
"#;

    #[test]
    fn what_a_crate_is_made_of_is_listed_with_its_digests_and_what_lies_beside_it_is_not() {
        let manifest = r#"{"format":1,"name":"acme:keeper","version":"1.0.0","wit":"0.1.0","licence":"MIT"}"#;
        let manifest: Manifest = serde_json::from_str(manifest).expect("a manifest");
        let made = |name: &str, lock: &str| Crate { name: name.into(), version: "1.0.0".into(), lock: lock.into() };
        let bytes = of(&made("keeper", LOCK), &manifest, Digest([1; 32])).expect("it is whole");
        assert_eq!(bytes, of(&made("keeper", LOCK), &manifest, Digest([1; 32])).expect("it is whole"));
        let bom: Value = serde_json::from_slice(&bytes).expect("JSON");
        let names: Vec<&str> =
            bom["components"].as_array().expect("a list").iter().filter_map(|one| one["bom-ref"].as_str()).collect();
        assert_eq!(names, ["keeper@1.0.0", "serde@1.0.2", "tool@0.1.0 git+https://example.org/tool?rev=1#1234"]);
        assert_eq!(bom["components"][1]["purl"], "pkg:cargo/serde@1.0.2");
        assert_eq!(bom["components"][1]["hashes"][0]["content"], "22");
        assert_eq!(bom["components"][2]["externalReferences"][0]["url"], "https://example.org/tool?rev=1#1234");
        assert_eq!(bom["dependencies"][0], json!({"ref": "acme:keeper", "dependsOn": ["keeper@1.0.0"]}));
        assert_eq!(bom["metadata"]["component"]["licenses"], json!([{"expression": "MIT"}]));
        assert!(of(&made("nobody", LOCK), &manifest, Digest([1; 32])).is_err());
        assert!(of(&made("keeper", "x"), &manifest, Digest([1; 32])).is_err());
    }
}
