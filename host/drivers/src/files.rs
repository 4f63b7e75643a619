//! Files under named roots. Each root is a directory that the admin gave, held open for as long as it lies there: another one that is put in its
//! place is the root from then on. Nothing outside of it can be named, symbolic links are not followed, and no answer tells where it lies.

mod marks;
mod usage;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use agentry_abi::bindings::agentry::agent::files::FileStat;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_kernel::Permit;
use agentry_store::limits::{FILE_LIST_MAX, FILE_READ_MAX_BYTES};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use parking_lot::{Mutex, RwLock};

pub use self::marks::Marks;
pub use self::usage::{Change, StorageUsage};

/// The roots of a host.
#[derive(Debug)]
pub struct Files {
    /// Those that it was opened with, which stay.
    given: BTreeMap<String, Arc<RootPlace>>,
    /// Those of installed agents, as they are installed now.
    installed: RwLock<BTreeMap<String, Arc<RootPlace>>>,
    /// What no root may contain or lie in.
    home: Option<PathBuf>,
}

/// Where a root was given, and what lay there at the last look.
#[derive(Debug)]
struct RootPlace {
    given: PathBuf,
    root: Mutex<Root>,
}

/// When it is worth looking for a root again whose directory is gone.
const ROOT_BACK_MS: u64 = 1000;

/// One root; cheap to clone.
#[derive(Clone, Debug)]
pub struct Root {
    dir: Arc<Dir>,
    /// Absolute, without links: by which labels are kept. No guest learns it.
    lies_at: PathBuf,
    /// The device and the number of the directory.
    id: (u64, u64),
}

/// A root that the admin named is no directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot open root `{name}` at {}: {error}\nhint: {hint}: --root {name}=DIR", path.display())]
pub struct NoRoot {
    name: String,
    path: PathBuf,
    error: io::Error,
    hint: &'static str,
}

/// What to do about the root of an installed agent.
const ANOTHER: &str = "install the agent that has it with another directory";

fn no_such(name: &str, path: &Path, error: io::Error, hint: &'static str) -> NoRoot {
    NoRoot { name: name.to_owned(), path: path.to_owned(), error, hint }
}

fn over_the_home() -> io::Error {
    io::Error::other("it contains the home, or lies in it")
}

/// Whether a directory has nothing of a home, and a home nothing of it; both are there.
///
/// # Errors
/// If one of them is not to be had.
pub fn is_apart(directory: &Path, home: &Path) -> io::Result<bool> {
    Ok(!overlaps(&directory.canonicalize()?, &home.canonicalize()?))
}

impl RootPlace {
    fn open(path: &Path) -> io::Result<Arc<Self>> {
        let root = Mutex::new(Root::open(path)?);
        Ok(Arc::new(Self { given: path.to_owned(), root }))
    }
}

impl Files {
    /// Opens these directories.
    ///
    /// # Errors
    /// If one of them is no directory, or may not be read.
    pub fn open(roots: &BTreeMap<String, PathBuf>) -> Result<Self, NoRoot> {
        let open = |(name, path): (&String, &PathBuf)| {
            let hint = "give a directory that you can read";
            Ok((name.clone(), RootPlace::open(path).map_err(|error| no_such(name, path, error, hint))?))
        };
        let given = roots.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { given, installed: RwLock::default(), home: None })
    }

    /// The same, if none of them contains the home of the host or lies in it: what agents write there would be its policy, its store or its keys.
    ///
    /// # Errors
    /// The first one that does.
    pub fn apart_from(self, home: &Path) -> Result<Self, NoRoot> {
        let home = home.canonicalize().or_else(|_| std::path::absolute(home)).unwrap_or_else(|_| home.to_path_buf());
        let over = self.given.iter().find(|(_, place)| overlaps(&place.root.lock().lies_at, &home));
        if let Some((name, place)) = over {
            return Err(no_such(name, &place.given, over_the_home(), "give a directory that has nothing of the home"));
        }
        Ok(Self { home: Some(home), ..self })
    }

    /// From now on the roots of installed agents are these, besides those that were given, which go before. Calls that are under way end in the
    /// directory that they began in. Those that cannot be had are not there: what is wrong with each.
    pub fn take_installed(&self, roots: &BTreeMap<String, PathBuf>) -> Vec<NoRoot> {
        let (mut taken, mut faults) = (BTreeMap::new(), Vec::new());
        let before = self.installed.read().clone();
        for (name, path) in roots.iter().filter(|(name, _)| !self.given.contains_key(*name)) {
            let same = before.get(name).filter(|place| place.given == *path);
            let opened = same.cloned().map_or_else(|| RootPlace::open(path), Ok);
            let over = |place: &Arc<RootPlace>| {
                self.home.as_ref().is_some_and(|home| overlaps(&place.root.lock().lies_at, home))
            };
            match opened {
                Ok(place) if over(&place) => faults.push(no_such(name, path, over_the_home(), ANOTHER)),
                Ok(place) => drop(taken.insert(name.clone(), place)),
                Err(error) => faults.push(no_such(name, path, error, ANOTHER)),
            }
        }
        *self.installed.write() = taken;
        faults
    }

    /// Whether there is such a root.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &str) -> Option<Arc<RootPlace>> {
        self.given.get(name).cloned().or_else(|| self.installed.read().get(name).cloned())
    }

    /// The root of this name, as it lies there now.
    ///
    /// # Errors
    /// `not-found` if the admin gave none; `unavailable` if nothing lies there.
    pub fn find(&self, name: &str) -> Result<Root, Error> {
        let place = self.place(name).ok_or_else(|| Error::NotFound(no_root(name)))?;
        let mut root = place.root.lock();
        // Something may have been mounted over it, or put in its place by whoever deploys.
        if !std::fs::metadata(&place.given).is_ok_and(|there| (there.dev(), there.ino()) == root.id) {
            let gone = |_: io::Error| {
                fault::unavailable(&format!("the directory of root `{name}` is gone"), Some(ROOT_BACK_MS))
            };
            let now = Root::open(&place.given).map_err(gone)?;
            if self.home.as_ref().is_some_and(|home| overlaps(&now.lies_at, home)) {
                return Err(gone(io::Error::other("it leads to the home")));
            }
            *root = now;
        }
        Ok(root.clone())
    }

    /// The root of this name.
    ///
    /// # Errors
    /// As [`Files::find`].
    pub fn root(&self, _: &Permit, name: &str) -> Result<Root, Error> {
        self.find(name)
    }
}

impl Root {
    fn open(path: &Path) -> io::Result<Self> {
        let lies_at = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&lies_at, ambient_authority())?;
        let there = dir.dir_metadata()?;
        Ok(Self { id: (there.dev(), there.ino()), dir: Arc::new(dir), lies_at })
    }

    fn lies_at(&self) -> &Path {
        &self.lies_at
    }

    /// At most `length` bytes from `offset`.
    ///
    /// # Errors
    /// `not-found`; `invalid` if it is no regular file.
    pub fn read(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let (name, path) = (path, self.reach(path)?);
        let failed = |error: io::Error| failed(name, &error);
        let mut options = OpenOptions::new();
        // Not blocking: opening a pipe would wait for a writer otherwise.
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let mut file = self.dir.open_with(&path, &options).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return Err(Error::Invalid("it is not a regular file".to_owned()));
        }
        // Not left to the system, which takes an offset near the largest for a mistake.
        let offset = offset.min(about.len());
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(length.min(FILE_READ_MAX_BYTES)).read_to_end(&mut bytes));
        read.map_err(failed)?;
        Ok(bytes)
    }

    /// Makes the file, or replaces it whole: who reads it meanwhile reads the old one or the new one.
    ///
    /// # Errors
    /// `invalid` if it is a directory; `unavailable` if the disk is full or read-only.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        let (name, path) = (path, self.reach(path)?);
        let failed = |error: io::Error| failed(name, &error);
        if path == Path::new(".") || self.dir.symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(Error::Invalid("it is not a regular file".to_owned()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            self.dir.create_dir_all(folder).map_err(failed)?;
        }
        let number = getrandom::u64().map_err(|_| fault::unavailable("the host has no randomness", None))?;
        let temporary = folder.unwrap_or(Path::new("")).join(format!(".agentry-{number:016x}.tmp"));
        let placed = self.place(&temporary, &path, content);
        if placed.is_err() {
            // What is half-written is not left behind.
            let _ = self.dir.remove_file(&temporary);
        }
        placed.map_err(failed)
    }

    fn place(&self, temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.dir.open_with(temporary, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(content)?;
        file.sync_data()?;
        self.dir.rename(temporary, &self.dir, path)
    }

    /// What is known of a file or a directory.
    ///
    /// # Errors
    /// `not-found`.
    pub fn stat(&self, path: &str) -> Result<FileStat, Error> {
        let place = self.reach(path)?;
        let metadata = self.dir.symlink_metadata(&place).map_err(|error| failed(path, &error))?;
        described(path.to_owned(), &metadata).ok_or_else(|| missing(path))
    }

    /// What a directory holds, by name: files and directories; pipes, devices and links are not there for a guest.
    ///
    /// # Errors
    /// `not-found`; `invalid` if it is no directory, or holds more than a listing may.
    pub fn list(&self, path: &str) -> Result<Vec<FileStat>, Error> {
        self.survey(path).map(|(stats, _)| stats)
    }

    /// The same, and how many entries it leaves out since their names are not UTF-8: `wit/` cannot say these.
    ///
    /// # Errors
    /// As [`Root::list`].
    pub fn survey(&self, path: &str) -> Result<(Vec<FileStat>, usize), Error> {
        let place = self.reach(path)?;
        let (mut stats, mut unsaid) = (Vec::new(), 0);
        for entry in self.dir.read_dir(&place).map_err(|error| failed(path, &error))? {
            let entry = entry.map_err(|error| failed(path, &error))?;
            let Ok(name) = entry.file_name().into_string() else {
                unsaid += 1;
                continue;
            };
            // It may have gone since.
            let Ok(metadata) = entry.metadata() else { continue };
            let whole = if path.is_empty() { name } else { format!("{path}/{name}") };
            if let Some(stat) = described(whole, &metadata) {
                if stats.len() == FILE_LIST_MAX {
                    return Err(Error::Invalid(format!("the directory holds over {FILE_LIST_MAX} names")));
                }
                stats.push(stat);
            }
        }
        stats.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((stats, unsaid))
    }

    /// Removes a file or an empty directory.
    ///
    /// # Errors
    /// `not-found`; `conflict` if the directory is not empty.
    pub fn delete(&self, path: &str) -> Result<(), Error> {
        let (name, path) = (path, self.reach(path)?);
        let failed = |error: io::Error| failed(name, &error);
        if path == Path::new(".") {
            return Err(Error::Invalid("a root is not deleted".to_owned()));
        }
        let there = self.dir.symlink_metadata(&path).map_err(failed)?;
        let removed = if there.is_dir() { self.dir.remove_dir(&path) } else { self.dir.remove_file(&path) };
        removed.map_err(failed)
    }

    /// The path, if no part of it is a link: a link inside a root could lead out of the subtree that policy looked at.
    fn reach(&self, path: &str) -> Result<PathBuf, Error> {
        if path.is_empty() {
            return Ok(PathBuf::from("."));
        }
        let mut place = PathBuf::new();
        let mut there = true;
        for name in path.split('/') {
            if matches!(name, "" | "." | "..") || name.contains('\0') {
                return Err(Error::Invalid("a path has names and `/` between them, and no `.` or `..`".to_owned()));
            }
            place.push(name);
            if !there {
                continue;
            }
            match self.dir.symlink_metadata(&place) {
                Ok(metadata) if metadata.is_symlink() => {
                    return Err(Error::Invalid("it is a symbolic link, and links are not followed".to_owned()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => there = false,
                Err(error) => return Err(failed(path, &error)),
            }
        }
        Ok(place)
    }
}

/// What a guest is told of a root for which the admin gave no directory.
fn no_root(name: &str) -> String {
    format!("this host has no root `{name}`")
}

/// The root of which a guest was told so, for whoever tells a person what to do about it.
pub fn not_given(told: &str) -> Option<&str> {
    let name = told.split('`').nth(1)?;
    (no_root(name) == told).then_some(name)
}

/// Whether one of them lies in the other; both are absolute and without links.
fn overlaps(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// None for what is neither a file nor a directory.
fn described(path: String, metadata: &Metadata) -> Option<FileStat> {
    let directory = metadata.is_dir();
    if !directory && !metadata.is_file() {
        return None;
    }
    let modified = metadata.modified().ok().and_then(|at| at.into_std().duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Some(FileStat { path, size: if directory { 0 } else { metadata.len() }, directory, modified_ms })
}

/// What a guest is told where nothing is.
fn missing(path: &str) -> Error {
    Error::NotFound(format!("there is no file `{path}`"))
}

/// Why nothing came of what the guest calls `path`. The system's words may hold a path of the host, so they are not passed on.
fn failed(path: &str, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;

    match error.kind() {
        Kind::NotFound => missing(path),
        Kind::PermissionDenied => fault::unavailable("the host's system does not permit it", None),
        Kind::ReadOnlyFilesystem => fault::unavailable("the host's disk is read-only", None),
        Kind::StorageFull | Kind::QuotaExceeded => fault::unavailable("the host's disk is full", Some(10_000)),
        Kind::DirectoryNotEmpty => Error::Conflict("the directory is not empty".to_owned()),
        Kind::IsADirectory => Error::Invalid("it is a directory".to_owned()),
        Kind::NotADirectory => Error::Invalid("a part of the path is not a directory".to_owned()),
        Kind::InvalidFilename => Error::Invalid("a name is too long".to_owned()),
        Kind::AlreadyExists => Error::Conflict("there is something of this name".to_owned()),
        _ => fault::unavailable("the host's disk does not answer", Some(1000)),
    }
}

#[cfg(test)]
mod tests;
