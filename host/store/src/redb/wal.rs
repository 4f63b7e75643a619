//! The write-ahead log of a store, in a file beside it: what a commit writes is durable here after one write at one place, and comes into the
//! store's own file with that of many others, at a checkpoint. It knows keys and values, and decides nothing.
//!
//! **Which records hold.** Each carries a sum over a seed, its place and its body. The seed is a random number that stands in the store's own file:
//! the checkpoint that takes all records over replaces it in the same transaction, so that none of them holds any more. The next ones are
//! written over them, from the beginning of the file. What stands behind the last one that holds was never answered: it was being written when
//! the host or the machine died, or is of an earlier seed. No guest knows a seed, so nothing that it writes can pass for a record.
//!
//! **Room.** The file has its full length before the first record: a disk that is full later stops no commit that fits in, and the system writes
//! a record without changing what it knows of the file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{StoreError, Write};

/// What the file begins with: what it is, and the version of its records.
const HEAD: &[u8; HEAD_BYTES] = b"agentry wal 1\n\0\0";
const HEAD_BYTES: usize = 16;
/// The head without its version.
const HEAD_NAME: &[u8] = b"agentry wal ";

/// The length of the file: some hundreds of commits, and as much is read back at the next start. Between two checkpoints everything waits
/// in memory that was written.
const FILE_BYTES: usize = 1024 * 1024;
/// A commit of more is cheaper in the store's own file: there it is written once.
pub(super) const BODY_MAX_BYTES: usize = 128 * 1024;

/// The sum of a record and the length of its body stand before the body.
const PREFIX_BYTES: usize = size_of::<Sum>() + size_of::<u32>();

type Sum = [u8; 32];

/// What records hold by, from one checkpoint to the next.
pub(super) type Seed = [u8; 32];

/// A new one.
pub(super) fn seed() -> Result<Seed, StoreError> {
    let mut seed = Seed::default();
    getrandom::fill(&mut seed).map_err(|error| StoreError::Io { why: error.to_string() })?;
    Ok(seed)
}

/// What one commit writes, as it is written down.
#[derive(Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// Also this.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        // One that is too long is not kept: it is never appended.
        if self.0.len() > BODY_MAX_BYTES {
            return;
        }
        let before = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(&(key, value), before).expect("it is plain data, and memory grows");
    }

    /// Whether nothing is written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a record can hold it.
    fn fits(&self) -> bool {
        self.0.len() <= BODY_MAX_BYTES
    }
}

/// What stands at a place of the file.
struct Record {
    body: Vec<u8>,
    holds: bool,
}

/// The log of a store that this process has for itself.
pub(super) struct WriteAheadLog {
    path: PathBuf,
    /// None until the first record.
    file: Option<File>,
    seed: Seed,
    /// Where the next record stands.
    at: usize,
    /// A record could not be written, so that nobody knows what stands at its place: only a checkpoint helps.
    broken: bool,
}

impl WriteAheadLog {
    /// The log beside the store of this file, and what its records write, in order.
    pub(super) fn open(store: &Path, seed: Seed) -> Result<(Self, Vec<Write>), StoreError> {
        let path = store.with_extension("wal");
        let mut log = Self { file: found(&path)?, path, seed, at: HEAD_BYTES, broken: false };
        let mut writes = Vec::new();
        while let Some(Record { body, holds: true }) = log.record(log.at)? {
            writes.extend(parse(&body).ok_or_else(|| damaged(&log.path))?);
            log.at += PREFIX_BYTES + body.len();
        }
        // A record is written when the one before it is on disk: if it holds, so did that one.
        let lost = match log.record(log.at)? {
            Some(Record { body, .. }) => {
                log.record(log.at + PREFIX_BYTES + body.len())?.is_some_and(|behind| behind.holds)
            }
            None => false,
        };
        if lost { Err(damaged(&log.path)) } else { Ok((log, writes)) }
    }

    /// Whether this can be appended now; if not, a checkpoint has to be made.
    pub(super) fn takes(&self, body: &Body) -> bool {
        !self.broken && body.fits() && self.at + PREFIX_BYTES + body.0.len() <= FILE_BYTES
    }

    /// Writes a record, and waits until it is on disk.
    pub(super) fn append(&mut self, body: &Body) -> io::Result<()> {
        let appended = self.write(&body.0);
        self.broken |= appended.is_err();
        appended
    }

    /// Whether all of it is in the store's own file.
    pub(super) fn is_empty(&self) -> bool {
        self.at == HEAD_BYTES && !self.broken
    }

    /// Everything in it is in the store's own file, with this seed.
    pub(super) fn restart(&mut self, seed: Seed) {
        (self.seed, self.at, self.broken) = (seed, HEAD_BYTES, false);
        // An earlier file of the store, should somebody put it back, is what it is: no record is to carry it on. None holds here in any case.
        let _ = self.file.as_ref().map(|file| file.write_all_at(&[0; PREFIX_BYTES], HEAD_BYTES as u64));
    }

    /// Of a copy of the store: the file stays as it is, for the store itself.
    pub(super) fn of_copy(self) -> Self {
        Self { file: None, ..self }
    }

    fn write(&mut self, body: &[u8]) -> io::Result<()> {
        let sum = self.sum(self.at, body);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(make(&self.path)?),
        };
        let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
        file.write_all_at(&[&sum, length.as_slice(), body].concat(), self.at as u64)?;
        file.sync_data()?;
        self.at += PREFIX_BYTES + body.len();
        Ok(())
    }

    /// What stands at this place, if it can be a record.
    fn record(&self, at: usize) -> Result<Option<Record>, StoreError> {
        let Some(file) = self.file.as_ref().filter(|_| at + PREFIX_BYTES <= FILE_BYTES) else { return Ok(None) };
        let read = |bytes: &mut [u8], at: usize| {
            file.read_exact_at(bytes, at as u64).map_err(|error| unread(&self.path, &error))
        };
        let (mut sum, mut length) = (Sum::default(), [0; size_of::<u32>()]);
        read(&mut sum, at)?;
        read(&mut length, at + sum.len())?;
        let length = u32::from_le_bytes(length) as usize;
        if length > BODY_MAX_BYTES || at + PREFIX_BYTES + length > FILE_BYTES {
            return Ok(None);
        }
        let mut body = vec![0; length];
        read(&mut body, at + PREFIX_BYTES)?;
        let holds = self.sum(at, &body) == sum;
        Ok(Some(Record { body, holds }))
    }

    fn sum(&self, at: usize, body: &[u8]) -> Sum {
        let place = (at as u64).to_le_bytes();
        Sha256::new().chain_update(self.seed).chain_update(place).chain_update(body).finalize().into()
    }
}

fn parse(mut body: &[u8]) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    while !body.is_empty() {
        let (write, rest) = postcard::take_from_bytes(body).ok()?;
        writes.push(write);
        body = rest;
    }
    Some(writes)
}

/// The file; none if it is not there or was never whole.
fn found(path: &Path) -> Result<Option<File>, StoreError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = |writes| OpenOptions::new().read(true).write(writes).custom_flags(flags).open(path);
    let opened = opened(true).or_else(|error| match error.kind() {
        // Who only reads the store, where nobody can write it.
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => opened(false),
        _ => Err(error),
    });
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(path, &error)),
    };
    let metadata = file.metadata().map_err(|error| unread(path, &error))?;
    if !metadata.is_file() {
        return Err(unread(path, &io::Error::other("it is not a file")));
    }
    // One that was being made when the host or the machine died has no head: that is written last.
    let mut head = [0; HEAD_BYTES];
    if metadata.len() < FILE_BYTES as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut head, 0).map_err(|error| unread(path, &error))?;
    if head == [0; HEAD_BYTES] {
        return Ok(None);
    }
    match head.strip_prefix(HEAD_NAME) {
        Some(_) if head == *HEAD => Ok(Some(file)),
        Some([found @ b'2'..=b'9', ..]) => {
            Err(StoreError::Newer { path: path.display().to_string(), found: found - b'0', known: 1 })
        }
        _ => Err(damaged(path)),
    }
}

/// Makes the file, of its full length. Its mode keeps it to this user, as that of the store.
fn make(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&vec![0; FILE_BYTES])?;
    file.sync_all()?;
    file.write_all_at(HEAD, 0)?;
    file.sync_data()?;
    // That it is there has to last as well.
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

fn unread(path: &Path, error: &io::Error) -> StoreError {
    StoreError::NotOpened { path: path.display().to_string(), why: error.to_string() }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged { why: format!("{} is not what was written to it", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SEED: Seed = [7; 32];

    fn body(text: &str) -> Body {
        let mut body = Body::default();
        body.put(text.as_bytes(), Some(text.as_bytes()));
        body
    }

    fn open(store: &Path, seed: Seed) -> (WriteAheadLog, Vec<String>) {
        let (log, writes) = WriteAheadLog::open(store, seed).unwrap();
        (log, writes.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect())
    }

    /// A log of these records, and where its store would lie.
    fn log_of(texts: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("store.redb");
        let (mut log, _) = open(&store, SEED);
        texts.iter().for_each(|text| log.append(&body(text)).unwrap());
        (home, store)
    }

    #[test]
    fn what_was_appended_is_read_in_order_and_gone_on_with() {
        let (_home, store) = log_of(&["one", "two"]);
        let (mut log, writes) = open(&store, SEED);
        assert_eq!(writes, ["one", "two"]);
        let mut removes = Body::default();
        removes.put(b"one", None);
        log.append(&removes).unwrap();
        let (_, writes) = WriteAheadLog::open(&store, SEED).unwrap();
        assert_eq!(writes.last(), Some(&(b"one".to_vec(), None)));
    }

    #[test]
    fn a_log_of_this_version_stays_readable() {
        let (_home, store) = log_of(&["one"]);
        let hex: String =
            fs::read(store.with_extension("wal")).unwrap()[..64].iter().map(|byte| format!("{byte:02x}")).collect();
        expect_test::expect!["6167656e7472792077616c20310a0000f98f1bc9519e42710506b4c8eded9eb90364e37c49c4c7280fd2d3f43879a97809000000036f6e6501036f6e65000000"].assert_eq(&hex);
    }

    #[test]
    fn nothing_holds_by_another_seed_however_the_records_lie() {
        let (_home, store) = log_of(&["one", "two", "six"]);
        let (mut log, writes) = open(&store, [8; 32]);
        assert!(writes.is_empty());
        // Of the same length, so that the older ones stand where one of its own could.
        log.append(&body("new")).unwrap();
        assert_eq!(open(&store, [8; 32]).1, ["new"]);
        log.restart([9; 32]);
        assert!(open(&store, [8; 32]).1.is_empty(), "a store of before this restart is not carried on");
        log.append(&body("newer")).unwrap();
        assert_eq!(open(&store, [9; 32]).1, ["newer"]);
    }

    #[test]
    fn whatever_is_left_of_the_last_record_it_ends_before_it_or_behind_it() {
        let (_home, store) = log_of(&["one", "two"]);
        let file = store.with_extension("wal");
        let whole = fs::read(&file).unwrap();
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let begins = HEAD_BYTES + (end - HEAD_BYTES) / 2;
        for cut in begins..end {
            let mut torn = whole.clone();
            torn[cut..end].fill(0);
            fs::write(&file, &torn).unwrap();
            let (mut log, writes) = open(&store, SEED);
            assert_eq!(writes, ["one"], "cut at {cut} of {end}");
            log.append(&body("other")).unwrap();
            assert_eq!(open(&store, SEED).1, ["one", "other"]);
        }
    }

    #[test]
    fn a_byte_that_changed_in_front_of_the_last_record_is_damage_and_not_its_end() {
        let (_home, store) = log_of(&["one", "two"]);
        let file = store.with_extension("wal");
        let whole = fs::read(&file).unwrap();
        for at in [HEAD_BYTES, HEAD_BYTES + PREFIX_BYTES + 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            assert!(matches!(WriteAheadLog::open(&store, SEED), Err(StoreError::Damaged { .. })), "{at}");
        }
        fs::write(&file, [b"agentry wal 2\n\0\0".as_slice(), &whole[HEAD_BYTES..]].concat()).unwrap();
        assert!(matches!(WriteAheadLog::open(&store, SEED), Err(StoreError::Newer { found: 2, .. })));
        fs::write(&file, vec![b'x'; FILE_BYTES]).unwrap();
        assert!(matches!(WriteAheadLog::open(&store, SEED), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_file_that_was_never_whole_is_made_anew_and_nothing_else_is_taken_for_one() {
        let (home, store) = log_of(&[]);
        for begun in [Vec::new(), vec![0; 100], vec![0; FILE_BYTES]] {
            fs::write(store.with_extension("wal"), begun).unwrap();
            let (mut log, writes) = open(&store, SEED);
            assert!(writes.is_empty());
            log.append(&body("one")).unwrap();
            assert_eq!(open(&store, SEED).1, ["one"]);
        }
        fs::remove_file(store.with_extension("wal")).unwrap();
        std::os::unix::fs::symlink(home.path().join("elsewhere"), store.with_extension("wal")).unwrap();
        assert!(matches!(WriteAheadLog::open(&store, SEED), Err(StoreError::NotOpened { .. })));
        rustix::fs::unlink(store.with_extension("wal")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, store.with_extension("wal"), rustix::fs::Mode::RWXU).unwrap();
        assert!(matches!(WriteAheadLog::open(&store, SEED), Err(StoreError::NotOpened { .. })));
    }

    #[test]
    fn a_record_that_cannot_be_written_is_the_last_until_a_checkpoint() {
        let (_home, store) = log_of(&["one"]);
        let (mut log, _) = open(&store, SEED);
        assert!(log.takes(&body("two")));
        log.file = Some(File::open(store.with_extension("wal")).unwrap());
        log.append(&body("two")).unwrap_err();
        assert!(!log.takes(&body("two")) && !log.is_empty());
        log.restart([8; 32]);
        assert!(log.takes(&body("two")) && log.is_empty());
        let mut large = Body::default();
        large.put(b"large", Some(&vec![0; BODY_MAX_BYTES + 1]));
        large.put(b"more", None);
        assert!(!log.takes(&large));
    }
}
