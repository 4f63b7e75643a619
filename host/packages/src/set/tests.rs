//! What is installed after a crash at any step, and after two who install at once.

use super::*;
use crate::key::{self, PublicKey};
use crate::keyring::How;
use crate::lock::{Consent, fixture};

fn release(agent: &str, version: &str, seq: u64) -> (Release, Vec<u8>) {
    let bytes = format!("{agent} {version}").into_bytes();
    let digest = digest(&bytes);
    let consent = Consent { to: Hex(digest), ..fixture::release(version, seq).consent };
    let (name, digest) = (format!("acme:{agent}"), Hex(digest));
    let release = Release { name, digest, capabilities: digest, consent, ..fixture::release(version, seq) };
    (release, bytes)
}

fn grant(agent: &str, why: &str) -> String {
    format!("format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nwhy = \"{why}\"\n[budget]\nusd_day = \"1.00\"\n")
}

fn install(set: &mut Set, agent: &str, version: &str, seq: u64) -> Result<(), Fault> {
    let (release, bytes) = release(agent, version, seq);
    let text = grant(agent, version);
    let (component, grant, roots) = (bytes.as_slice(), Some(text.as_str()), BTreeMap::new());
    let instead_of = set.lock().agents.get(agent).map(|installed| installed.now.digest.0);
    let (envelope, trusted, goes_back) = (None, None, false);
    set.install(vec![New { agent, instead_of, release, component, envelope, grant, roots, goes_back, trusted }])
}

/// What is installed: the version that the lock, the component and the grant speak of, once somebody has looked.
fn found(home: &Path) -> Option<String> {
    let set = Set::open(home).expect("whatever happened, the set can be opened");
    let now = set.lock().agents.get("clock").map(|installed| installed.now.clone());
    let grant = fs::read_to_string(home.join("policies/50-clock.toml")).ok();
    let Some(now) = now else {
        assert_eq!(grant, None, "a grant of nobody");
        return None;
    };
    verified(home, &now).expect("its component is here");
    assert!(grant.is_some_and(|text| text.contains(&now.version)), "its own grant is in force");
    Some(now.version)
}

#[test]
fn a_crash_at_any_step_leaves_the_old_set_or_the_new_one() {
    type Change = fn(&mut Set) -> Result<(), Fault>;
    let changes: [(Change, Option<&str>, Option<&str>); 4] = [
        (|set| install(set, "clock", "1.0.0", 1), None, Some("1.0.0")),
        (|set| install(set, "clock", "1.1.0", 2), Some("1.0.0"), Some("1.1.0")),
        (|set| set.roll_back(&["clock"]).map(drop), Some("1.1.0"), Some("1.0.0")),
        (|set| set.uninstall(&["clock"]).map(drop), Some("1.0.0"), None),
    ];
    let whole = tempfile::tempdir().unwrap();
    for (change, old, new) in changes {
        let (mut steps, mut saw_old, mut saw_new) = (0, false, false);
        loop {
            // Each crash happens to a home of its own that is as far as the last change.
            let home = tempfile::tempdir().unwrap();
            copy(whole.path(), home.path());
            let mut set = Set::open(home.path()).unwrap();
            file::crash::after(Some(steps));
            let done = change(&mut set);
            let ended = !file::crash::has_been();
            file::crash::after(None);
            drop(set);
            let now = found(home.path());
            assert!([old, new].contains(&now.as_deref()), "after {steps} steps: {now:?}");
            saw_old |= now.as_deref() == old;
            saw_new |= now.as_deref() == new;
            // Whoever is told that it failed knows whether it is made.
            let is_made = done.as_ref().err().is_none_or(|fault| fault.message.contains("is made, and not finished"));
            assert!(!is_made || now.as_deref() == new, "after {steps} steps: {done:?}");
            if ended {
                assert_eq!((done, now.as_deref()), (Ok(()), new));
                break;
            }
            steps += 1;
        }
        assert!(steps >= 8 && saw_old && saw_new, "{steps} steps");
        change(&mut Set::open(whole.path()).unwrap()).unwrap();
    }
}

#[test]
fn a_team_is_installed_whole_or_not_at_all_and_nobody_takes_away_what_others_require() {
    let whole = tempfile::tempdir().unwrap();
    let new = |set: &mut Set, members: &[(&str, &str, u64, &[&str])]| {
        let made: Vec<_> = members.iter().map(|(agent, version, seq, _)| release(agent, version, *seq)).collect();
        let grants: Vec<String> = members.iter().map(|(agent, version, ..)| grant(agent, version)).collect();
        let news =
            members.iter().zip(&made).zip(&grants).map(|(((agent, _, _, requires), (release, bytes)), grant)| New {
                agent,
                instead_of: set.lock().agents.get(*agent).map(|installed| installed.now.digest.0),
                release: Release {
                    provides: Some(vec![format!("{agent}-words")]),
                    requires: requires.iter().map(|text| (*text).to_owned()).collect(),
                    ..release.clone()
                },
                component: bytes,
                envelope: None,
                grant: Some(grant),
                roots: BTreeMap::new(),
                goes_back: false,
                trusted: None,
            });
        let news = news.collect();
        set.install(news)
    };
    let team: [(&str, &str, u64, &[&str]); 2] =
        [("clock", "1.0.0", 1, &["scribe-words@^1"]), ("scribe", "1.0.0", 1, &[])];
    let (mut steps, mut saw_none, mut saw_all) = (0, false, false);
    loop {
        let home = tempfile::tempdir().unwrap();
        let mut set = Set::open(home.path()).unwrap();
        file::crash::after(Some(steps));
        let done = new(&mut set, &team);
        file::crash::after(None);
        drop(set);
        found(home.path());
        let set = Set::open(home.path()).unwrap();
        assert!([0, 2].contains(&set.lock().agents.len()), "after {steps} steps: {:?}", set.lock().agents.keys());
        saw_none |= set.lock().agents.is_empty();
        saw_all |= set.lock().agents.len() == 2;
        if done.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 12 && saw_none && saw_all, "{steps} steps");
    let mut set = Set::open(whole.path()).unwrap();
    assert!(new(&mut set, &team[..1]).unwrap_err().message.contains("`clock` requires scribe-words@^1"));
    assert!(set.lock().agents.is_empty());
    new(&mut set, &team).unwrap();
    assert!(set.uninstall(&["scribe"]).unwrap_err().message.contains("`scribe` is required by `clock`"));
    assert!(new(&mut set, &[("scribe", "2.0.0", 2, &[])]).unwrap_err().message.contains("`clock` requires"));
    // Both at once, and back again one alone: what was before does not meet what is now.
    new(&mut set, &[("scribe", "2.0.0", 2, &[]), ("clock", "2.0.0", 2, &["acme:scribe@^2"])]).unwrap();
    assert!(set.roll_back(&["scribe"]).unwrap_err().message.contains("`clock` requires acme:scribe@^2"));
    let circle = new(&mut set, &[("scribe", "2.1.0", 3, &["clock-words"])]).unwrap_err();
    assert!(circle.message.contains("clock → scribe → clock"), "{circle}");
    set.roll_back(&["scribe", "clock"]).unwrap();
    assert_eq!(set.lock().agents.values().map(|one| one.now.version.as_str()).collect::<Vec<_>>(), ["1.0.0", "1.0.0"]);
    set.uninstall(&["scribe", "clock"]).unwrap();
    assert!(set.lock().agents.is_empty());
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let into = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&into).unwrap();
            copy(&entry.path(), &into);
        } else {
            fs::copy(entry.path(), into).unwrap();
        }
    }
}

#[test]
fn folders_go_back_with_the_version_and_an_older_one_comes_by_a_persons_word_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut set = Set::open(home.path()).unwrap();
    let put = |set: &mut Set, version: &str, seq: u64, roots: BTreeMap<String, PathBuf>, goes_back: bool| {
        let (release, bytes) = release("clock", version, seq);
        let instead_of = set.lock().agents.get("clock").map(|installed| installed.now.digest.0);
        let (agent, component, envelope, grant, trusted) = ("clock", bytes.as_slice(), None, None, None);
        set.install(vec![New { agent, instead_of, release, component, envelope, grant, roots, goes_back, trusted }])
    };
    let documents = BTreeMap::from([("documents".to_owned(), PathBuf::from("/a"))]);
    put(&mut set, "1.0.0", 1, documents.clone(), false).unwrap();
    put(&mut set, "1.1.0", 2, BTreeMap::new(), false).unwrap();
    assert!(set.lock().all_roots().is_empty());
    set.roll_back(&["clock"]).unwrap();
    assert_eq!(set.lock().all_roots(), documents);
    let told = set.roll_back(&["clock"]).unwrap_err();
    assert!(told.message.contains("no version of `clock` before 1.0.0") && told.hint.contains("1.1.0"), "{told}");
    // Once it is gone, the older one comes by a person's word alone.
    set.uninstall(&["clock"]).unwrap();
    assert!(put(&mut set, "1.0.0", 1, documents.clone(), false).unwrap_err().message.contains("older than what was"));
    put(&mut set, "1.0.0", 1, documents, true).unwrap();
    assert_eq!(set.lock().highest["acme:clock"], 2);
}

#[test]
fn two_who_install_at_once_have_their_turns() {
    let home = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for agent in ["clock", "scribe", "keeper", "mail"] {
            let home = home.path();
            scope.spawn(move || install(&mut Set::open(home).unwrap(), agent, "1.0.0", 1).unwrap());
        }
    });
    let set = Set::open(home.path()).unwrap();
    assert_eq!(set.lock().agents.len(), 4);
    assert!(set.lock().agents.values().all(|installed| verified(home.path(), &installed.now).is_ok()));
}

#[test]
fn what_was_decided_on_another_set_is_not_done() {
    let home = tempfile::tempdir().unwrap();
    let mut set = Set::open(home.path()).unwrap();
    install(&mut set, "clock", "1.0.0", 1).unwrap();
    let (release, bytes) = release("clock", "1.1.0", 2);
    let (agent, component, roots) = ("clock", bytes.as_slice(), BTreeMap::new());
    let (envelope, grant, trusted, goes_back) = (None, None, None, false);
    let new = New { agent, instead_of: None, release, component, envelope, grant, roots, goes_back, trusted };
    assert!(set.install(vec![new]).unwrap_err().message.contains("changed by another command meanwhile"));
    assert_eq!(found_in(&set), Some("1.0.0"));
}

fn found_in(set: &Set) -> Option<&str> {
    set.lock().agents.get("clock").map(|installed| installed.now.version.as_str())
}

#[test]
fn a_grant_that_an_admin_changed_is_left_alone_and_told() {
    let home = tempfile::tempdir().unwrap();
    let mut set = Set::open(home.path()).unwrap();
    install(&mut set, "clock", "1.0.0", 1).unwrap();
    let path = home.path().join("policies/50-clock.toml");
    fs::write(&path, grant("clock", "mine")).unwrap();
    install(&mut set, "clock", "1.1.0", 2).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("mine"));
    assert!(set.notes()[0].contains("was changed by hand"), "{:?}", set.notes());
    set.uninstall(&["clock"]).unwrap();
    assert!(path.exists());
}

#[test]
fn what_a_revoked_key_signed_is_granted_nothing_and_never_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let key = PublicKey::of(&key::create(home.path(), "acme").unwrap());
    let mut set = Set::open(home.path()).unwrap();
    let text = grant("clock", "1.0.0");
    let put = |set: &mut Set, version: &str, seq: u64| {
        let (release, bytes) = release("clock", version, seq);
        let release = Release { vouched: Some(key.into()), ..release };
        let (component, grant, roots) = (bytes.as_slice(), Some(text.as_str()), BTreeMap::new());
        let known = Known { party: key.into(), how: How::Pinned, since: Millis(1) };
        let trusted = Some(("acme".to_owned(), known));
        let instead_of = set.lock().agents.get("clock").map(|installed| installed.now.digest.0);
        let (agent, envelope, goes_back) = ("clock", None, false);
        set.install(vec![New { agent, instead_of, release, component, envelope, grant, roots, goes_back, trusted }])
    };
    put(&mut set, "1.0.0", 1).unwrap();
    // However the admin has called it.
    let (ours, theirs) = ("policies/50-clock.toml", "policies/70-mine.toml");
    fs::rename(home.path().join(ours), home.path().join(theirs)).unwrap();
    let agents = set.revoke(Lost::Key(key), Revoked { since: Millis(9), because: "stolen".into() }).unwrap();
    assert_eq!(agents, ["clock"]);
    assert!(!home.path().join(theirs).exists() && home.path().join("withdrawn/70-mine.toml").exists());
    assert!(put(&mut set, "9.9.9", 99).unwrap_err().message.contains("is revoked: stolen"));
    assert!(set.roll_back(&["clock"]).is_err());
}

#[test]
fn a_version_is_seen_first_once() {
    let home = tempfile::tempdir().unwrap();
    let mut set = Set::open(home.path()).unwrap();
    assert_eq!(set.seen(Digest([1; 32]), Millis(5)).unwrap(), Millis(5));
    assert_eq!(set.seen(Digest([1; 32]), Millis(9)).unwrap(), Millis(5));
}
