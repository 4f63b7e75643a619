//! What is believed of an index, and what is not: changed, old, expired, signed by others, led back, half written.

use std::fs;
use std::path::{Path, PathBuf};

use agentry_engine::package::{Package, Parts, digest};
use agentry_journal::export::sign::SigningKey;
use agentry_kernel::time::Millis;

use super::client::Index;
use super::listed::Listed;
use super::repository::{Listing, Repository, Signed};
use crate::fault::{Fault, Kind};
use crate::holders::Holders;
use crate::key::{self, PublicKey};
use crate::source::Source;
use crate::statement::Statement;

mod apart;
mod changing;
mod unsigned;

const DAY: u64 = 24 * 60 * 60 * 1000;
const NOW: Millis = Millis(1_800_000_000_000);

/// An index that lists one publisher with one package, and a home that reads it.
struct Place {
    directory: tempfile::TempDir,
    root: SigningKey,
    online: SigningKey,
    acme: SigningKey,
}

fn package(version: &str, seq: u64) -> (Package, Vec<u8>) {
    let bytes = format!("component {version} {seq}").into_bytes();
    let text = format!(
        r#"{{"format":1,"name":"acme:clock","version":"{version}","seq":{seq},"wit":"0.1.0","description":"größe"}}"#
    );
    let manifest = serde_json::from_str(&text).unwrap();
    let (imports, unused, parts) = (vec![], vec![], Parts::default());
    let package = Package { digest: digest(&bytes), manifest, imports, unused, parts, bytes: bytes.len() };
    (package, bytes)
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys-of-all");
        let [root, online, acme] = ["root-key", "online-key", "acme"].map(|name| key::create(&keys, name).unwrap());
        let place = Self { directory, root, online, acme };
        let repository = place.repository(NOW);
        repository.init(&place.root, &place.online, 30).unwrap();
        repository.add("acme", &PublicKey::of(&place.acme).into(), &place.root).unwrap();
        place.publish("1.0.0", 1).unwrap();
        repository.sign(&place.online, 30).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    fn repository(&self, now: Millis) -> Repository {
        Repository::at(&self.path(), now)
    }

    fn publish(&self, version: &str, seq: u64) -> Result<(), Fault> {
        let (package, bytes) = package(version, seq);
        let envelope = Statement::of(&package, PublicKey::of(&self.acme).into()).sign(&self.acme);
        self.repository(NOW).publish(&package, &bytes, &envelope, &self.acme).map(drop)
    }

    fn home(&self, name: &str) -> PathBuf {
        let home = self.directory.path().join(name);
        fs::create_dir_all(&home).unwrap();
        home
    }

    /// What a home finds there.
    fn read(&self, home: &str, now: Millis) -> Result<Vec<Listed>, Fault> {
        let source = Source::Directory(self.path());
        let home = self.home(home);
        let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
        threads.block_on(async {
            let index = Index::read(&home, "main", PublicKey::of(&self.root), &source, now).await?;
            let listed = index.of("acme").await?;
            for one in &listed {
                let (component, envelope) = index.fetch(one).await?;
                assert_eq!(digest(component.bytes()), one.digest);
                assert_eq!(Statement::open(&envelope)?.digest, one.digest);
            }
            Ok(listed)
        })
    }

    fn versions(&self, home: &str) -> Vec<String> {
        self.read(home, NOW).unwrap().into_iter().map(|listed| listed.listing.version).collect()
    }
}

#[track_caller]
fn check_refused(found: Result<Vec<Listed>, Fault>, part: &str) {
    let fault = found.unwrap_err();
    assert!(fault.kind == Kind::Denied && fault.message.contains(part), "{fault}");
}

#[test]
fn what_a_publisher_lists_is_found_with_its_file_and_its_signature() {
    let place = Place::new();
    assert_eq!(place.versions("a"), ["1.0.0"]);
    place.publish("1.1.0", 2).unwrap();
    assert_eq!(place.versions("a"), ["1.0.0"], "nobody has signed it into the index yet");
    place.repository(NOW).sign(&place.online, 30).unwrap();
    assert_eq!(place.versions("a"), ["1.0.0", "1.1.0"]);
    assert!(place.publish("1.1.0", 3).is_err() && place.publish("1.2.0", 2).is_err(), "a version is listed once");
    place.repository(NOW).yank("acme:clock", "1.0.0", "it loses letters", &place.acme).unwrap();
    place.repository(NOW).sign(&place.online, 30).unwrap();
    let yanked: Vec<_> = place.read("a", NOW).unwrap().into_iter().map(|listed| listed.listing.yanked).collect();
    assert_eq!(yanked, [Some("it loses letters".to_owned()), None]);
}

#[test]
fn an_index_that_is_signed_goes_on_for_years_and_says_whose_list_ends() {
    let place = Place::new();
    let late = NOW.plus(330 * DAY);
    let repository = place.repository(late);
    let signed = repository.sign(&place.online, 30).unwrap();
    let ending: Vec<_> = signed.ends_soon.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(ending, ["root", "targets", "acme"]);
    assert!(repository.renew(&place.acme).is_err(), "not the key of the index");
    assert!(repository.renew(&place.root).unwrap() && !repository.renew(&place.root).unwrap());
    // The newest version of a publisher once more; another file under its number is none.
    let (package, bytes) = package("1.0.0", 1);
    assert!(repository.publish(&package, b"another", b"", &place.acme).is_err());
    repository.publish(&package, &bytes, b"", &place.acme).unwrap();
    assert_eq!(repository.sign(&place.online, 100).unwrap(), Signed::default());
    assert_eq!(place.read("a", late.plus(90 * DAY)).unwrap().len(), 1);
    check_refused(place.read("b", late.plus(101 * DAY)), "`timestamp.json` of the index has expired");
}

#[test]
fn an_index_that_has_expired_or_is_older_than_it_was_is_refused() {
    let place = Place::new();
    place.read("a", NOW).unwrap();
    let old: Vec<(PathBuf, Vec<u8>)> = files(&place.path().join("metadata"));
    check_refused(place.read("a", NOW.plus(31 * DAY)), "`timestamp.json` of the index has expired");
    check_refused(place.read("fresh", NOW.plus(366 * DAY)), "has expired");
    place.publish("1.1.0", 2).unwrap();
    place.repository(NOW).sign(&place.online, 30).unwrap();
    place.read("a", NOW).unwrap();
    // Set back to what it was: those who saw the newer one see it.
    fs::remove_dir_all(place.path().join("metadata")).unwrap();
    fs::create_dir(place.path().join("metadata")).unwrap();
    old.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    check_refused(place.read("a", NOW), "is older than it was");
    assert_eq!(place.versions("b"), ["1.0.0"]);
    // A clock that was set back would make it seem fresh for ever.
    check_refused(place.read("b", Millis(NOW.0 - 365 * DAY)), "365 days behind");
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_byte_changed_anywhere_in_an_index_is_seen() {
    let place = Place::new();
    let right = place.read("right", NOW).unwrap();
    let mut of_all = files(&place.path().join("metadata"));
    of_all.extend(files(&place.path().join("targets/acme/clock")));
    for (path, whole) in of_all {
        // Every byte would be as good; a dozen of each file are quick.
        for at in (0..whole.len()).step_by((whole.len() / 12).max(1)) {
            let mut other = whole.clone();
            other[at] ^= 1;
            fs::write(&path, &other).unwrap();
            let found = place.read(&format!("home-{at}"), NOW);
            let same = |listed: &Vec<Listed>| *listed == right;
            assert!(found.as_ref().map_or(true, same), "{} byte {at}: {found:?}", path.display());
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn keys_of_an_index_are_replaced_and_whoever_trusted_the_old_ones_follows() {
    let place = Place::new();
    place.read("a", NOW).unwrap();
    let keys = place.directory.path().join("keys-of-all");
    let (root, online) = (key::create(&keys, "root-2").unwrap(), key::create(&keys, "online-2").unwrap());
    let stranger = key::create(&keys, "stranger").unwrap();
    assert!(place.repository(NOW).rotate((&stranger, None), (&root, &online), 30).is_err());
    place.repository(NOW).rotate((&place.root, Some(&place.online)), (&root, &online), 30).unwrap();
    assert_eq!((place.versions("a"), place.versions("new")), (vec!["1.0.0".to_owned()], vec!["1.0.0".to_owned()]));
    assert!(place.repository(NOW).sign(&place.online, 30).is_err(), "the old key signs nothing any more");
    // Whoever comes later pins the new key, and needs no word of the old one.
    let (source, home) = (Source::Directory(place.path()), place.home("later"));
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let later = threads.block_on(Index::read(&home, "main", PublicKey::of(&root), &source, NOW)).unwrap();
    assert_eq!(later.root_version(), 2);
    // A third root that the second one's keys did not sign.
    let path = place.path().join("metadata/3.root.json");
    fs::write(&path, fs::read_to_string(place.path().join("metadata/1.root.json")).unwrap()).unwrap();
    check_refused(place.read("a", NOW), "root 3 of the index is not signed by those of root 2");
}

#[test]
fn an_index_of_another_root_and_a_publisher_of_another_key_are_refused() {
    let place = Place::new();
    let source = Source::Directory(place.path());
    let home = place.home("a");
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = threads.block_on(Index::read(&home, "main", PublicKey::of(&place.acme), &source, NOW));
    assert!(read.is_err_and(|fault| fault.message.contains("no root of the index is signed by the key")));
    let keys = place.directory.path().join("keys-of-all");
    let other = key::create(&keys, "other").unwrap();
    let (package, bytes) = package("1.1.0", 2);
    let repository = place.repository(NOW);
    let told = repository.publish(&package, &bytes, b"", &other).unwrap_err();
    assert!(told.message.contains("knows `acme` by another key"), "{told}");
    assert!(repository.add("acme", &PublicKey::of(&other).into(), &other).is_err(), "not the key of the index");
    assert!(repository.add("timestamp", &PublicKey::of(&other).into(), &place.root).is_err());
    // The publisher's list as it was, under a key that the index took from it.
    repository.add("acme", &PublicKey::of(&other).into(), &place.root).unwrap();
    assert_eq!(repository.sign(&place.online, 30).unwrap().unsigned, ["acme"]);
    check_refused(place.read("b", NOW), "`acme.json` of the index is not signed by whom it should be");
    repository.publish(&package, &bytes, b"", &other).unwrap();
    assert_eq!(repository.sign(&place.online, 30).unwrap(), Signed::default());
    repository.remove("acme", &place.root).unwrap();
    repository.sign(&place.online, 30).unwrap();
}

#[test]
fn a_list_of_several_keys_is_believed_when_enough_of_them_have_signed_the_same() {
    let place = Place::new();
    let keys = place.directory.path().join("keys-of-all");
    let (second, third) = (key::create(&keys, "second").unwrap(), key::create(&keys, "third").unwrap());
    let holders = Holders::new([&place.acme, &second, &third].map(PublicKey::of), 2).unwrap();
    let repository = place.repository(NOW);
    repository.add("acme", &holders, &place.root).unwrap();
    assert_eq!(repository.sign(&place.online, 30).unwrap().unsigned, ["acme"]);
    check_refused(place.read("a", NOW), "`acme.json` of the index is not signed by whom it should be");
    let publish = |version: &str, seq, key: &SigningKey| {
        let (package, bytes) = package(version, seq);
        let statement = Statement::of(&package, holders.clone());
        let envelope = statement.add_to(&statement.sign(&place.acme), &second).unwrap();
        repository.publish(&package, &bytes, &envelope, key)
    };
    let signed = |signed| Listing { signed, threshold: 2 };
    assert_eq!(publish("1.1.0", 2, &second).unwrap(), signed(1));
    // The same key once more is one key.
    assert_eq!(publish("1.1.0", 2, &second).unwrap(), signed(1));
    assert_eq!(repository.sign(&place.online, 30).unwrap().waiting, ["acme"]);
    check_refused(place.read("a", NOW), "is not signed by whom it should be");
    assert_eq!(publish("1.1.0", 2, &place.acme).unwrap(), signed(2));
    assert_eq!(repository.sign(&place.online, 30).unwrap(), Signed::default());
    assert_eq!(place.versions("a"), ["1.0.0", "1.1.0"], "what was listed before is listed still");
    assert!(place.read("a", NOW).unwrap().iter().all(|listed| listed.holders == holders));
    // What waits holds back nothing, and whoever says otherwise begins anew.
    assert_eq!(publish("1.2.0", 3, &third).unwrap(), signed(1));
    assert_eq!(repository.sign(&place.online, 30).unwrap().waiting, ["acme"]);
    assert_eq!(place.versions("a"), ["1.0.0", "1.1.0"]);
    let yank = |key| repository.yank("acme:clock", "1.1.0", "it loses letters", key).unwrap();
    assert_eq!(yank(&second), signed(1), "the list that waits says something else");
    assert_eq!(yank(&third), signed(2));
    assert_eq!(repository.sign(&place.online, 30).unwrap(), Signed::default());
    let yanked = place.read("a", NOW).unwrap().iter().filter(|listed| listed.listing.yanked.is_some()).count();
    assert_eq!((yanked, place.versions("a").len()), (1, 2));
}

#[test]
fn a_file_that_an_index_names_strangely_is_never_asked_for() {
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let source = Source::Directory("/".into());
    for name in ["../etc/passwd", "/etc/passwd", "a//b", "a/./b", "a\nb", "a?b", "a%2e", ""] {
        assert!(threads.block_on(source.get(name, 10)).is_err(), "{name}");
    }
}
