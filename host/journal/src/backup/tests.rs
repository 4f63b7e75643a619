//! Backups of a home that goes on: each is whole, takes only what is new, finds every change of its bytes, and puts back what was there.

use std::fs;
use std::path::{Path, PathBuf};

use agentry_kernel::call::RunId;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::{Batch, keys};

use super::pack::{PackReader, PackWriter, digest_of};
use super::*;
use crate::audit::verify;
use crate::fixture::{Host, NOW, host};
use crate::history::History;

/// A home with some runs and a policy, and a place for its backups.
struct Kept {
    place: tempfile::TempDir,
    host: Host,
}

impl Kept {
    async fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("home/policies")).unwrap();
        fs::write(place.path().join("home/policies/50-a.toml"), "format = 1\n").unwrap();
        fs::write(place.path().join("home/export.key"), "secret").unwrap();
        let host = host(&place.path().join("home")).await;
        let kept = Self { place, host };
        for id in 1..=3 {
            kept.run(id).await;
        }
        kept
    }

    async fn run(&self, id: u64) {
        let run = self.host.run(id);
        self.host.says(&run, Content::of(format!("word {id} {}", "x".repeat(5000))));
        self.host.end(&run, Content::of(*b"\"ok\""));
        self.host.journal.durable(&run).await.unwrap();
    }

    fn backups(&self) -> PathBuf {
        self.place.path().join("backups")
    }

    fn take(&self, at: u64) -> Result<Taken, BackupError> {
        let store = self.host.journal.store().snapshot()?;
        take(&self.place.path().join("home"), &*store, &self.backups(), Millis(NOW.0 + at))
    }

    fn restored(&self, name: &str, which: Which) -> Result<Restored, BackupError> {
        let to = self.place.path().join(name);
        tokio::task::block_in_place(|| restore(Source::Directory(self.backups()), which, &to))
    }

    /// The runs of a home that was put back.
    fn runs(&self, name: &str) -> Vec<u64> {
        let store = agentry_store::StoreReader::open(&self.place.path().join(name)).unwrap().unwrap();
        assert_eq!(verify(&store, &[]).unwrap().broken, None);
        let mut runs: Vec<_> =
            History::left_in(std::sync::Arc::new(store)).runs(100).unwrap().iter().map(|run| run.id.0).collect();
        runs.sort_unstable();
        runs
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_generation_takes_what_is_new_and_puts_back_its_own_moment() {
    let kept = Kept::new().await;
    let first = kept.take(1).unwrap();
    kept.run(4).await;
    let policy = kept.place.path().join("home/policies/50-a.toml");
    fs::write(&policy, "format = 2\n").unwrap();
    let mut batch = Batch::default();
    batch.remove(keys::run(RunId(1)));
    batch.remove(keys::time(NOW, RunId(1)));
    kept.host.journal.store().commit(batch).await.unwrap();
    let second = kept.take(2).unwrap();
    assert!(second.new < first.new && second.new_bytes < first.new_bytes, "{second:?} after {first:?}");
    let third = kept.take(3).unwrap();
    assert!(third.new <= 2, "{third:?}");
    assert_eq!(list(&kept.backups()).unwrap().iter().filter(|(_, read)| read.is_ok()).count(), 3);
    kept.restored("one", Which::Generation(1)).unwrap();
    kept.restored("two", Which::At(Millis(NOW.0 + 2))).unwrap();
    let newest = kept.restored("three", Which::Newest).unwrap();
    assert_eq!((newest.generation, newest.files), (Some(3), 1));
    assert_eq!([kept.runs("one"), kept.runs("two"), kept.runs("three")], [vec![1, 2, 3], vec![2, 3, 4], vec![2, 3, 4]]);
    let text = |name: &str| fs::read_to_string(kept.place.path().join(name).join("policies/50-a.toml")).unwrap();
    assert_eq!([text("one"), text("two")], ["format = 1\n", "format = 2\n"]);
    assert_eq!(
        entries(&kept.place.path().join("one")),
        ["policies", "store.redb", "store.wal"],
        "no key, nothing of the making"
    );
    assert!(matches!(kept.restored("four", Which::At(NOW)), Err(BackupError::NoGeneration { .. })));
    assert!(matches!(kept.restored("four", Which::Generation(9)), Err(BackupError::NoGeneration { .. })));
    assert!(matches!(kept.restored("one", Which::Newest), Err(BackupError::NotEmpty { .. })));
    assert_eq!(entries(kept.place.path()), ["backups", "home", "one", "three", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_that_is_changed_is_found_and_nothing_is_put_back() {
    let kept = Kept::new().await;
    kept.take(1).unwrap();
    let files = ["000001.pack", "000001.json"].map(|name| kept.backups().join(name));
    for file in &files {
        let whole = fs::read(file).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 97 + 1) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(file, changed).unwrap();
            let put_back = kept.restored("other", Which::Newest);
            assert!(put_back.is_err(), "byte {at} of {}", file.display());
            assert!(kept.take(2).is_err(), "byte {at} of {}: nothing is put on top of it", file.display());
        }
        // All but the last line break of a list is a list.
        for length in [0, 1, whole.len() / 2, whole.len() - 2] {
            fs::write(file, &whole[..length]).unwrap();
            assert!(kept.restored("other", Which::Newest).is_err(), "{length} bytes of {}", file.display());
        }
        fs::write(file, whole).unwrap();
    }
    assert!(!kept.place.path().join("other").exists());
    kept.restored("other", Which::Newest).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_backup_left_is_in_nobodys_way_and_other_things_are() {
    let kept = Kept::new().await;
    kept.take(1).unwrap();
    for left in ["000002.pack", "000002.pack.new", "000002.json.new"] {
        fs::write(kept.backups().join(left), "half").unwrap();
    }
    kept.restored("one", Which::Newest).unwrap();
    kept.take(2).unwrap();
    assert_eq!(entries(&kept.backups()), ["000001.json", "000001.pack", "000002.json", "000002.pack", "lock"]);
    kept.restored("two", Which::Newest).unwrap();
    let store = kept.host.journal.store().snapshot().unwrap();
    let home = kept.place.path().join("home");
    assert!(matches!(take(&home, &*store, &home, NOW), Err(BackupError::Foreign { .. })));
    let locked = fs::File::open(kept.backups().join("lock")).unwrap();
    locked.lock().unwrap();
    assert!(matches!(kept.take(3), Err(BackupError::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_as_it_was_written_is_not_kept() {
    let kept = Kept::new().await;
    kept.take(1).unwrap();
    let mut batch = Batch::default();
    batch.remove(keys::blob(&crate::digest(b"\"ok\"")));
    kept.host.journal.store().commit(batch).await.unwrap();
    assert!(matches!(kept.take(2), Err(BackupError::Broken { .. })));
    assert_eq!(entries(&kept.backups()), ["000001.json", "000001.pack", "lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_a_whole_backup_and_half_of_one_is_none() {
    let kept = Kept::new().await;
    let store = kept.host.journal.store().snapshot().unwrap();
    let mut stream = Vec::new();
    take_as_stream(&kept.place.path().join("home"), &*store, &mut stream, Millis(NOW.0 + 5)).unwrap();
    let put_back = |bytes: Vec<u8>, name: &str| {
        let (source, to) = (
            Source::Stream { name: "it".to_owned(), bytes: Box::new(std::io::Cursor::new(bytes)) },
            kept.place.path().join(name),
        );
        tokio::task::block_in_place(|| restore(source, Which::Newest, &to))
    };
    let half = stream[..stream.len() - 1].to_vec();
    assert!(matches!(put_back(half, "half"), Err(BackupError::Torn { stream, .. }) if stream == "it"));
    assert_eq!(put_back(stream, "one").unwrap().at, Some(Millis(NOW.0 + 5)));
    assert_eq!(kept.runs("one"), [1, 2, 3]);
    assert!(!kept.place.path().join("half").exists());
}

#[test]
fn a_pack_of_this_version_stays_readable_and_nonsense_is_none() {
    let mut writer = PackWriter::begin(Vec::new()).unwrap();
    writer.put(b"fa", b"one", &digest_of(b"one")).unwrap();
    writer.gone(b"sb").unwrap();
    let (digest, length, bytes) = writer.end().unwrap();
    assert_eq!(length, bytes.len() as u64);
    let hex: String = bytes.chunks(32).map(hex_line).collect();
    expect_test::expect_file!["../../../../tests/golden/pack-1.hex"].assert_eq(&hex);
    let read = |bytes: &[u8]| {
        let mut reader = PackReader::begin(bytes).ok()?;
        let mut names = Vec::new();
        loop {
            match reader.next().ok()? {
                Ok(packed) => names.push((packed.name, packed.put.map(|put| put.value))),
                Err(digest) => return Some((names, digest)),
            }
        }
    };
    let whole = vec![(b"fa".to_vec(), Some(b"one".to_vec())), (b"sb".to_vec(), None)];
    assert_eq!(read(&bytes), Some((whole, digest)));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(read(&changed), None, "bit {bit} of byte {at}");
        }
        assert_eq!(read(&bytes[..at]), None);
    }
    assert_eq!(read(&[bytes, b"x".to_vec()].concat()), None);
}

fn hex_line(line: &[u8]) -> String {
    line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
}
