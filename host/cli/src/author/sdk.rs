//! The SDK and the syscall table that this binary carries, and their copy in an author's crate.
//!
//! The copy is the build's, not the author's: whatever differs is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use agentry_engine::package;
use agentry_kernel::Digest;
use anyhow::{Context, Result};
use include_dir::{Dir, File, include_dir};

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk-guest");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// Where the copy lives in a crate.
pub const PLACE: &str = ".agentry/sdk";

/// The version of the syscall table that this binary carries.
pub fn wit_version() -> &'static str {
    let head = world().lines().find_map(|line| line.strip_prefix("package agentry:agent@")?.strip_suffix(';'));
    head.expect("wit/world.wit names its package")
}

/// The text of `world.wit`.
pub fn world() -> &'static str {
    WIT.get_file("world.wit").and_then(File::contents_utf8).expect("the table has a world")
}

/// The files of the table: their names and what stands in them.
pub fn table() -> Vec<(String, String)> {
    let text = |file: &&File<'_>| file.contents_utf8().expect("the table is text").to_owned();
    files(&WIT).iter().map(|file| (file.path().display().to_string(), text(file))).collect()
}

/// Writes the whole table into a directory.
pub fn write_table(directory: &Path) -> Result<()> {
    write(&WIT, directory)
}

/// Renews the copy in a crate, if the crate has one and it is not what this binary carries. True if it was written.
pub fn renew(directory: &Path) -> Result<bool> {
    if !is_used(directory) || is_current(&directory.join(PLACE)) {
        return Ok(false);
    }
    unpack(directory)?;
    Ok(true)
}

/// Whether a crate takes the SDK from a copy. One that takes it from elsewhere, as those of this repository do, has no use for that.
pub fn is_used(directory: &Path) -> bool {
    fs::read_to_string(directory.join("Cargo.toml")).is_ok_and(|text| text.contains(PLACE))
}

/// Of the SDK and the table that this binary carries: their names and all that stands in them.
pub fn digest() -> Digest {
    let mut all: Vec<(&Path, &[u8])> =
        [&SDK, &WIT].into_iter().flat_map(files).map(|file| (file.path(), file.contents())).collect();
    all.sort();
    let lines = all.iter().map(|(path, text)| format!("{} {}\n", package::digest(text), path.display()));
    package::digest(lines.collect::<String>().as_bytes())
}

/// Puts the copy into a crate, in place of what is there.
pub fn unpack(directory: &Path) -> Result<()> {
    let place = directory.join(PLACE);
    let fresh = directory.join(format!("{PLACE}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    write(&SDK, &fresh.join("sdk-guest"))?;
    write(&WIT, &fresh.join("wit"))?;
    let _ = fs::remove_dir_all(&place);
    fs::rename(&fresh, &place).with_context(|| format!("cannot put the SDK into {}", place.display()))
}

fn is_current(place: &Path) -> bool {
    holds(&SDK, &place.join("sdk-guest")) && holds(&WIT, &place.join("wit"))
}

fn holds(tree: &Dir<'_>, directory: &Path) -> bool {
    files(tree).iter().all(|file| fs::read(target(file, directory)).is_ok_and(|found| found == file.contents()))
}

fn write(tree: &Dir<'_>, directory: &Path) -> Result<()> {
    for file in files(tree) {
        let path = target(file, directory);
        let parent = path.parent().expect("it is below the directory");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, file.contents()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn files<'a>(tree: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    let below = tree.dirs().flat_map(files);
    tree.files().chain(below).collect()
}

fn target(file: &File<'_>, directory: &Path) -> PathBuf {
    directory.join(file.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_renewed_when_it_differs_and_only_then() {
        let directory = tempfile::tempdir().expect("a directory");
        let crate_file = format!("[dependencies]\nagentry = {{ path = \"{PLACE}/sdk-guest\" }}\n");
        fs::write(directory.path().join("Cargo.toml"), crate_file).expect("a crate");
        assert!(renew(directory.path()).expect("written"));
        assert!(!renew(directory.path()).expect("left alone"));
        fs::write(directory.path().join(PLACE).join("wit/log.wit"), "something else").expect("changed");
        assert!(renew(directory.path()).expect("written again"));
    }

    #[test]
    fn the_version_of_the_table_is_read_from_its_text() {
        assert_eq!(wit_version().split('.').count(), 3);
    }
}
