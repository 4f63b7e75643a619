//! Takes a backup: reads one moment of a store and the files beside it, writes what is new, reads it back and proves it. The store goes on meanwhile.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use agentry_kernel::time::Millis;
use agentry_store::{Page, Range, Store, StoreError};
use serde::Serialize;

use super::generation::{self, Facts, GENERATIONS_MAX, Generation, LOCK, Pack, Reached, create, fresh};
use super::pack::{Name, PackWriter, digest_of};
use super::rows::{FILES, Place, Rows, STORE};
use super::{BackupError, files};
use crate::Tip;
use crate::audit::{self, Audit};

/// Rows that are read at once.
const PAGE: Page = Page { rows: 4096, bytes: 4 * 1024 * 1024 };

/// What is written at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// What a pack says of itself: the first thing in it.
const ABOUT: &[u8] = b"!";

/// A backup that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What stands in its list; none if it is a stream.
    pub generation: Option<Generation>,
    /// Rows and files that were written.
    pub new: u64,
    /// Bytes that were.
    pub new_bytes: u64,
    /// What was proven of its log.
    pub audit: Audit,
}

/// Takes one more generation of a home into a directory. `store` does not change meanwhile: it is a view of one moment.
///
/// # Errors
/// Why not; then nothing of it is kept, and the generations before it are whole.
pub fn take(home: &Path, store: &dyn Store, directory: &Path, at: Millis) -> Result<Taken, BackupError> {
    let io = |why| BackupError::io(directory, why);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
    if generation::numbers(directory)?.is_empty() && generation::has_others(directory)? {
        return Err(BackupError::Foreign { place: directory.display().to_string() });
    }
    let _alone = lock(directory)?;
    let (before, number) = match generation::numbers(directory)?.last() {
        None => (None, 1),
        Some(&last) if last >= GENERATIONS_MAX => {
            return Err(io(io::Error::other(format!("it has {GENERATIONS_MAX} generations: begin another one"))));
        }
        Some(&last) => (Some(Generation::read(directory, last)?), last + 1),
    };
    generation::sweep(directory);
    let mut packs = before.as_ref().map(|before| before.packs.clone()).unwrap_or_default();
    let earlier = match &before {
        None => Rows::default(),
        Some(before) => {
            let (rows, digests) = Rows::read(before.paths(directory))?;
            before.proves(directory, &digests)?;
            rows
        }
    };
    let path = Pack { number, bytes: 0, sha256: String::new() }.path(directory);
    let made = written(home, store, (directory, &path), &earlier, at);
    let kept = made.and_then(|(written, new)| {
        let (rows, read) = earlier.over(path.clone())?;
        let pack = Pack::of(number, written.1, &written.0);
        if !pack.is(&read) {
            let why = "what was written is not what is read back".to_owned();
            return Err(BackupError::Damaged { file: path.display().to_string(), why });
        }
        let audit = proven(&rows)?;
        packs.push(pack);
        let generation = Generation::new(packs, facts(&rows, at)?);
        generation.write(directory)?;
        Ok(Taken { generation: Some(generation), new, new_bytes: written.1, audit })
    });
    if kept.is_err() {
        // No list names it; what cannot be removed is written over by the next one.
        generation::remove(directory, number);
        let _ = fs::remove_file(&path);
        generation::sweep(directory);
    }
    kept
}

/// Writes a whole backup as one stream. Its log is proven before.
///
/// # Errors
/// Why not; what was written then is no backup, and nobody takes it for one.
pub fn take_as_stream(home: &Path, store: &dyn Store, out: impl Write, at: Millis) -> Result<Taken, BackupError> {
    let audit = proven(store)?;
    let io = |why| BackupError::io("the stream", why);
    let mut writer = PackWriter::begin(BufWriter::with_capacity(BUFFER_BYTES, out)).map_err(io)?;
    each(home, store, &Rows::default(), at, &mut writer, &io)?;
    let new = writer.entries();
    let (_, new_bytes, _) = writer.end().map_err(io)?;
    Ok(Taken { generation: None, new, new_bytes, audit })
}

/// Nobody else writes into the directory until this is dropped.
fn lock(directory: &Path) -> Result<File, BackupError> {
    let lock = create(&directory.join(LOCK)).map_err(|why| BackupError::io(directory, why))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(BackupError::InUse { place: directory.display().to_string() }),
        Err(TryLockError::Error(why)) => Err(BackupError::io(directory, why)),
    }
}

/// Writes the pack of what is new; its digest, its length, and how much is in it.
fn written(
    home: &Path,
    store: &dyn Store,
    (directory, path): (&Path, &Path),
    earlier: &Rows,
    at: Millis,
) -> Result<((Name, u64), u64), BackupError> {
    let io = |why| BackupError::io(directory, why);
    let fresh = fresh(path);
    let file = create(&fresh).map_err(io)?;
    let mut writer = PackWriter::begin(BufWriter::with_capacity(BUFFER_BYTES, file)).map_err(io)?;
    each(home, store, earlier, at, &mut writer, &io)?;
    let new = writer.entries();
    let (digest, bytes, out) = writer.end().map_err(io)?;
    out.into_inner().map_err(|error| io(error.into_error()))?.sync_all().map_err(io)?;
    fs::rename(&fresh, path).map_err(io)?;
    generation::sync(directory).map_err(io)?;
    Ok(((digest, bytes), new))
}

/// Writes what differs from what was there earlier, in the order of names.
fn each<W: Write>(
    home: &Path,
    store: &dyn Store,
    earlier: &Rows,
    at: Millis,
    writer: &mut PackWriter<W>,
    io: &impl Fn(io::Error) -> BackupError,
) -> Result<(), BackupError> {
    #[derive(Serialize)]
    struct About {
        at: Millis,
        agentry: &'static str,
    }
    let about = About { at, agentry: env!("CARGO_PKG_VERSION") };
    let about = serde_json::to_vec(&about).expect("it is plain data");
    let mut merge = Merge { earlier: earlier.all().peekable(), writer, io };
    merge.put(ABOUT, &about)?;
    for (name, path) in files::of(home)? {
        if let Some(bytes) = files::read(&path)? {
            merge.put(&[&[FILES], name.as_bytes()].concat(), &bytes)?;
        }
    }
    let mut rest = Some(Range::of(b""));
    while let Some(range) = rest {
        let rows = store.scan(&range, PAGE)?;
        rest = rows.last().map(|(last, _)| range.after(last));
        for (key, value) in rows {
            merge.put(&[&[STORE], key.as_slice()].concat(), &value)?;
        }
    }
    merge.end()
}

/// What is there now beside what was there earlier, both in the order of names.
struct Merge<'a, W, E: Iterator, F> {
    earlier: std::iter::Peekable<E>,
    writer: &'a mut PackWriter<W>,
    io: &'a F,
}

impl<'r, W: Write, E: Iterator<Item = (&'r [u8], &'r Place)>, F: Fn(io::Error) -> BackupError> Merge<'_, W, E, F> {
    fn put(&mut self, name: &[u8], value: &[u8]) -> Result<(), BackupError> {
        while let Some((gone, _)) = self.earlier.next_if(|(earlier, _)| *earlier < name) {
            self.writer.gone(gone).map_err(self.io)?;
        }
        let digest = digest_of(value);
        let same = self.earlier.next_if(|(earlier, _)| *earlier == name);
        if same.is_some_and(|(_, place)| place.has(&digest, value.len())) {
            return Ok(());
        }
        self.writer.put(name, value, &digest).map_err(self.io)
    }

    fn end(&mut self) -> Result<(), BackupError> {
        for (gone, _) in self.earlier.by_ref() {
            self.writer.gone(gone).map_err(self.io)?;
        }
        Ok(())
    }
}

/// What an audit finds of this store, if all of it is as it was written.
pub(super) fn proven(store: &dyn Store) -> Result<Audit, BackupError> {
    let audit = audit::verify(store, &[])?;
    match audit.broken {
        Some(broken) => Err(BackupError::Broken { broken: Box::new(broken) }),
        None => Ok(audit),
    }
}

fn facts(rows: &Rows, at: Millis) -> Result<Facts, StoreError> {
    let bytes = rows.all().map(|(name, place)| name.len() as u64 + place.bytes()).sum();
    let mut heads = std::collections::BTreeMap::new();
    for host in audit::hosts(rows)? {
        if let Some(Tip { next, head }) = Tip::read(rows, host)? {
            heads.insert(host, Reached { segments: next.number, head: head.to_string() });
        }
    }
    let (stored, files) = (rows.area(STORE).count() as u64, rows.area(FILES).count() as u64);
    Ok(Facts { at, rows: stored, files, bytes, heads })
}

/// When a pack says that it was taken.
pub(super) fn taken_at(rows: &Rows) -> Option<Millis> {
    #[derive(serde::Deserialize)]
    struct About {
        at: Millis,
    }
    let (_, place) = rows.all().find(|(name, _)| *name == ABOUT)?;
    let about: About = serde_json::from_slice(&rows.value(place).ok()?).ok()?;
    Some(about.at)
}
