//! Puts a home back: beside its place first, then proven row by row, and only then under its name. Whatever it is stopped by, there is a whole home or none.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use agentry_kernel::time::Millis;
use agentry_store::{Batch, Range, RedbStore, Store, StoreError, StoreReader, scan_all};

use super::generation::{Generation, create, numbers, sync};
use super::pack::digest_of;
use super::rows::{FILES, Rows, STORE};
use super::take::{proven, taken_at};
use super::{BackupError, files};
use crate::audit::Audit;

/// Rows of one transaction.
const STEP_BYTES: usize = 8 * 1024 * 1024;

/// A stream, as it came.
const SPOOL: &str = "stream.pack";

/// Where a backup is.
pub enum Source {
    /// A directory of generations.
    Directory(PathBuf),
    /// A stream, to its end.
    Stream {
        /// What people call it.
        name: String,
        /// What it says.
        bytes: Box<dyn Read>,
    },
}

/// Which generation of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The last one.
    Newest,
    /// That of this number.
    Generation(u64),
    /// The last one that was taken by then.
    At(Millis),
}

/// A home that was put back.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The generation; none of a stream.
    pub generation: Option<u64>,
    /// The moment that it is of.
    pub at: Option<Millis>,
    /// Rows of its store.
    pub rows: u64,
    /// Files beside it.
    pub files: u64,
    /// What was proven of its log.
    pub audit: Audit,
}

/// Puts a home back at a place where nothing is. It waits for the disk where it is called, inside of a runtime.
///
/// # Errors
/// Why not; then nothing is there.
pub fn restore(source: Source, which: Which, to: &Path) -> Result<Restored, BackupError> {
    let io = |why| BackupError::io(to, why);
    let to = std::path::absolute(to).map_err(io)?;
    is_empty(&to)?;
    let (Some(parent), Some(name)) = (to.parent(), to.file_name().and_then(|name| name.to_str())) else {
        return Err(BackupError::NotEmpty { place: to.display().to_string() });
    };
    fs::create_dir_all(parent).map_err(io)?;
    let beside = parent.join(format!(".{name}.restoring"));
    let locked = parent.join(format!(".{name}.restoring.lock"));
    let alone = lock(&locked, &to)?;
    let stream = match &source {
        Source::Stream { name, .. } => Some(name.clone()),
        Source::Directory(_) => None,
    };
    let made = made(source, which, &beside).map_err(|why| as_given(why, &beside, stream, &to));
    let restored = made.and_then(|restored| {
        is_empty(&to)?;
        sync(&beside).map_err(io)?;
        fs::rename(&beside, &to).map_err(io)?;
        sync(parent).map_err(io)?;
        Ok(restored)
    });
    // What stays is removed by the next one.
    let _ = fs::remove_dir_all(&beside);
    let _ = fs::remove_file(&locked);
    drop(alone);
    restored
}

/// The same, of what was given: what was in the making is gone when somebody reads this.
fn as_given(why: BackupError, beside: &Path, stream: Option<String>, to: &Path) -> BackupError {
    let (spool, beside) = (beside.join(SPOOL).display().to_string(), beside.display().to_string());
    match (why, stream) {
        (BackupError::Damaged { file, why }, Some(stream)) if file == spool => BackupError::Torn { stream, why },
        (BackupError::Newer { file, found, known }, Some(stream)) if file == spool => {
            BackupError::Newer { file: stream, found, known }
        }
        (BackupError::Damaged { file, why }, _) if file == beside => {
            BackupError::Damaged { file: to.display().to_string(), why }
        }
        (why, _) => why,
    }
}

fn is_empty(place: &Path) -> Result<(), BackupError> {
    let mut entries = match fs::read_dir(place) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => {
            return Err(BackupError::NotEmpty { place: place.display().to_string() });
        }
        entries => entries.map_err(|why| BackupError::io(place, why))?,
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmpty { place: place.display().to_string() }),
    }
}

fn lock(path: &Path, to: &Path) -> Result<File, BackupError> {
    let lock = create(path).map_err(|why| BackupError::io(to, why))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(BackupError::InUse { place: to.display().to_string() }),
        Err(TryLockError::Error(why)) => Err(BackupError::io(to, why)),
    }
}

/// Makes the home beside its place, and proves it.
fn made(source: Source, which: Which, home: &Path) -> Result<Restored, BackupError> {
    let io = |why| BackupError::io(home, why);
    if let Err(why) = fs::remove_dir_all(home)
        && why.kind() != io::ErrorKind::NotFound
    {
        return Err(io(why));
    }
    DirBuilder::new().mode(0o700).create(home).map_err(io)?;
    let spool = home.join(SPOOL);
    let (generation, at, rows) = match source {
        Source::Directory(directory) => {
            let chosen = chosen(&directory, which)?;
            let (rows, digests) = Rows::read(chosen.paths(&directory))?;
            chosen.proves(&directory, &digests)?;
            (Some(chosen.generation), Some(chosen.at), rows)
        }
        Source::Stream { mut bytes, .. } => {
            let mut file = create(&spool).map_err(io)?;
            io::copy(&mut bytes, &mut file).map_err(io)?;
            let (rows, _) = Rows::read([spool.clone()])?;
            (None, taken_at(&rows), rows)
        }
    };
    let mut files = 0;
    for (name, place) in rows.area(FILES) {
        files += u64::from(files::put_back(home, name, &rows.value(place)?)?);
    }
    fill(home, &rows)?;
    let (stored, audit) = prove(home, &rows)?;
    // The first may not be there; the other only told of this process.
    let _ = fs::remove_file(&spool);
    let _ = fs::remove_file(home.join("store.pid"));
    Ok(Restored { generation, at, rows: stored, files, audit })
}

fn chosen(directory: &Path, which: Which) -> Result<Generation, BackupError> {
    let place = || directory.display().to_string();
    let all = numbers(directory)?;
    let Some(&last) = all.last() else { return Err(BackupError::None { place: place() }) };
    match which {
        Which::Newest => Generation::read(directory, last),
        Which::Generation(number) if all.contains(&number) => Generation::read(directory, number),
        Which::Generation(number) => {
            Err(BackupError::NoGeneration { place: place(), wanted: format!("has the number {number}") })
        }
        Which::At(at) => {
            for number in all.into_iter().rev() {
                let generation = Generation::read(directory, number)?;
                if generation.at <= at {
                    return Ok(generation);
                }
            }
            Err(BackupError::NoGeneration { place: place(), wanted: "was taken by then".to_owned() })
        }
    }
}

/// Writes the rows into a store of their own.
fn fill(home: &Path, rows: &Rows) -> Result<(), BackupError> {
    let store = RedbStore::open(home)?;
    let commit = |batch| tokio::runtime::Handle::current().block_on(store.commit(batch));
    let (mut batch, mut bytes) = (Batch::default(), 0);
    for (key, place) in rows.area(STORE) {
        let value = rows.value(place)?;
        bytes += key.len() + value.len();
        batch.put(key.to_vec(), value);
        if bytes >= STEP_BYTES {
            commit(std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    commit(batch)?;
    Ok(())
}

/// Whether the store has these rows and no others, and its log is as it was written.
fn prove(home: &Path, rows: &Rows) -> Result<(u64, Audit), BackupError> {
    let store = StoreReader::open(home)?.ok_or(StoreError::Closed)?;
    let (mut wanted, mut stored) = (rows.area(STORE), 0);
    for row in scan_all(&store, Range::of(b"")) {
        let (key, value) = row?;
        stored += 1;
        let fits = wanted.next().is_some_and(|(name, place)| name == key && place.has(&digest_of(&value), value.len()));
        if !fits {
            return Err(differs(home));
        }
    }
    if wanted.next().is_some() {
        return Err(differs(home));
    }
    Ok((stored, proven(&store)?))
}

fn differs(home: &Path) -> BackupError {
    let why = "what was put back is not what the backup has".to_owned();
    BackupError::Damaged { file: home.display().to_string(), why }
}
