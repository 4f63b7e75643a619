//! A lock comes back as it was written, by this version and those before, and what it lets follow or come back.

use super::fixture::release;
use super::*;
use crate::holders::{Holders, Vouched};
use crate::identity::{Certified, Identity};
use crate::key::PublicKey;
use crate::keyring::{Keyring, PUBLISHERS_FILE};
use crate::limits::KEYRING_MAX_BYTES;

#[test]
fn a_lock_comes_back_and_every_flipped_bit_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let mut lock = Lock::default();
    lock.put("clock", release("1.0.0", 1));
    lock.roots.entry("clock".into()).or_default().insert("documents".into(), "/a".into());
    lock.save(home.path(), home.path()).unwrap();
    assert_eq!(Lock::load(home.path()).unwrap(), lock);
    let path = home.path().join(LOCK_FILE);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1;
        std::fs::write(&path, &other).unwrap();
        // A letter of a space is another letter; where it is a space of another kind, nothing is said otherwise.
        assert!(Lock::load(home.path()).is_ok_and(|other| other == lock) || Lock::load(home.path()).is_err(), "{at}");
    }
    for at in 0..whole.len() - 1 {
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(Lock::load(home.path()).is_err(), "cut at {at}");
    }
}

#[test]
fn a_sequence_number_only_grows_and_a_rollback_is_a_persons_own() {
    let mut lock = Lock::default();
    for (version, seq) in [("1.0.0", 1), ("1.1.0", 2), ("1.2.0", 3)] {
        let release = release(version, seq);
        lock.follows("acme:clock", seq, release.digest.0).unwrap();
        lock.put("clock", release);
    }
    let older = release("1.1.0", 2);
    assert!(lock.follows("acme:clock", 2, older.digest.0).unwrap_err().message.contains("older than what was here"));
    assert!(lock.follows("acme:clock", 3, Digest([1; 32])).unwrap_err().message.contains("another file"));
    assert_eq!(lock.back("clock").map(|release| release.version.clone()), Some("1.1.0".into()));
    // What was here before may come again by its own yes.
    let newest = release("1.2.0", 3);
    lock.follows("acme:clock", 3, newest.digest.0).unwrap();
    assert_eq!(lock.releases().count(), 3);
    lock.follows("acme:clock", 2, older.digest.0).unwrap();
    assert!(lock.follows("acme:clock", 1, release("1.0.0", 1).digest.0).is_err(), "it is kept, and does not run");
    assert_eq!(lock.back("nobody"), None);
    // Taken away, the newest may come again, and no other.
    lock.agents.clear();
    lock.follows("acme:clock", 3, newest.digest.0).unwrap();
    assert!(lock.follows("acme:clock", 3, Digest([1; 32])).is_err());
    let told = lock.follows("acme:clock", 2, older.digest.0).unwrap_err();
    assert!(told.hint.contains("`agentry install acme:clock` takes the newest"), "{told}");
}

#[test]
fn locks_of_this_version_and_of_those_before_stay_readable() {
    let home = tempfile::tempdir().unwrap();
    let mut lock = Lock::default();
    let key = |digits: &str| format!("ed25519:{}", digits.repeat(32)).parse::<PublicKey>().unwrap();
    let several = Holders::new(["0a", "0b", "0c"].map(key), 2).unwrap();
    let several = Voucher::from(Vouched { holders: several, by: ["0a", "0c"].map(key).into() });
    let grant = GrantFile { file: "50-clock.toml".into(), digest: Hex(Digest([4; 32])) };
    for (version, seq, by) in [("1.0.0", 1, By::Policy), ("1.1.0", 2, By::Update), ("1.2.0", 3, By::Person)] {
        let release = release(version, seq);
        let consent = Consent { by, ..release.consent.clone() };
        let vouched = Some(if seq == 3 { several.clone() } else { key("0a").into() });
        lock.put(
            "clock",
            Release { vouched, index: Some("main".into()), grant: Some(grant.clone()), consent, ..release },
        );
    }
    lock.roots.entry("clock".into()).or_default().insert("documents".into(), "/a".into());
    lock.seen.insert("00".repeat(32), Millis(7));
    lock.pending.push(Pending::Place { grant: grant.clone(), instead_of: Some(Hex(Digest([5; 32]))) });
    lock.pending.push(Pending::Withdraw { grant });
    let with_keys = lock.clone();
    let identity = Identity::new("https://a.example/flow@refs/tags/*", "https://accounts.example").unwrap();
    let by = "https://a.example/flow@refs/tags/v1".to_owned();
    let vouched = Some(Certified { identity, by, at: Millis(4) }.into());
    lock.put("keyless", Release { name: "acme:keyless".into(), vouched, ..release("9.0.0", 9) });
    lock.save(home.path(), home.path()).unwrap();
    let written = std::fs::read_to_string(home.path().join(LOCK_FILE)).unwrap();
    expect_test::expect_file!["../../../../tests/golden/agents-5.lock"].assert_eq(&written);
    assert_eq!(Lock::load(home.path()).unwrap(), lock);
    // Who signs by a certificate stands in this one alone.
    std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../../tests/golden/agents-4.lock")).unwrap();
    let lock = with_keys;
    assert_eq!(Lock::load(home.path()).unwrap(), lock);
    // Folders of versions that ran before stand in this one alone.
    std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../../tests/golden/agents-3.lock")).unwrap();
    let before = Lock::load(home.path()).unwrap();
    assert!(before.releases().all(|release| release.roots.is_none()));
    assert_eq!((before.signed.clone(), before.roots.clone()), (lock.signed.clone(), lock.roots.clone()));
    let one = Voucher::from(key("0a"));
    std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../../tests/golden/agents-2.lock")).unwrap();
    let before = Lock::load(home.path()).unwrap();
    assert_eq!((before.highest.clone(), before.seen.clone()), (lock.highest.clone(), lock.seen.clone()));
    assert!(before.signers().count() == 6 && before.signers().all(|(_, vouched)| *vouched == one));
    std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../../tests/golden/agents-1.lock")).unwrap();
    let before = Lock::load(home.path()).unwrap();
    assert_eq!((before.highest.clone(), before.roots.clone()), (lock.highest.clone(), lock.roots.clone()));
    assert!(before.releases().all(|release| release.provides.is_none() && release.requires.is_empty()));
    assert_eq!(before.signers().count(), 3, "what it says of its versions says who signed them");
}

#[test]
fn what_lies_where_packages_do_says_its_digest() {
    let digest = Digest([9; 32]);
    assert_eq!(digest_of_path(&component(Path::new("home"), digest)), Some(digest));
    assert_eq!(digest_of_path(Path::new("home/agents/a.wasm")), None);
    assert_eq!(digest_of_path(Path::new("home/packages/a.wasm")), None);
}

#[test]
fn a_rollback_goes_back_and_never_forward_and_folders_come_back_with_it() {
    let mut lock = Lock::default();
    let folder = |directory: &str| BTreeMap::from([("documents".to_owned(), PathBuf::from(directory))]);
    for (version, seq, roots) in [("1.0.0", 1, folder("/a")), ("1.1.0", 2, folder("/b")), ("1.2.0", 3, BTreeMap::new())]
    {
        lock.put("clock", release(version, seq));
        lock.roots.insert("clock".into(), roots);
    }
    let back = |lock: &mut Lock| lock.back("clock").map(|release| release.version.clone());
    assert_eq!((back(&mut lock).as_deref(), &lock.roots["clock"]), (Some("1.1.0"), &folder("/b")));
    assert_eq!((back(&mut lock).as_deref(), &lock.roots["clock"]), (Some("1.0.0"), &folder("/a")));
    assert_eq!(back(&mut lock), None, "what is kept is newer");
    // Forward by a yes of its own, and back to what ran before it.
    lock.put("clock", release("1.2.0", 3));
    lock.roots.insert("clock".into(), BTreeMap::new());
    assert_eq!((back(&mut lock).as_deref(), &lock.roots["clock"]), (Some("1.0.0"), &folder("/a")));
    // What a version before kept does not say its folders: those of now stay.
    lock.put("clock", release("1.3.0", 4));
    let kept = &mut lock.agents.get_mut("clock").unwrap().previous;
    kept.iter_mut().for_each(|release| release.roots = None);
    assert_eq!((back(&mut lock).as_deref(), &lock.roots["clock"]), (Some("1.0.0"), &folder("/a")));
    lock.roots.insert("scribe".into(), folder("/other"));
    assert!(lock.shares_folders("clock").unwrap_err().message.contains("is another folder for `scribe`"));
}

#[test]
fn a_link_to_nowhere_is_no_home_without_a_lock_or_publishers() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Lock::load(home.path()).unwrap(), Lock::default());
    assert_eq!(Keyring::load(home.path()).unwrap(), Keyring::default());
    for file in [LOCK_FILE, PUBLISHERS_FILE] {
        std::os::unix::fs::symlink("nowhere", home.path().join(file)).unwrap();
    }
    for told in [Lock::load(home.path()).unwrap_err(), Keyring::load(home.path()).unwrap_err()] {
        assert!(told.message.contains("is not a plain file") && told.hint.contains("links are not followed"), "{told}");
    }
    for (file, max_bytes) in [(LOCK_FILE, LOCK_MAX_BYTES), (PUBLISHERS_FILE, KEYRING_MAX_BYTES)] {
        std::fs::remove_file(home.path().join(file)).unwrap();
        std::fs::write(home.path().join(file), vec![b' '; max_bytes + 1]).unwrap();
    }
    for told in [Lock::load(home.path()).unwrap_err(), Keyring::load(home.path()).unwrap_err()] {
        assert!(told.message.contains("has more than") && told.hint.contains("out of a backup"), "{told}");
    }
}
