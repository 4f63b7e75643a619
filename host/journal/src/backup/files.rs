//! Which files of a home a backup has: what admins wrote, the lock, the components that lie there. Never a key: neither that of exports nor those
//! of approvers, and no file that configuration only names.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::BackupError;
use super::pack::{NAME_MAX_BYTES, PACKED_MAX_BYTES};

/// Files by name.
const FILES: [&str; 10] = [
    "agentry.toml",
    "agents.lock",
    "agents.toml",
    "learned.json",
    "locked",
    "packages.toml",
    "prices.json",
    "publishers.json",
    "tools.toml",
    "trusted_root.json",
];
/// Directories, with all that lies in them.
const DIRECTORIES: [&str; 3] = ["agents", "packages", "policies"];
/// How deep such a directory is looked into.
const DEPTH_MAX: usize = 8;
/// Files of a home; one has hundreds.
const FILES_MAX: usize = 100_000;

/// Those that are there, each by its name in the home, in the order of names.
pub(super) fn of(home: &Path) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let mut found = Vec::new();
    for name in FILES {
        if is_file(&home.join(name))? {
            found.push((name.to_owned(), home.join(name)));
        }
    }
    for name in DIRECTORIES {
        walk(home, Path::new(name), DEPTH_MAX, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(home: &Path, inside: &Path, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<(), BackupError> {
    let directory = home.join(inside);
    let entries = match fs::read_dir(&directory) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|why| BackupError::io(&directory, why))?,
    };
    for entry in entries {
        let name = entry.map_err(|why| BackupError::io(&directory, why))?.file_name();
        let (inside, path) = (inside.join(&name), directory.join(&name));
        let is = fs::metadata(&path).map_err(|why| BackupError::io(&path, why))?;
        if is.is_dir() && depth > 0 {
            walk(home, &inside, depth - 1, found)?;
        } else if is.is_file() {
            let other = |why: &str| BackupError::io(&path, io::Error::other(why.to_owned()));
            let text = inside.to_str().filter(|text| text.len() < NAME_MAX_BYTES);
            found.push((text.ok_or_else(|| other("its name is no text, or too long"))?.to_owned(), path.clone()));
            if found.len() > FILES_MAX {
                return Err(other("there are too many files beside it"));
            }
        }
    }
    Ok(())
}

fn is_file(path: &Path) -> Result<bool, BackupError> {
    match fs::metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        is => Ok(is.map_err(|why| BackupError::io(path, why))?.is_file()),
    }
}

/// What stands in one; none if it went meanwhile.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    let bytes = match fs::metadata(path) {
        Ok(is) if is.len() > PACKED_MAX_BYTES as u64 => {
            let (file, max) = (path.display().to_string(), PACKED_MAX_BYTES);
            return Err(BackupError::TooLarge { file, bytes: is.len(), max });
        }
        Ok(_) => fs::read(path),
        Err(why) => Err(why),
    };
    match bytes {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).map_err(|why| BackupError::io(path, why)),
    }
}

/// Puts one back into a home that is being made, for its user alone. False if no home has a file of this name.
pub(super) fn put_back(home: &Path, name: &[u8], bytes: &[u8]) -> Result<bool, BackupError> {
    let Some(name) = std::str::from_utf8(name).ok().map(Path::new).filter(|name| is_ours(name)) else {
        return Ok(false);
    };
    let path = home.join(name);
    let made = |why| BackupError::io(&path, why);
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(made)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(made)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(made)?;
    Ok(true)
}

fn is_ours(name: &Path) -> bool {
    let mut parts = name.components();
    if !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return false;
    }
    let first = parts.next().and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    if parts.next().is_some() { DIRECTORIES.contains(&first) } else { FILES.contains(&first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_home_has_is_put_back_and_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("home");
        fs::create_dir(&home).unwrap();
        for name in ["../x", "/etc/x", "agents/../../x", "export.key", "approvers/eve.toml", "store.redb", "agents", ""]
        {
            assert!(!put_back(&home, name.as_bytes(), b"x").unwrap(), "{name}");
        }
        assert!(put_back(&home, b"policies/site/a.toml", b"x").unwrap() && put_back(&home, b"locked", b"").unwrap());
        fs::write(home.join("export.key"), "secret").unwrap();
        let names: Vec<_> = of(&home).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["locked", "policies/site/a.toml"]);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
