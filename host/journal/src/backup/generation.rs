//! A generation's list: when it was taken, of which packs it is, and how far the log went. A list ends with its own digest, so that one that was changed
//! is no list.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use agentry_store::ids::HostId;
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::pack::{Name, digest_of};

/// The version of a list.
const FORMAT: u64 = 1;

/// A list of ten thousand packs takes a megabyte.
const LIST_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How many generations one directory has: each is a pack that every later one reads.
pub(super) const GENERATIONS_MAX: u64 = 10_000;

/// What a directory of backups has of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    format: u64,
    /// From 1.
    pub generation: u64,
    /// When it was taken.
    pub at: Millis,
    /// The version of the program that took it.
    pub agentry: String,
    /// Its packs, the first one first.
    pub(super) packs: Vec<Pack>,
    /// Rows of the store.
    pub rows: u64,
    /// Files of the home.
    pub files: u64,
    /// What these rows and files take.
    pub bytes: u64,
    /// What was written for this generation.
    pub new_bytes: u64,
    /// How far the log of each host went, and its last head.
    pub heads: BTreeMap<HostId, Reached>,
}

/// A pack of a generation, by the generation that it was written for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pack {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// How far a log went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Its segments.
    pub segments: u64,
    /// The head of the last one.
    pub head: String,
}

impl Pack {
    pub(super) fn of(number: u64, bytes: u64, digest: &Name) -> Self {
        Self { number, bytes, sha256: Digest(*digest).to_string() }
    }

    /// Whether a pack of this digest is the one that is meant.
    pub(super) fn is(&self, digest: &Name) -> bool {
        self.sha256 == Digest(*digest).to_string()
    }

    pub(super) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{:06}.pack", self.number))
    }
}

/// What a list says of a moment that is not yet one of a directory.
pub(super) struct Facts {
    pub(super) at: Millis,
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) heads: BTreeMap<HostId, Reached>,
}

impl Generation {
    pub(super) fn new(packs: Vec<Pack>, facts: Facts) -> Self {
        let Facts { at, rows, files, bytes, heads } = facts;
        let last = packs.last().map_or((0, 0), |pack| (pack.number, pack.bytes));
        let agentry = env!("CARGO_PKG_VERSION").to_owned();
        let (generation, new_bytes) = last;
        Self { format: FORMAT, generation, at, agentry, packs, rows, files, bytes, new_bytes, heads }
    }

    /// That of this number.
    pub(super) fn read(directory: &Path, number: u64) -> Result<Self, BackupError> {
        let path = path(directory, number);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(LIST_MAX_BYTES).read_to_string(&mut text));
        read.map_err(|why| match why.kind() {
            io::ErrorKind::InvalidData => damaged(&path, "it is no text"),
            _ => BackupError::io(&path, why),
        })?;
        let mut lines = text.lines();
        let (list, digest) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if Digest(digest_of(list.as_bytes())).to_string() != digest || lines.next().is_some() {
            return Err(damaged(&path, "its digest does not fit"));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let Version { format } =
            serde_json::from_str(list).map_err(|_| damaged(&path, "it does not say its format"))?;
        if format > FORMAT {
            let file = path.display().to_string();
            return Err(BackupError::Newer { file, found: format, known: FORMAT });
        }
        let list: Self = serde_json::from_str(list).map_err(|error| damaged(&path, &error.to_string()))?;
        if list.generation != number || list.packs.is_empty() {
            return Err(damaged(&path, "it is the list of another generation"));
        }
        Ok(list)
    }

    /// Its packs in this directory.
    pub(super) fn paths(&self, directory: &Path) -> Vec<PathBuf> {
        self.packs.iter().map(|pack| pack.path(directory)).collect()
    }

    /// Whether what was read are its packs.
    pub(super) fn proves(&self, directory: &Path, digests: &[Name]) -> Result<(), BackupError> {
        for (pack, digest) in self.packs.iter().zip(digests) {
            if !pack.is(digest) {
                return Err(damaged(&pack.path(directory), "it is another pack than its list says"));
            }
        }
        Ok(())
    }

    /// Writes it: whole, or not at all.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BackupError> {
        let path = path(directory, self.generation);
        let list = serde_json::to_string(self).expect("it is plain data");
        let text = format!("{list}\n{}\n", Digest(digest_of(list.as_bytes())));
        let fresh = fresh(&path);
        let io = |why| BackupError::io(directory, why);
        let mut file = create(&fresh).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&fresh, &path).map_err(io)?;
        sync(directory).map_err(io)
    }
}

/// Where a file is written before it has its name.
pub(super) fn fresh(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(NEW);
    path.with_file_name(name)
}

const NEW: &str = ".new";

/// Held by whoever writes into a directory.
pub(super) const LOCK: &str = "lock";

/// Makes a file for its user alone; one that a killed backup left is written over.
pub(super) fn create(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Puts the names of a directory on the disk.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes what killed backups left. Nobody else writes here now.
pub(super) fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().ends_with(NEW.as_bytes()) {
            // What stays is written over by the next one.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether something lies there that no backup left.
pub(super) fn has_others(directory: &Path) -> Result<bool, BackupError> {
    let mut entries = fs::read_dir(directory).map_err(|why| BackupError::io(directory, why))?;
    Ok(entries.any(|entry| {
        let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
        let name = name.as_encoded_bytes();
        name != LOCK.as_bytes() && !name.ends_with(b".pack") && !name.ends_with(NEW.as_bytes())
    }))
}

/// Takes back a list that may stand there without being on the disk.
pub(super) fn remove(directory: &Path, number: u64) {
    let _ = fs::remove_file(path(directory, number));
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:06}.json"))
}

/// The numbers of the generations of a directory, in order; none where there is no directory.
pub(super) fn numbers(directory: &Path) -> Result<Vec<u64>, BackupError> {
    let entries = match fs::read_dir(directory) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|why| BackupError::io(directory, why))?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(|why| BackupError::io(directory, why))?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|name| name.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A generation by its number; or why it cannot be used.
pub type ListedGeneration = (u64, Result<Generation, BackupError>);

/// The generations in a directory by their numbers, the oldest first; of one that is not as it was written, why. It hides none of the others.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(directory: &Path) -> Result<Vec<ListedGeneration>, BackupError> {
    Ok(numbers(directory)?.into_iter().map(|number| (number, Generation::read(directory, number))).collect())
}

fn damaged(path: &Path, why: &str) -> BackupError {
    BackupError::Damaged { file: path.display().to_string(), why: why.to_owned() }
}
