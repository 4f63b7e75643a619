//! `agents.lock`: which agents are installed, of which version, signed by whom, and what a person agreed to. One file that is replaced
//! whole, so the set is the old one or the new one; a check over all of it tells a flipped bit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agentry_engine::package::canonical_json;
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::file;
use crate::limits::{INSTALLED_MAX, LOCK_MAX_BYTES, PREVIOUS_MAX, SIGNED_MAX};
use crate::name::bytes;
use crate::party::Voucher;
use crate::team::{Member, Team};

/// The file's name in the home.
pub const LOCK_FILE: &str = "agents.lock";

/// Its version.
const FORMAT: u32 = 5;

/// Those before it: they say less, and nothing otherwise.
const FORMATS_BEFORE: [u32; 4] = [1, 2, 3, 4];

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
    pub vouched: Option<Voucher>,
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
    /// What its roots stood for when it ran last; none of what runs now, or if the version that kept it did not write that down.
    #[serde(default)]
    pub roots: Option<BTreeMap<String, PathBuf>>,
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
    /// What ran before, the last one first, and behind it what was left by a rollback: the first one that is older is what a rollback takes.
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
    pub signed: BTreeMap<String, Voucher>,
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

/// What a yes is bound to of whoever goes back to an older version, and was shown that it is one; the lock has that without it.
pub fn going_back(consent: Digest) -> Digest {
    let mut sha = Sha256::new();
    sha.update(b"agentry consent to go back\0");
    sha.update(consent.0);
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

impl Installed {
    /// Which of those before a rollback takes: never one that is newer than what runs now.
    fn before(&self) -> Option<usize> {
        self.previous.iter().position(|release| release.seq < self.now.seq)
    }
}

impl Lock {
    /// The lock of this home; without one, nothing is installed.
    ///
    /// # Errors
    /// If it cannot be read, or is not as it was written.
    pub fn load(home: &Path) -> Result<Self, Fault> {
        let path = home.join(LOCK_FILE);
        let Some(text) = file::text(&path, LOCK_MAX_BYTES)? else { return Ok(Self::default()) };
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
        let installed = self.agents.get(agent);
        let same = was || installed.is_some_and(known);
        // What runs now is handed to nobody by being named again, for another folder.
        let runs = installed.is_some_and(|installed| installed.now.name == name && installed.now.digest.0 == digest);
        if seq > highest || seq == highest && same || runs {
            return Ok(());
        }
        if seq == highest {
            let message = format!("another file of {name} had the sequence number {seq} here");
            return Err(Fault::denied(
                message,
                "one number is one file: its publisher gives the next one a higher `seq`",
            ));
        }
        let message =
            format!("{name} is older than what was here: its sequence number is {seq}, and {highest} was installed");
        let hint = match installed.and_then(Installed::before) {
            Some(_) => format!("nobody can be handed an older version; your own way back is: agentry rollback {agent}"),
            None => format!(
                "nobody can be handed an older version: `agentry install {name}` takes the newest; where its publisher took that back, an older one \
                 is named by its version"
            ),
        };
        Err(Fault::denied(message, hint))
    }

    /// Whether a release of this package with a higher number was ever installed here.
    pub fn is_older(&self, name: &str, seq: u64) -> bool {
        self.highest.get(name).is_some_and(|highest| seq < *highest)
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
                let roots = Some(self.roots.get(agent).cloned().unwrap_or_default());
                installed.previous.retain(|release| release.digest != installed.now.digest);
                installed.previous.insert(0, Release { roots, ..before });
                installed.previous.truncate(PREVIOUS_MAX);
            }
        }
    }

    fn keep_signers(&mut self, digest: String, vouched: Voucher) {
        self.signed.insert(digest, vouched);
        if self.signed.len() > SIGNED_MAX {
            let named: BTreeSet<String> = self.releases().map(|release| release.digest.0.to_string()).collect();
            let others = self.signed.keys().filter(|digest| !named.contains(*digest)).cloned();
            let too_many: BTreeSet<String> = others.take(self.signed.len() - SIGNED_MAX).collect();
            self.signed.retain(|digest, _| !too_many.contains(digest));
        }
    }

    /// Whose signatures each version has that is or was installed, as far as it has some.
    pub fn signers(&self) -> impl Iterator<Item = (Digest, &Voucher)> {
        let were = self.signed.iter().filter_map(|(digest, vouched)| Some((Digest(bytes(digest)?), vouched)));
        were.chain(self.releases().filter_map(|release| Some((release.digest.0, release.vouched.as_ref()?))))
    }

    /// The one before takes the place of the present one, which is kept as well, and its roots stand for what they stood for; none if all
    /// that is kept is newer.
    pub fn back(&mut self, agent: &str) -> Option<&Release> {
        let installed = self.agents.get_mut(agent)?;
        let mut before = installed.previous.remove(installed.before()?);
        let left = self.roots.get(agent).cloned().unwrap_or_default();
        // Where nobody wrote them down, those of now stay.
        if let Some(roots) = before.roots.take() {
            self.roots.insert(agent.to_owned(), roots);
        }
        let now = std::mem::replace(&mut installed.now, before);
        installed.previous.push(Release { roots: Some(left), ..now });
        Some(&installed.now)
    }

    /// Whether no other agent has another folder by a name that this one uses.
    ///
    /// # Errors
    /// If one has.
    pub fn shares_folders(&self, agent: &str) -> Result<(), Fault> {
        let others = || self.roots.iter().filter(|(other, _)| *other != agent);
        for (root, directory) in self.roots.get(agent).into_iter().flatten() {
            let other = others().find(|(_, roots)| roots.get(root).is_some_and(|other| other != directory));
            if let Some((other, _)) = other {
                let message = format!(
                    "`{root}` was {} for that version, and is another folder for `{other}`",
                    directory.display()
                );
                let hint = format!(
                    "one name is one folder for all agents: agentry rollback {agent} {other}, or uninstall one"
                );
                return Err(Fault::denied(message, hint));
            }
        }
        Ok(())
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
            roots: None,
        }
    }
}

#[cfg(test)]
mod tests;
