//! The first files of a new agent's crate, and which names an agent may have.

use std::fs;
use std::path::Path;

use agentry_kernel::policy::Grant;
use anyhow::{Context, Result, bail};

use super::{manifest, sdk};

/// Bytes of a name: it becomes a directory, a file and a part of namespaces.
const NAME_BYTES_MAX: usize = 64;

/// Of every crate.
const FILES: [(&str, &str); 2] =
    [("Cargo.toml", include_str!("template/Cargo.toml.in")), (".gitignore", include_str!("template/gitignore.in"))];

/// Of an agent that answers a question.
const QUESTION: [(&str, &str); 3] = [
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("agent.toml", include_str!("template/agent.toml.in")),
    ("README.md", include_str!("template/README.md.in")),
];

/// Whether an agent may have this name.
pub fn check(name: &str) -> Result<()> {
    let lawful = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if !lawful || !begins || name.ends_with('-') || name.len() > NAME_BYTES_MAX {
        bail!(
            "`{name}` is no name for an agent\nhint: lowercase letters, digits and `-`, a letter first, at most {NAME_BYTES_MAX} of them: `note-taker`"
        );
    }
    if name == "agentry" {
        bail!("`agentry` is the name of the SDK\nhint: name the agent after what it does: `note-taker`");
    }
    Ok(())
}

/// The files of an agent that answers a question, beside those of every crate.
pub fn question(name: &str) -> Vec<(&'static str, String)> {
    QUESTION.into_iter().map(|(file, text)| (file, fill(text, &[("name", name)]))).collect()
}

/// Puts words in the place of their names, all at once: what stands in a word is no name any more.
///
/// # Panics
/// If a template names what it is not given.
pub fn fill(template: &str, words: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, behind) = part.split_once("}}").expect("a template closes what it opens");
        let word = words.iter().find(|(known, _)| *known == name).expect("a template names what it is given");
        filled.extend([word.1, behind]);
    }
    filled
}

/// That a crate can be written there: whoever writes one may have asked somebody for it before.
pub fn is_free(directory: &Path) -> Result<()> {
    let taken = directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken || directory.is_file() {
        bail!("{} is there already\nhint: choose another name, or another place with --dir", directory.display());
    }
    Ok(())
}

/// Writes a crate that compiles into a directory that holds nothing yet: these files, and those that every crate has.
pub fn write(name: &str, directory: &Path, files: &[(&'static str, String)]) -> Result<()> {
    is_free(directory)?;
    let was_there = directory.exists();
    filled(name, directory, files).inspect_err(|_| empty(directory, was_there))
}

fn filled(name: &str, directory: &Path, files: &[(&'static str, String)]) -> Result<()> {
    for (file, text) in FILES {
        put(&directory.join(file), &fill(text, &[("name", name), ("sdk", sdk::PLACE)]))?;
    }
    for (file, text) in files {
        put(&directory.join(file), text)?;
    }
    sdk::unpack(directory)?;
    let manifest = manifest::read(&directory.join(manifest::FILE))?;
    put(&directory.join("policies").join(format!("50-{name}.toml")), &Grant::draft(&manifest, None))
}

/// Takes away what was written of a crate that could not be written whole: half of one would be in the way of the next try. Whatever lies in the
/// directory is of it, for it held nothing.
fn empty(directory: &Path, was_there: bool) {
    if !was_there {
        let _ = fs::remove_dir_all(directory);
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|is| is.is_dir());
        let _ = if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().expect("it is below the directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lowercase_words() {
        for good in ["a", "note-taker", "r2"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "2r", "-a", "a-", "Note", "a_b", "a/b", "../a", "agentry", "é"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_crate_is_whole_and_nothing_is_written_over_it() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("note-taker");
        write("note-taker", &directory, &question("note-taker")).expect("written");
        for file in ["Cargo.toml", "src/lib.rs", "policies/50-note-taker.toml", ".agentry/sdk/sdk-guest/src/lib.rs"] {
            let text = fs::read_to_string(directory.join(file)).expect(file);
            assert!(!text.contains("{{"), "{file}");
        }
        assert!(write("note-taker", &directory, &[]).is_err());
    }

    #[test]
    fn what_stands_in_a_word_is_no_name_of_one() {
        assert_eq!(fill("{{a}}-{{b}}", &[("a", "{{b}}"), ("b", "}}{{a}}")]), "{{b}}-}}{{a}}");
    }
}
