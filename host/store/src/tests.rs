//! The store on a real disk, and on one that fails.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redb::backends::FileBackend;
use ::redb::{Database, StorageBackend};

use super::redb::Opener;
use super::*;

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), value.to_vec());
    batch
}

fn open(home: &Path) -> RedbStore {
    RedbStore::open(home).expect("a temporary directory can be written")
}

/// What a host that is killed now leaves.
fn copy_store(home: &Path, to: &Path) {
    for file in ["store.redb", "store.wal"] {
        fs::copy(home.join(file), to.join(file)).expect("a temporary directory can be written");
    }
}

const ALL: Page = Page { rows: usize::MAX, bytes: usize::MAX };

#[tokio::test]
async fn batches_of_one_group_see_each_other_and_a_conflict_fails_alone() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let absent = |value: &[u8]| {
        let mut batch = put(b"x", value);
        batch.put(b"y".to_vec(), value.to_vec());
        batch.expect(b"x".to_vec(), Expect::Absent);
        batch
    };
    let mut third = put(b"x", b"third");
    third.expect(b"x".to_vec(), Expect::Equals(b"first".to_vec()));
    let answers = [store.commit(absent(b"first")), store.commit(absent(b"second")), store.commit(third)];
    let answers = futures::future::join_all(answers).await;
    assert_eq!(answers, [Ok(()), Err(StoreError::Conflict), Ok(())]);
    assert_eq!(store.get(b"x"), Ok(Some(b"third".to_vec())));
    assert_eq!(store.get(b"y"), Ok(Some(b"first".to_vec())), "nothing of a batch that fails is written");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_drop_and_for_a_reader() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    store.commit(put(b"x1", b"a")).await.unwrap();
    drop(store.commit(put(b"x2", b"b")));
    assert!(matches!(StoreReader::open(home.path()), Err(StoreError::InUse { .. })));
    assert!(StoreReader::is_in_use(home.path()));
    drop(store);
    assert!(!StoreReader::is_in_use(home.path()));
    let reader = StoreReader::open(home.path()).unwrap().expect("the store is there");
    let rows = reader.scan(&Range::of(b"x"), ALL).unwrap();
    assert_eq!(rows, [(b"x1".to_vec(), b"a".to_vec()), (b"x2".to_vec(), b"b".to_vec())]);
    assert_eq!(reader.commit(put(b"x", b"")).await, Err(StoreError::ReadOnly));
}

#[tokio::test]
async fn a_killed_host_leaves_a_store_that_opens() {
    let home = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open(home.path());
    store.commit(put(b"x", b"a")).await.unwrap();
    copy_store(home.path(), copy.path());
    let left = fs::read(copy.path().join("store.redb")).unwrap();
    assert!(!StoreReader::is_in_use(copy.path()));
    assert_eq!(fs::read(copy.path().join("store.redb")).unwrap(), left, "whoever only asks mends nothing");
    let reader = StoreReader::open(copy.path()).unwrap().expect("the store is there");
    assert_eq!(reader.get(b"x"), Ok(Some(b"a".to_vec())));
    drop(reader);
    assert_eq!(open(copy.path()).get(b"x"), Ok(Some(b"a".to_vec())));
}

#[tokio::test]
async fn whenever_a_host_is_killed_all_that_was_answered_is_there_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let mut store = Some(open(home.path()));
    let mut expected = std::collections::BTreeMap::new();
    // Of some bytes, of a good part of what the log holds, and of more than a record: each with a key that others overwrite or remove.
    for step in 0..240_u32 {
        let open_store = store.take().unwrap_or_else(|| open(home.path()));
        let size = match step % 16 {
            15 => 300_000,
            3 | 7 | 11 => 90_000,
            _ => 40,
        };
        let (key, value) = (vec![b'x', (step % 7) as u8], vec![step as u8; size]);
        let removes = (step % 5 == 4).then(|| vec![b'x', (step % 3) as u8]);
        let mut batch = put(&key, &value);
        expected.insert(key, value);
        if let Some(key) = removes {
            batch.remove(key.clone());
            expected.remove(&key);
        }
        open_store.commit(batch).await.unwrap();
        if step % 6 == 0 {
            let copy = tempfile::tempdir().unwrap();
            copy_store(home.path(), copy.path());
            let rows = |store: &dyn Store| store.scan(&Range::of(b"x"), ALL).unwrap();
            let left: Vec<Row> = expected.clone().into_iter().collect();
            // Whoever reads it first puts it in order; or the next host does.
            if step % 12 == 0 {
                assert_eq!(rows(&StoreReader::open(copy.path()).unwrap().expect("it is there")), left, "step {step}");
            }
            for _ in 0..2 {
                assert_eq!(rows(&open(copy.path())), left, "step {step}");
            }
        }
        // Now and then a host ends in good order.
        store = Some(open_store).filter(|_| step % 50 != 49);
    }
}

#[tokio::test]
async fn a_content_is_written_once_and_a_range_is_read_to_its_end() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let new = |value: &[u8]| {
        let mut batch = put(b"x", value);
        batch.put_new(b"y".to_vec(), value.to_vec());
        batch
    };
    store.commit(new(b"first")).await.unwrap();
    store.commit(new(b"second")).await.unwrap();
    assert_eq!((store.get(b"x"), store.get(b"y")), (Ok(Some(b"second".to_vec())), Ok(Some(b"first".to_vec()))));
    let mut large = Batch::default();
    large.put_new(b"z".to_vec(), vec![0; VALUE_MAX_BYTES + 1]);
    assert!(matches!(store.commit(large).await, Err(StoreError::TooLarge { what: "value", .. })));

    let mut batch = Batch::default();
    let names: Vec<_> =
        (0..2 * Page::PART.rows as u32 + 1).map(|row| [&b"r"[..], &row.to_be_bytes()].concat()).collect();
    names.iter().for_each(|name| batch.put(name.clone(), Vec::new()));
    store.commit(batch).await.unwrap();
    let read: Vec<_> = scan_all(&store, Range::of(b"r")).map(|row| row.unwrap().0).collect();
    assert_eq!(read, names);
    assert_eq!(scan_all(&store, Range::of(b"s")).count(), 0);
}

#[test]
fn of_two_that_make_a_store_at_once_one_has_it_and_the_other_is_told_so() {
    for _ in 0..50 {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match RedbStore::open(home.path()) {
                    Ok(_) | Err(StoreError::InUse { .. }) => {}
                    Err(error) => panic!("a store that another one makes is taken for {error:?}"),
                });
            }
        });
    }
}

#[test]
fn a_store_is_there_whole_or_not_at_all() {
    let looked = AtomicBool::new(false);
    for _ in 0..20 {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !looked.load(Ordering::Relaxed) {
                    match StoreReader::open(home.path()) {
                        Ok(_) | Err(StoreError::InUse { .. }) => {}
                        Err(error) => panic!("a store that is being made is taken for {error:?}"),
                    }
                }
            });
            // Whoever reads it has it for that moment.
            while matches!(RedbStore::open(home.path()), Err(StoreError::InUse { .. })) {}
            looked.store(true, Ordering::Relaxed);
        });
        looked.store(false, Ordering::Relaxed);
    }

    // A host that was killed as it made one left this, and an older version this.
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("store.redb.new.1"), b"a part").unwrap();
    fs::write(home.path().join("store.redb"), b"").unwrap();
    assert!(StoreReader::open(home.path()).unwrap().is_none());
    drop(open(home.path()));
    assert!(StoreReader::open(home.path()).unwrap().is_some());
    assert!(!home.path().join("store.redb.new.1").exists());

    // Now that a host had it, one that is empty has lost what was in it.
    fs::write(home.path().join("store.redb"), b"").unwrap();
    assert!(matches!(StoreReader::open(home.path()), Err(StoreError::Emptied { .. })));
    assert!(matches!(RedbStore::open(home.path()), Err(StoreError::Emptied { .. })));
}

#[tokio::test]
async fn scans_are_ordered_bounded_and_reversible() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let mut batch = Batch::default();
    for number in 0..10u8 {
        batch.put(vec![b'x', number], vec![0; 10]);
    }
    batch.put(vec![b'x', 255, 255], vec![]);
    store.commit(batch).await.unwrap();
    let keys =
        |range: &Range, page| -> Vec<u8> { store.scan(range, page).unwrap().iter().map(|(key, _)| key[1]).collect() };
    let range = Range::of(b"x");
    assert_eq!(keys(&range, ALL).len(), 11);
    assert_eq!(keys(&range, Page { rows: 3, bytes: usize::MAX }), [0, 1, 2]);
    assert_eq!(keys(&range, Page { rows: 9, bytes: 30 }), [0, 1]);
    assert_eq!(keys(&range, Page { rows: 9, bytes: 1 }), [0], "the first row is given whatever its size");
    assert_eq!(keys(&range.clone().after(&[b'x', 7]), ALL), [8, 9, 255]);
    assert_eq!(keys(&range.reversed(), Page { rows: 2, bytes: usize::MAX }), [255, 9]);
    assert_eq!(keys(&Range::of(&[b'x', 255]), ALL), [255]);
}

#[tokio::test]
async fn a_key_or_a_value_over_its_maximum_is_refused_alone() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let over = store.commit(put(&vec![b'x'; KEY_MAX_BYTES + 1], b""));
    let good = store.commit(put(b"x", b"a"));
    assert!(matches!(over.await, Err(StoreError::TooLarge { what: "key", .. })));
    assert_eq!(good.await, Ok(()));
}

#[test]
fn a_second_host_is_told_who_the_first_is() {
    let home = tempfile::tempdir().unwrap();
    let _first = open(home.path());
    let error = RedbStore::open(home.path()).err().expect("the store is in use");
    assert!(error.to_string().contains(&format!("(pid {})", std::process::id())), "{error}");
}

#[test]
fn a_newer_store_and_a_strangers_file_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(open(home.path()));
    {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(super::redb::TABLE).unwrap().insert(keys::FORMAT, [9].as_slice()).unwrap();
        transaction.commit().unwrap();
    }
    assert!(matches!(RedbStore::open(home.path()), Err(StoreError::Newer { found: 9, .. })));
    fs::write(&path, b"these are somebody's notes, and long enough to be mistaken for a header of some kind").unwrap();
    assert!(matches!(RedbStore::open(home.path()), Err(StoreError::Foreign { .. })));
    assert!(fs::read(&path).unwrap().starts_with(b"these are"));
}

#[test]
fn a_home_that_cannot_be_made_is_named_and_a_reader_makes_none() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), b"").unwrap();
    let error = RedbStore::open(&home.path().join("file/home")).err().expect("a file holds no directory");
    assert!(error.to_string().contains("hint: the home must be a directory"), "{error}");
    let nowhere = home.path().join("nowhere");
    assert!(matches!(StoreReader::open(&nowhere), Ok(None)));
    assert!(!nowhere.exists());
}

/// A file on a disk that is full while the switch is on.
#[derive(Debug)]
struct FillingDisk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl FillingDisk {
    fn check(&self) -> Result<(), io::Error> {
        if self.full.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for FillingDisk {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.check()?;
        self.file.write(offset, data)
    }
}

/// A store on such a disk, and the switch.
fn filling(home: &Path) -> (RedbStore, Arc<AtomicBool>) {
    let path = home.join("store.redb");
    let full = Arc::new(AtomicBool::new(false));
    let (file, switch) = (path.clone(), Arc::clone(&full));
    let opener: Opener = Box::new(move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file);
        let file = file.map_err(|error| ::redb::DatabaseError::Storage(error.into()))?;
        let full = Arc::clone(&switch);
        Database::builder().create_with_backend(FillingDisk { file: FileBackend::new(file)?, full })
    });
    (RedbStore::open_with(opener, None, &path).expect("there is room yet"), full)
}

#[tokio::test]
async fn a_full_disk_is_told_to_all_and_the_store_goes_on_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let (store, full) = filling(home.path());
    // No log can be made there.
    fs::create_dir(home.path().join("store.wal")).unwrap();
    store.commit(put(b"x", b"before")).await.unwrap();
    full.store(true, Ordering::Release);
    let answers = futures::future::join_all([store.commit(put(b"x", b"lost")), store.commit(put(b"y", b"lost"))]).await;
    assert_eq!(answers, [Err(StoreError::Full), Err(StoreError::Full)]);
    assert!(store.commit(put(b"y", b"lost")).await.is_err());
    fs::remove_dir(home.path().join("store.wal")).unwrap();
    full.store(false, Ordering::Release);
    store.commit(put(b"z", b"after")).await.expect("there is room again");
    assert_eq!(store.get(b"x"), Ok(Some(b"before".to_vec())), "nothing is half-written");
    assert_eq!(store.get(b"y"), Ok(None));
    assert_eq!(store.get(b"z"), Ok(Some(b"after".to_vec())));
}

#[tokio::test]
async fn a_disk_that_is_full_stops_no_commit_that_the_log_has_room_for_and_loses_none_of_them() {
    let home = tempfile::tempdir().unwrap();
    let (store, full) = filling(home.path());
    store.commit(put(b"a", b"before")).await.unwrap();
    full.store(true, Ordering::Release);
    store.commit(put(b"b", b"in the log")).await.expect("its log has room");
    let large = store.commit(put(b"c", &vec![7; 1024 * 1024])).await;
    assert_eq!(large, Err(StoreError::Full), "what is larger than a record goes into the store's own file");
    full.store(false, Ordering::Release);
    // The store is opened anew, and has what its log has.
    store.commit(put(b"d", b"after")).await.expect("there is room again");
    assert_eq!(store.get(b"b"), Ok(Some(b"in the log".to_vec())));
    drop(store);
    let store = open(home.path());
    let all = store.scan(&Range::of(b""), ALL).unwrap();
    let ours: Vec<_> = all.iter().map(|(key, _)| key[0]).filter(|key| keys::FORMAT != [*key]).collect();
    assert_eq!(ours, *b"abd");
}

#[tokio::test]
async fn nobody_else_reads_the_store_also_if_an_older_version_let_them() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("store.redb");
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    drop(RedbStore::open(home.path()).unwrap());
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(RedbStore::open(home.path()).unwrap());
    assert_eq!(mode(), 0o600);
}
