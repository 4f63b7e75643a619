//! The terms of everything that is built in, in their own words: they ask that a copy is passed on, and each text stands once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::binary::Binary;
use super::elf::Needs;
use super::sbom::{Crate, Crates};

/// How the names of files begin in which authors put terms.
const NAMES: [&str; 6] = ["license", "licence", "copying", "notice", "unlicense", "copyright"];

/// A text that is longer than this is no terms.
const TEXT_MAX_BYTES: u64 = 256 * 1024;

const MUSL: &str = include_str!("musl.txt");

/// One text of all.
pub fn of(crates: &Crates, binary: &Binary) -> Result<String> {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for one in crates.iter() {
        let name = format!("{} {}", one.name, one.version);
        list.push_str(&format!("{name}: {}\n", one.licence));
        for text in words(one)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    if binary.needs == Needs::Nothing {
        list.push_str("musl: MIT\n");
        texts.entry(MUSL.to_owned()).or_default().insert("musl".to_owned());
    }
    Ok(format!("What is built into agentry, and under which terms.\n\n{list}{}", written(&texts)))
}

fn written(texts: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut texts: Vec<(Vec<&str>, &String)> =
        texts.iter().map(|(text, names)| (names.iter().map(String::as_str).collect(), text)).collect();
    texts.sort();
    let line = "-".repeat(80);
    texts.iter().map(|(names, text)| format!("\n{line}\n{}\n{line}\n\n{text}\n", names.join(", "))).collect()
}

/// What its authors put beside its source.
fn words(of: &Crate) -> Result<BTreeSet<String>> {
    let Some(source) = &of.source else { return Ok(BTreeSet::new()) };
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(source).with_context(|| format!("the source of {} is not there", of.name))?.flatten() {
        let is = entry.metadata()?;
        if is.is_file() && is.len() <= TEXT_MAX_BYTES && is_terms(&entry.path()) {
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace('\r', "");
            texts.insert(text.trim().to_owned());
        }
    }
    Ok(texts)
}

fn is_terms(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    NAMES.iter().any(|begins| name.starts_with(begins)) && !name.ends_with(".rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_stands_once_for_all_who_use_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let texts =
            BTreeMap::from([("Be kind.".to_owned(), names(&["b 1", "a 1"])), ("Be fair.".to_owned(), names(&["c 1"]))]);
        let written = written(&texts);
        assert_eq!(written.matches("Be kind.").count(), 1);
        assert!(written.find("a 1, b 1").unwrap() < written.find("c 1").unwrap(), "{written}");
        assert!(
            is_terms(Path::new("x/LICENSE-MIT"))
                && is_terms(Path::new("COPYING"))
                && !is_terms(Path::new("licence.rs"))
        );
    }
}
