//! The store on one machine: one redb file with one table of rows, and a write-ahead log beside it. Opens, reads, and hands every write to the
//! one writer.

pub(crate) mod compact;
mod view;
mod wal;
mod writer;

use std::fs;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageError,
    TableDefinition, TableError, WriteTransaction,
};

use tempfile::TempPath;

use self::wal::{Seed, WriteAheadLog};
use self::writer::{Disk, Writer};
use super::disk::is_full;
use super::lease::{self, Lease, LeaseError};
use super::{Batch, Key, Measured, Page, Range, Row, Store, StoreError, Value, Write, keys};

/// The version of the store's layout. Version 1 knew of one host only, version 2 had no log: they are read as they are, and whoever writes one
/// makes it this version.
const FORMAT: u8 = 3;

/// Pages kept in memory. Small on purpose: the hot end of the journal is what is read and written.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const FILE: &str = "store.redb";
/// Who has the store, for words; whether locks hold in this home is tried on it as well.
const PID_FILE: &str = "store.pid";
/// How the name of a store begins that is being made.
const NEW_PREFIX: &str = "store.redb.new.";

pub(super) const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("agentry");
/// What the records of the log hold by. Apart, so that whoever reads rows does not come upon it.
const SEED: TableDefinition<'static, (), Seed> = TableDefinition::new("wal");

/// How a database is opened, again and again if the disk fails in between.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// A store that this process has for itself.
pub struct RedbStore {
    shared: Arc<Shared>,
    writer: Writer,
}

/// What readers and the writer share. It is empty while the disk fails.
struct Shared {
    database: RwLock<Option<Database>>,
}

impl RedbStore {
    /// Opens the store of this home, and makes both if there is none.
    ///
    /// # Errors
    /// When somebody else has it open, when it is of a newer version or not ours, when the directory cannot be
    /// written.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        let path = home.join(FILE);
        fs::create_dir_all(home).map_err(|error| not_opened(&path, &error))?;
        let probe = fs::OpenOptions::new().append(true).create(true).open(home.join(PID_FILE));
        probe.map_err(|error| not_opened(&path, &error))?;
        let lease = leased(home)?;
        make(&path)?;
        let file = path.clone();
        let opener: Opener = Box::new(move || Builder::new().set_cache_size(CACHE_BYTES).create(&file));
        let store = Self::open_with(opener, lease, &path)?;
        sweep(home);
        // Only for the words of the next one's refusal; the lock itself is the file's.
        let _ = fs::write(home.join(PID_FILE), std::process::id().to_string());
        Ok(store)
    }

    pub(super) fn open_with(opener: Opener, lease: Option<Lease>, path: &Path) -> Result<Self, StoreError> {
        let database = opener().map_err(|error| opening(error, path))?;
        let found = check_format(&database.begin_read().map_err(|error| failed(error.into()))?, path)?;
        if found != Some(FORMAT) {
            write_format(&database)?;
        }
        let log = replayed(&database, path)?.ok_or_else(no_log)?;
        let shared = Arc::new(Shared { database: RwLock::new(Some(database)) });
        let disk = Disk { shared: Arc::clone(&shared), log: Some(log), opener, path: path.to_path_buf(), lease };
        let writer = Writer::start(disk).map_err(|error| not_opened(path, &error))?;
        Ok(Self { shared, writer })
    }

    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.shared.database.read();
        let database = database.as_ref().ok_or_else(|| StoreError::Io { why: "an earlier write failed".to_owned() })?;
        read(&database.begin_read().map_err(|error| failed(error.into()))?)
    }
}

impl Store for RedbStore {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        self.writer.submit(batch).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.read(|transaction| get(transaction, key))
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.read(|transaction| has(transaction, key))
    }

    fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        self.read(|transaction| get_each(transaction, keys))
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
        self.read(|transaction| scan(transaction, range, page))
    }

    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        self.read(|transaction| view::measure(transaction, range))
    }

    fn snapshot(&self) -> Result<Arc<dyn Store>, StoreError> {
        let database = self.shared.database.read();
        let database = database.as_ref().ok_or_else(|| StoreError::Io { why: "an earlier write failed".to_owned() })?;
        view::of(database)
    }
}

/// A lease where the file system has no locks, of which redb says nothing: it would open the file beside another process.
fn leased(home: &Path) -> Result<Option<Lease>, StoreError> {
    // Nobody else locks the first; a home that was put back has only the second.
    if lease::locks_hold(&[home.join(PID_FILE), home.join(FILE)]) {
        return Ok(None);
    }
    match Lease::take(home, lease::PACE) {
        Ok(lease) => Ok(Some(lease)),
        Err(LeaseError::Taken) => Err(in_use(&home.join(FILE))),
        Err(LeaseError::Io(error)) => Err(not_opened(&home.join(FILE), &error)),
    }
}

/// Makes the file if there is none, whole or not at all: it is laid out under another name first, so that whoever looks in between finds no
/// store, and so does the next host after a kill. Its mode keeps it to this user: it holds what agents said, read and remembered. One that an
/// older version left open to others is closed.
fn make(path: &Path) -> Result<(), StoreError> {
    let unwritable = |error: io::Error| not_opened(path, &error);
    if let Some(found) = metadata(path)? {
        is_emptied(path, &found)?;
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(unwritable)?;
        }
        return Ok(());
    }
    let home = path.parent().unwrap_or(Path::new("."));
    let new = tempfile::Builder::new().prefix(NEW_PREFIX).tempfile_in(home).map_err(unwritable)?;
    let database = Builder::new().create(new.path()).map_err(|error| opening(error, path))?;
    write_format(&database)?;
    drop(database);
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Another host has made it since, and may have swept away what was laid out here.
        Err(_) if metadata(path)?.is_some() => Ok(()),
        Err(error) => Err(unwritable(error.error)),
    }
}

/// A store that a host had and that is empty has lost everything. Older versions made it empty first: one of those that was killed as it began
/// has not said yet which process it is.
fn is_emptied(path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
    let had = || fs::metadata(path.with_file_name(PID_FILE)).is_ok_and(|file| file.len() > 0);
    if found.len() == 0 && had() { Err(StoreError::Emptied { path: path.display().to_string() }) } else { Ok(()) }
}

fn metadata(path: &Path) -> Result<Option<fs::Metadata>, StoreError> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_opened(path, &error)),
    }
}

/// Removes what a host that was killed while it made the store left behind. The caller holds the store, so whoever makes one still is too
/// late for it, and finds this one.
fn sweep(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(NEW_PREFIX.as_bytes()) {
            // What stays takes a few kilobytes, and is tried again by the next host.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A store opened to be read while no host runs. It creates nothing but, where there are no locks, a lease.
pub struct StoreReader {
    database: ReadOnlyDatabase,
    copy: Option<TempPath>,
    // Dropped last.
    _lease: Option<Lease>,
}

impl StoreReader {
    /// Opens the store of this home; none if there is none.
    ///
    /// # Errors
    /// When a host has it open, or it is not a store of ours.
    pub fn open(home: &Path) -> Result<Option<Self>, StoreError> {
        let path = home.join(FILE);
        match metadata(&path)? {
            Some(found) if found.len() > 0 => {}
            // A host that begins, or was killed as it began, has stored nothing yet.
            found => return found.map_or(Ok(()), |found| is_emptied(&path, &found)).map(|()| None),
        }
        let lease = match leased(home) {
            // Nobody can write there, so nobody does.
            Err(StoreError::NotOpened { .. }) => None,
            lease => lease?,
        };
        let mut copy = None;
        let found = match read_only(&path) {
            Ok(database) => Some(database).filter(|database| !waits(database, &path)),
            Err(DatabaseError::RepairAborted) => None,
            Err(error) => return Err(opening(error, &path)),
        };
        let database = match found {
            Some(database) => database,
            // The last host was killed: what it had begun is rolled back and what its log has is taken over first, which takes a writer.
            None => {
                let place = match rustix::fs::access(&path, rustix::fs::Access::WRITE_OK) {
                    Ok(()) => path.as_path(),
                    Err(_) => copy.insert(copied(&path)?),
                };
                settle(place, &path)?;
                read_only(place).map_err(|error| opening(error, &path))?
            }
        };
        check_format(&database.begin_read().map_err(|error| failed(error.into()))?, &path)?;
        Ok(Some(Self { database, copy, _lease: lease }))
    }

    /// Whether somebody else has the store of this home open. It reads and mends nothing of it.
    pub fn is_in_use(home: &Path) -> bool {
        let path = home.join(FILE);
        if !matches!(metadata(&path), Ok(Some(found)) if found.len() > 0) {
            return false;
        }
        let in_use = |error: StoreError| matches!(error, StoreError::InUse { .. });
        leased(home).is_err_and(in_use) || read_only(&path).is_err_and(|error| in_use(opening(error, &path)))
    }

    /// True if what is read is a copy: nobody can write where the store lies, and its last host was killed.
    pub fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    fn transaction(&self) -> Result<ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| failed(error.into()))
    }
}

impl Store for StoreReader {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        get(&self.transaction()?, key)
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        has(&self.transaction()?, key)
    }

    fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        get_each(&self.transaction()?, keys)
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
        scan(&self.transaction()?, range, page)
    }

    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        view::measure(&self.transaction()?, range)
    }

    fn snapshot(&self) -> Result<Arc<dyn Store>, StoreError> {
        view::of(&self.database)
    }
}

fn read_only(path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    Builder::new().set_cache_size(CACHE_BYTES).open_read_only(path)
}

/// The store as it lies there, where it can be put in order. It is gone when it is not read any more.
fn copied(path: &Path) -> Result<TempPath, StoreError> {
    let copy = tempfile::NamedTempFile::new().map_err(|error| not_opened(path, &error))?;
    fs::copy(path, copy.path()).map_err(|error| not_opened(path, &error))?;
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o600)).map_err(|error| not_opened(path, &error))?;
    Ok(copy.into_temp_path())
}

fn get(transaction: &ReadTransaction, key: &[u8]) -> Result<Option<Value>, StoreError> {
    let table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
    Ok(table.get(key).map_err(|error| failed(error.into()))?.map(|value| value.value().to_vec()))
}

fn get_each(transaction: &ReadTransaction, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
    let table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
    let get = |key: &Key| table.get(key.as_slice()).map_err(|error| failed(error.into()));
    keys.iter().map(|key| Ok(get(key)?.map(|value| value.value().to_vec()))).collect()
}

fn has(transaction: &ReadTransaction, key: &[u8]) -> Result<bool, StoreError> {
    let table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
    Ok(table.get(key).map_err(|error| failed(error.into()))?.is_some())
}

fn scan(transaction: &ReadTransaction, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
    let table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
    if range.from >= range.to {
        return Ok(Vec::new());
    }
    let bounds = (Bound::Included(range.from.as_slice()), Bound::Excluded(range.to.as_slice()));
    let mut found = table.range::<&[u8]>(bounds).map_err(|error| failed(error.into()))?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    while rows.len() < page.rows && bytes < page.bytes {
        let next = if range.reverse { found.next_back() } else { found.next() };
        let Some(next) = next else { break };
        let (key, value) = next.map_err(|error| failed(error.into()))?;
        let size = key.value().len() + value.value().len();
        if !rows.is_empty() && bytes + size > page.bytes {
            break;
        }
        bytes += size;
        rows.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(rows)
}

/// The version of its layout; none if the database is empty, so that it is about to become ours.
fn check_format(transaction: &ReadTransaction, path: &Path) -> Result<Option<u8>, StoreError> {
    let foreign = || StoreError::Foreign { path: path.display().to_string() };
    let table = match transaction.open_table(TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            let others = transaction.list_tables().map_err(|error| failed(error.into()))?.count();
            return if others == 0 { Ok(None) } else { Err(foreign()) };
        }
        Err(TableError::Storage(error)) => return Err(failed(error.into())),
        Err(_) => return Err(foreign()),
    };
    let found = table.get(keys::FORMAT).map_err(|error| failed(error.into()))?;
    match found.as_ref().map(|found| found.value()) {
        Some(&[found]) if found <= FORMAT => Ok(Some(found)),
        Some(&[found]) => Err(StoreError::Newer { path: path.display().to_string(), found, known: FORMAT }),
        _ => Err(foreign()),
    }
}

/// Makes it a store of this version, with an empty log.
fn write_format(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    {
        let mut table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
        table.insert(keys::FORMAT, [FORMAT].as_slice()).map_err(|error| failed(error.into()))?;
    }
    renew_seed(&transaction)?;
    transaction.commit().map_err(|error| failed(error.into()))
}

/// From when this transaction is committed, no record of the log holds any more.
fn renew_seed(transaction: &WriteTransaction) -> Result<Seed, StoreError> {
    let seed = wal::seed()?;
    let mut table = transaction.open_table(SEED).map_err(|error| failed(error.into()))?;
    table.insert((), seed).map_err(|error| failed(error.into()))?;
    Ok(seed)
}

/// The log of a database that was opened, which has now in memory what only the log has; none in a store of before there was one. `path` is
/// where the store lies.
fn replayed(database: &Database, path: &Path) -> Result<Option<WriteAheadLog>, StoreError> {
    let Some((log, writes)) = log_of(database, path)? else { return Ok(None) };
    if !writes.is_empty() {
        let mut transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        {
            let mut table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
            writes.iter().try_for_each(|(key, value)| writer::write(&mut table, key, value.as_deref()))?;
        }
        // It is on disk already.
        transaction.set_durability(Durability::None).map_err(|error| failed(error.into()))?;
        transaction.commit().map_err(|error| failed(error.into()))?;
    }
    Ok(Some(log))
}

fn no_log() -> StoreError {
    StoreError::Damaged { why: "what its log holds by is not there".to_owned() }
}

/// The log and what its records write; none in a store of before there was one.
fn log_of(database: &impl ReadableDatabase, path: &Path) -> Result<Option<(WriteAheadLog, Vec<Write>)>, StoreError> {
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let table = match transaction.open_table(SEED) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table.map_err(|error| failed(error.into()))?,
    };
    let seed = table.get(()).map_err(|error| failed(error.into()))?.map(|seed| seed.value());
    seed.map(|seed| WriteAheadLog::open(path, seed)).transpose()
}

/// Whether the log has what the store's own file has not, or cannot be read: whoever settles that says why.
fn waits(database: &impl ReadableDatabase, path: &Path) -> bool {
    log_of(database, path).map_or(true, |found| found.is_some_and(|(_, writes)| !writes.is_empty()))
}

/// Puts the store at `place`, which a killed host left, in order, by the log beside `path`.
fn settle(place: &Path, path: &Path) -> Result<(), StoreError> {
    let database = Builder::new().open(place).map_err(|error| opening(error, path))?;
    check_format(&database.begin_read().map_err(|error| failed(error.into()))?, path)?;
    match replayed(&database, path)? {
        Some(log) => close(if place == path { log } else { log.of_copy() }, database, path),
        None => database.close().map_err(|error| opening(error, path)),
    }
}

/// Commits a transaction in the store's own file, with all that only the log had.
fn checkpoint(transaction: WriteTransaction, log: &mut WriteAheadLog) -> Result<(), StoreError> {
    let seed = renew_seed(&transaction)?;
    transaction.commit().map_err(|error| failed(error.into()))?;
    log.restart(seed);
    Ok(())
}

/// Closes a store whose own file has everything then.
fn close(mut log: WriteAheadLog, database: Database, path: &Path) -> Result<(), StoreError> {
    if !log.is_empty() {
        checkpoint(database.begin_write().map_err(|error| failed(error.into()))?, &mut log)?;
    }
    database.close().map_err(|error| opening(error, path))
}

fn not_opened(path: &Path, error: &io::Error) -> StoreError {
    if is_full(error) {
        return StoreError::Full;
    }
    StoreError::NotOpened { path: path.display().to_string(), why: error.to_string() }
}

fn opening(error: DatabaseError, path: &Path) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => in_use(path),
        DatabaseError::UpgradeRequired(_) => StoreError::Foreign { path: path.display().to_string() },
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Foreign { path: path.display().to_string() }
        }
        DatabaseError::Storage(StorageError::Io(error)) if !is_full(&error) => not_opened(path, &error),
        other => failed(other.into()),
    }
}

fn in_use(path: &Path) -> StoreError {
    let home: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let pid = fs::read_to_string(home.join(PID_FILE)).ok().filter(|pid| pid.parse::<u32>().is_ok());
    StoreError::InUse { home: home.display().to_string(), pid: pid.unwrap_or_else(|| "unknown".to_owned()) }
}

/// What went wrong, in our words.
fn failed(error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) if is_full(&error) => StoreError::Full,
        redb::Error::Io(error) => StoreError::Io { why: error.to_string() },
        redb::Error::PreviousIo => StoreError::Io { why: "an earlier write failed".to_owned() },
        redb::Error::DatabaseClosed => StoreError::Closed,
        other => StoreError::Damaged { why: other.to_string() },
    }
}
