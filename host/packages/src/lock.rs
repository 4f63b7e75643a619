//! `agents.lock`: which agents are installed, of which version, signed by whom, and what a person agreed to. One file that is replaced
//! whole, so the set is the old one or the new one; a check over all of it tells a flipped bit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agentry_config::policies;
use agentry_engine::package::canonical_json;
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fault::{Fault, unreadable};
use crate::file;
use crate::holders::Vouched;
use crate::limits::{INSTALLED_MAX, LOCK_MAX_BYTES, PREVIOUS_MAX, SIGNED_MAX};
use crate::name::bytes;
use crate::team::{Member, Team};

/// The file's name in the home.
pub const LOCK_FILE: &str = "agents.lock";

/// Its version.
const FORMAT: u32 = 3;

/// Those before it: they say less, and nothing otherwise.
const FORMATS_BEFORE: [u32; 2] = [1, 2];

/// Where components lie, each under its digest.
pub(crate) const DIRECTORY: &str = "packages";

/// A digest as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub Digest);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(from)?;
        bytes(&digits).map(|bytes| Self(Digest(bytes))).ok_or_else(|| serde::de::Error::custom("no digest"))
    }
}

/// Who said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A person, to what was shown.
    Person,
    /// A grant that an admin had written before.
    Policy,
    /// An update of the same key that may do no more.
    Update,
}

/// What was agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who.
    pub by: By,
    /// When.
    pub at: Millis,
    /// To which digest and capability set: see [`consent`].
    pub to: Hex,
}

/// A version of an agent, as it was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// `publisher:name`
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Of its file.
    pub digest: Hex,
    /// As of its manifest.
    pub seq: u64,
    /// Who may sign for its publisher and who did; none if a person named it by its digest.
    #[serde(rename = "key")]
    pub vouched: Option<Vouched>,
    /// What it asks for: see `statement::capabilities`.
    pub capabilities: Hex,
    /// What was agreed to.
    pub consent: Consent,
    /// The index that it is from; none if from a file.
    pub index: Option<String>,
    /// What it provides; none if the version that installed it did not write that down.
    #[serde(default)]
    pub provides: Option<Vec<String>>,
    /// What it requires, as text.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The grant that came with it: its file in the policy directory and the digest of its text. None if an admin's own holds.
    pub grant: Option<GrantFile>,
}

/// A grant as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantFile {
    /// Its name in the policy directory.
    pub file: String,
    /// Of its text.
    pub digest: Hex,
}

/// An agent that is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// What runs now.
    pub now: Release,
    /// What ran before, the newest first: the first one is what a rollback takes.
    pub previous: Vec<Release>,
}

/// Something that is to be done in the policy directory for the set to be what the lock says; it may be done already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Pending {
    /// A grant takes its place.
    Place {
        /// Which.
        grant: GrantFile,
        /// The digest of the one that it may replace; none replaces none.
        instead_of: Option<Hex>,
    },
    /// A grant goes, if it is still as it was written.
    Withdraw {
        /// Which.
        grant: GrantFile,
    },
}

/// All agents that are installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: u32,
    /// By the name that they run by.
    pub agents: BTreeMap<String, Installed>,
    /// The highest sequence number of each package that was ever installed here.
    pub highest: BTreeMap<String, u64>,
    /// The digest of the file that had it: that one may come again after it was taken away.
    #[serde(default)]
    pub newest: BTreeMap<String, Hex>,
    /// What the roots of their grants stand for, of each agent.
    pub roots: BTreeMap<String, BTreeMap<String, PathBuf>>,
    /// When a version was first seen, by its digest in hexadecimal digits: from then on it cools off.
    pub seen: BTreeMap<String, Millis>,
    /// Who signed each version that was ever installed here, by its digest in hexadecimal digits: runs of it that wait go on for as long
    /// as its grant does.
    #[serde(default)]
    pub signed: BTreeMap<String, Vouched>,
    /// What is not finished.
    pub pending: Vec<Pending>,
}

impl Default for Lock {
    fn default() -> Self {
        let (agents, highest, newest, roots, seen, signed) = Default::default();
        Self { format: FORMAT, agents, highest, newest, roots, seen, signed, pending: Vec::new() }
    }
}

/// What a yes is bound to: these bytes and this set of wishes, wherever they come from and whatever they are called.
pub fn consent(digest: Digest, capabilities: Digest) -> Digest {
    let mut sha = Sha256::new();
    sha.update(b"agentry consent\0");
    sha.update(digest.0);
    sha.update(capabilities.0);
    Digest(sha.finalize().into())
}

/// Where the component of this digest lies in a home.
pub fn component(home: &Path, digest: Digest) -> PathBuf {
    home.join(DIRECTORY).join(format!("{digest}.wasm"))
}

/// The digest that a component must have which lies where components of packages do; none if it lies elsewhere.
pub fn digest_of_path(path: &Path) -> Option<Digest> {
    let of_packages = path.parent()?.file_name()? == DIRECTORY;
    let digits = path.file_name()?.to_str()?.strip_suffix(".wasm")?;
    bytes(digits).map(Digest).filter(|_| of_packages)
}

impl Lock {
    /// The lock of this home; without one, nothing is installed.
    ///
    /// # Errors
    /// If it cannot be read, or is not as it was written.
    pub fn load(home: &Path) -> Result<Self, Fault> {
        let path = home.join(LOCK_FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = policies::text_within(&path, LOCK_MAX_BYTES).map_err(|why| unreadable(&why))?;
        let damaged = |why: &str| {
            let hint = "get it back out of a backup, or move it away and install the agents again";
            Fault::damaged(format!("{} is not as it was written: {why}", path.display()), hint)
        };
        let mut value: Value = serde_json::from_str(&text).map_err(|why| damaged(&why.to_string()))?;
        let check = value.as_object_mut().and_then(|fields| fields.remove("check"));
        if check.as_ref().and_then(Value::as_str) != Some(&*check_of(&value)) {
            return Err(damaged("its check does not fit"));
        }
        if value["format"] != FORMAT && FORMATS_BEFORE.iter().all(|before| value["format"] != *before) {
            let message = format!("{} has another format, and this version reads {FORMAT}", path.display());
            return Err(Fault::usage(message, "use the agentry that wrote it, or a later one"));
        }
        let lock: Self = serde_json::from_value(value).map_err(|why| damaged(&why.to_string()))?;
        Ok(Self { format: FORMAT, ..lock })
    }

    pub(crate) fn save(&self, home: &Path, by_way_of: &Path) -> Result<(), Fault> {
        if self.agents.len() > INSTALLED_MAX {
            let message = format!("more than {INSTALLED_MAX} agents are installed");
            return Err(Fault::usage(message, "`agentry uninstall NAME` takes one away"));
        }
        let mut value = serde_json::to_value(self).expect("a lock has nothing that JSON lacks");
        value["check"] = check_of(&value).into();
        let mut text = serde_json::to_string_pretty(&value).expect("it was a value");
        text.push('\n');
        if text.len() > LOCK_MAX_BYTES {
            return Err(Fault::usage("the lock is too long", "`agentry uninstall NAME` takes an agent away"));
        }
        file::write(&home.join(LOCK_FILE), text.as_bytes(), by_way_of, 0o600)
    }

    /// Whether a release may follow what was here: it is no older than anything that was.
    ///
    /// # Errors
    /// If it is.
    pub fn follows(&self, name: &str, seq: u64, digest: Digest) -> Result<(), Fault> {
        let Some(highest) = self.highest.get(name).copied() else { return Ok(()) };
        let agent = name.split_once(':').map_or(name, |(_, agent)| agent);
        let known = |installed: &Installed| {
            std::iter::once(&installed.now).chain(&installed.previous).any(|release| release.digest.0 == digest)
        };
        let was = self.newest.get(name).is_some_and(|newest| newest.0 == digest);
        let same = was || self.agents.get(agent).is_some_and(known);
        if seq > highest || seq == highest && same {
            return Ok(());
        }
        let message = match seq == highest {
            true => format!("another file of {name} had the sequence number {seq} here"),
            false => {
                format!("{name} is older than what was here: its sequence number is {seq}, and {highest} was installed")
            }
        };
        let hint = format!("nobody can be handed an older version; your own way back is: agentry rollback {agent}");
        Err(Fault::denied(message, hint))
    }

    /// A release takes the place of the one before, which is kept.
    pub fn put(&mut self, agent: &str, release: Release) {
        let highest = self.highest.entry(release.name.clone()).or_default();
        if release.seq >= *highest {
            *highest = release.seq;
            self.newest.insert(release.name.clone(), release.digest);
        }
        if let Some(vouched) = release.vouched.clone() {
            self.keep_signers(release.digest.0.to_string(), vouched);
        }
        match self.agents.get_mut(agent) {
            None => {
                self.agents.insert(agent.to_owned(), Installed { now: release, previous: Vec::new() });
            }
            Some(installed) if installed.now.digest == release.digest => installed.now = release,
            Some(installed) => {
                let before = std::mem::replace(&mut installed.now, release);
                installed.previous.retain(|release| release.digest != installed.now.digest);
                installed.previous.insert(0, before);
                installed.previous.truncate(PREVIOUS_MAX);
            }
        }
    }

    fn keep_signers(&mut self, digest: String, vouched: Vouched) {
        self.signed.insert(digest, vouched);
        if self.signed.len() > SIGNED_MAX {
            let named: BTreeSet<String> = self.releases().map(|release| release.digest.0.to_string()).collect();
            let others = self.signed.keys().filter(|digest| !named.contains(*digest)).cloned();
            let too_many: BTreeSet<String> = others.take(self.signed.len() - SIGNED_MAX).collect();
            self.signed.retain(|digest, _| !too_many.contains(digest));
        }
    }

    /// Whose signatures each version has that is or was installed, as far as it has some.
    pub fn signers(&self) -> impl Iterator<Item = (Digest, &Vouched)> {
        let were = self.signed.iter().filter_map(|(digest, vouched)| Some((Digest(bytes(digest)?), vouched)));
        were.chain(self.releases().filter_map(|release| Some((release.digest.0, release.vouched.as_ref()?))))
    }

    /// The one before takes the place of the present one, which is kept as well: so nothing is lost by a mistake.
    pub fn back(&mut self, agent: &str) -> Option<&Release> {
        let installed = self.agents.get_mut(agent)?;
        if installed.previous.is_empty() {
            return None;
        }
        let before = installed.previous.remove(0);
        let now = std::mem::replace(&mut installed.now, before);
        installed.previous.push(now);
        installed.previous.truncate(PREVIOUS_MAX);
        Some(&installed.now)
    }

    /// What each root stands for, of all agents together.
    pub fn all_roots(&self) -> BTreeMap<String, PathBuf> {
        self.roots.values().flatten().map(|(root, directory)| (root.clone(), directory.clone())).collect()
    }

    /// Those that run now, as they need each other.
    pub fn team(&self) -> Team {
        let member = |(agent, installed): (&String, &Installed)| {
            let now = &installed.now;
            let (name, version, provides) = (now.name.clone(), now.version.clone(), now.provides.clone());
            let requires = now.requires.iter().filter_map(|text| text.parse().ok()).collect();
            Member { agent: agent.clone(), name, version, provides, requires }
        };
        self.agents.iter().map(member).collect()
    }

    /// Every release that it names.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.agents.values().flat_map(|installed| std::iter::once(&installed.now).chain(&installed.previous))
    }
}

fn check_of(value: &Value) -> String {
    Digest(Sha256::digest(canonical_json(value)).into()).to_string()
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// A release of `acme:clock`, unsigned and without a grant; its digest is that of its version.
    pub(crate) fn release(version: &str, seq: u64) -> Release {
        let digest = Digest(Sha256::digest(version).into());
        let consent = Consent { by: By::Person, at: Millis(5), to: Hex(digest) };
        Release {
            name: "acme:clock".into(),
            version: version.into(),
            digest: Hex(digest),
            seq,
            vouched: None,
            capabilities: Hex(digest),
            consent,
            index: None,
            provides: Some(vec![]),
            requires: vec![],
            grant: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::release;
    use super::*;
    use crate::holders::Holders;
    use crate::key::PublicKey;

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
            assert!(
                Lock::load(home.path()).is_ok_and(|other| other == lock) || Lock::load(home.path()).is_err(),
                "{at}"
            );
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
        assert!(
            lock.follows("acme:clock", 2, older.digest.0).unwrap_err().message.contains("older than what was here")
        );
        assert!(lock.follows("acme:clock", 3, Digest([1; 32])).unwrap_err().message.contains("another file"));
        assert_eq!(lock.back("clock").map(|release| release.version.clone()), Some("1.1.0".into()));
        // What was here before may come again by its own yes.
        let newest = release("1.2.0", 3);
        lock.follows("acme:clock", 3, newest.digest.0).unwrap();
        assert_eq!(lock.releases().count(), 3);
        assert!(
            lock.follows("acme:clock", 2, older.digest.0).is_err(),
            "it is here, and nobody can hand it over again"
        );
        assert_eq!(lock.back("nobody"), None);
        // Taken away, the newest may come again, and no other.
        lock.agents.clear();
        lock.follows("acme:clock", 3, newest.digest.0).unwrap();
        assert!(lock.follows("acme:clock", 3, Digest([1; 32])).is_err());
        assert!(lock.follows("acme:clock", 2, older.digest.0).is_err());
    }

    #[test]
    fn locks_of_this_version_and_of_those_before_stay_readable() {
        let home = tempfile::tempdir().unwrap();
        let mut lock = Lock::default();
        let key = |digits: &str| format!("ed25519:{}", digits.repeat(32)).parse::<PublicKey>().unwrap();
        let several = Holders::new(["0a", "0b", "0c"].map(key), 2).unwrap();
        let several = Vouched { holders: several, by: ["0a", "0c"].map(key).into() };
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
        lock.save(home.path(), home.path()).unwrap();
        let written = std::fs::read_to_string(home.path().join(LOCK_FILE)).unwrap();
        expect_test::expect_file!["../../../tests/golden/agents-3.lock"].assert_eq(&written);
        assert_eq!(Lock::load(home.path()).unwrap(), lock);
        let one = Vouched::from(key("0a"));
        std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../tests/golden/agents-2.lock")).unwrap();
        let before = Lock::load(home.path()).unwrap();
        assert_eq!((before.highest.clone(), before.seen.clone()), (lock.highest.clone(), lock.seen.clone()));
        assert!(before.signers().count() == 6 && before.signers().all(|(_, vouched)| *vouched == one));
        std::fs::write(home.path().join(LOCK_FILE), include_str!("../../../tests/golden/agents-1.lock")).unwrap();
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
}
