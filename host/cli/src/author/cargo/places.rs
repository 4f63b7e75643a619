//! Other names for directories in what rustc writes, so that nothing of the machine stands in a component, and none of it decides a byte.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use agentry_sysroot::Rustc;

use super::{Metadata, Package};

/// Flags for rustc, as `CARGO_ENCODED_RUSTFLAGS` has them: the sysroot, and a name for each directory that source comes from.
pub(super) fn flags(known: &Metadata, rustc: &Rustc, sysroot: Option<&Path>) -> OsString {
    let mut flags: Vec<OsString> = renamed(known, rustc).into_iter().map(|(from, to)| rename(&from, &to)).collect();
    if let Some(sysroot) = sysroot {
        let mut flag = OsString::from("--sysroot=");
        flag.push(sysroot);
        flags.push(flag);
    }
    flags.join(&OsString::from("\u{1f}"))
}

fn rename(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push(format!("={to}"));
    flag
}

/// Directories and their names. rustc takes the last prefix that fits, so the shorter ones come first.
fn renamed(known: &Metadata, rustc: &Rustc) -> Vec<(PathBuf, String)> {
    let source = rustc.sysroot.join("lib/rustlib/src/rust");
    let mut places = vec![
        // What build scripts write lies there.
        (known.target_directory.clone(), "/target".to_owned()),
        // Where the source of std is installed, rustc names it; where it is not, it says this.
        (source, format!("/rustc/{}", rustc.commit)),
    ];
    places.extend(cargo_home().map(|home| (home, "/cargo".to_owned())));
    places.extend(known.packages.iter().filter_map(place));
    if places.iter().all(|(place, _)| *place != known.workspace_root) {
        places.push((known.workspace_root.clone(), "/source/workspace".to_owned()));
    }
    places.sort();
    places.dedup();
    places
}

/// The directory of a crate, or that in which it and others lie, each under its name and version.
fn place(package: &Package) -> Option<(PathBuf, String)> {
    let directory = package.manifest_path.parent()?;
    if package.source.is_none() {
        // A checkout may be called anything.
        return Some((directory.to_owned(), format!("/source/{}", package.name)));
    }
    let name = format!("{}-{}", package.name, package.version);
    if directory.file_name().is_some_and(|own| own == name.as_str()) {
        return Some((directory.parent()?.to_owned(), "/crates".to_owned()));
    }
    Some((directory.to_owned(), format!("/crates/{name}")))
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directory_of_a_machine_has_its_own_name() {
        let package = |name: &str, source: Option<&str>, at: &str| Package {
            name: name.into(),
            version: "1.0.0".into(),
            source: source.map(str::to_owned),
            manifest_path: Path::new(at).join("Cargo.toml"),
            dependencies: vec![],
        };
        let known = Metadata {
            packages: vec![
                package("clock", None, "/somebody/checkout-7"),
                package("agentry", None, "/somebody/checkout-7/.agentry/sdk/sdk-guest"),
                package("serde", Some("registry+x"), "/somebody/.cargo/registry/src/a/serde-1.0.0"),
                package("vendored", Some("registry+x"), "/somebody/vendor/vendored"),
            ],
            workspace_root: "/somebody/checkout-7".into(),
            target_directory: "/var/target".into(),
        };
        let rustc = Rustc {
            release: "1.95.0".into(),
            commit: "59807616e1fa".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            sysroot: "/opt/rust".into(),
        };
        let renamed = renamed(&known, &rustc);
        let name =
            |of: &str| renamed.iter().rev().find(|(from, _)| Path::new(of).starts_with(from)).map(|(_, to)| &**to);
        for (file, named) in [
            ("/somebody/checkout-7/src/lib.rs", "/source/clock"),
            ("/somebody/checkout-7/.agentry/sdk/sdk-guest/src/lib.rs", "/source/agentry"),
            ("/somebody/.cargo/registry/src/a/serde-1.0.0/src/lib.rs", "/crates"),
            ("/somebody/vendor/vendored/src/lib.rs", "/crates/vendored-1.0.0"),
            ("/var/target/release/build/serde-1/out/private.rs", "/target"),
            ("/opt/rust/lib/rustlib/src/rust/library/core/src/lib.rs", "/rustc/59807616e1fa"),
        ] {
            assert_eq!(name(file), Some(named), "{file}");
        }
        let flags = flags(&known, &rustc, Some(Path::new("/opt/std")));
        assert!(flags.to_string_lossy().ends_with("\u{1f}--sysroot=/opt/std"));
    }
}
