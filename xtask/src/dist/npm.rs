//! The package for npm, which links the binary itself as the command: nothing is executed when it is installed, and nothing is downloaded.

use anyhow::Result;
use serde_json::json;

use super::archive::{self, Entry};
use super::binary::Binary;
use super::contents::Contents;
use super::elf::Needs;
use super::{Artifact, LICENCE, NAME, SUMMARY};

/// Packs it.
pub fn pack(contents: &Contents, binary: &Binary) -> Result<Artifact> {
    let (_, processor) = binary.processor()?;
    let pages: Vec<String> = contents.pages().map(|(name, _)| format!("man/{name}")).collect();
    let mut manifest = json!({
        "name": NAME,
        "version": binary.version,
        "description": SUMMARY,
        "license": format!("({LICENCE})"),
        "bin": {NAME: format!("bin/{NAME}")},
        "man": pages,
        "os": ["linux"],
        "cpu": [processor],
    });
    if let Needs::Glibc { .. } = binary.needs {
        manifest["libc"] = json!(["glibc"]);
    }
    let mut entries: Vec<Entry> =
        contents.pages().map(|(name, page)| Entry::file(format!("man/{name}"), page.bytes.clone())).collect();
    entries.push(Entry::program(format!("bin/{NAME}"), binary.bytes.clone()));
    entries.push(Entry::file("package.json", format!("{manifest:#}\n")));
    entries.push(Entry::file("README.md", contents.readme.clone()));
    entries.extend_from_slice(&contents.terms);
    let entries: Vec<Entry> = entries.iter().map(|entry| entry.below("package/")).collect();
    let bytes = archive::gz(&archive::tar(&entries, false, contents.seconds)?)?;
    Ok(Artifact { name: format!("{NAME}-{}-npm-linux-{processor}.tgz", binary.version), bytes })
}
