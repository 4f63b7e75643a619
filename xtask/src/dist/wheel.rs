//! The package for Python's installers, which put the command on the path: a wheel (PyPA, binary distribution format 1.0) without any Python.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::archive::{self, Entry};
use super::binary::Binary;
use super::contents::Contents;
use super::elf::Needs;
use super::{Artifact, LICENCE, NAME, SUMMARY};

/// Packs it.
pub fn pack(contents: &Contents, binary: &Binary) -> Result<Artifact> {
    let version = &binary.version;
    let (data, info) = (format!("{NAME}-{version}.data"), format!("{NAME}-{version}.dist-info"));
    let platforms = platforms(&binary.needs, binary.architecture());
    let mut entries: Vec<Entry> = contents.share.iter().map(|entry| entry.below(&format!("{data}/data/"))).collect();
    entries.push(Entry::program(format!("{data}/scripts/{NAME}"), binary.bytes.clone()));
    entries.push(Entry::file(format!("{info}/METADATA"), metadata(version, &contents.readme)));
    entries.push(Entry::file(format!("{info}/WHEEL"), wheel(&platforms)));
    entries.extend(contents.terms.iter().map(|entry| entry.below(&format!("{info}/licenses/"))));
    entries.push(Entry::file(format!("{info}/RECORD"), record(&entries, &info)));
    let name = format!("{NAME}-{version}-py3-none-{}.whl", platforms.join("."));
    Ok(Artifact { name, bytes: archive::zip(&entries)? })
}

/// What installers ask for: a static binary runs beside any C library, another one from its glibc on (PEP 600, PEP 656).
fn platforms(needs: &Needs, architecture: &str) -> Vec<String> {
    match needs {
        Needs::Nothing => {
            let all = ["manylinux_2_17", "manylinux2014", "musllinux_1_1"];
            all.iter().map(|family| format!("{family}_{architecture}")).collect()
        }
        Needs::Glibc { minor, .. } => vec![format!("manylinux_2_{minor}_{architecture}")],
    }
}

fn metadata(version: &str, readme: &[u8]) -> Vec<u8> {
    let head = format!(
        "Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nSummary: {SUMMARY}\nLicense: {LICENCE}\n\
         Classifier: Environment :: Console\nClassifier: Operating System :: POSIX :: Linux\n\
         Classifier: Programming Language :: Rust\nDescription-Content-Type: text/markdown\n\n"
    );
    [head.as_bytes(), readme].concat()
}

fn wheel(platforms: &[String]) -> String {
    let tags: String = platforms.iter().map(|platform| format!("Tag: py3-none-{platform}\n")).collect();
    format!("Wheel-Version: 1.0\nGenerator: agentry-xtask\nRoot-Is-Purelib: false\n{tags}")
}

/// Each file with its digest and size, but for the record itself.
fn record(entries: &[Entry], info: &str) -> String {
    let mut lines: Vec<String> = entries.iter().map(line).collect();
    lines.sort();
    lines.push(format!("{info}/RECORD,,\n"));
    lines.concat()
}

fn line(entry: &Entry) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&entry.bytes));
    format!("{},sha256={digest},{}\n", entry.path, entry.bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_says_where_its_binary_runs() {
        let glibc = Needs::Glibc { minor: 34, libraries: vec![] };
        assert_eq!(platforms(&glibc, "x86_64"), ["manylinux_2_34_x86_64"]);
        let every = ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "musllinux_1_1_aarch64"];
        assert_eq!(platforms(&Needs::Nothing, "aarch64"), every);
        assert!(wheel(&platforms(&glibc, "x86_64")).ends_with("Tag: py3-none-manylinux_2_34_x86_64\n"));
    }

    #[test]
    fn the_record_names_each_file_with_its_digest() {
        let entries = [Entry::file("a-1.data/x", "abc")];
        let digest = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(record(&entries, "a-1"), format!("a-1.data/x,sha256={digest},3\na-1/RECORD,,\n"));
    }
}
