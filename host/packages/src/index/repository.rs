//! Writes an index into a directory, for those who run one and for publishers who list in it. A file that others name is never changed: a
//! new version lies beside it, and the timestamp, which is replaced last, makes all of them seen at once.

mod keys;
mod lists;
mod turn;

pub use lists::{Listing, PassedOver};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentry_engine::package::{Package, digest};
use agentry_journal::export::sign::SigningKey;
use agentry_kernel::labels;
use agentry_kernel::text::line;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;

use super::listed::{stored, target_path};
use super::metadata;
use super::metadata::{
    Delegated, Keys, Meta, OWN_ROLES, Role, Root, Snapshot, Target, Targets, TimestampRole, hashes, moment,
};
use super::signed::{Unverified, write};
use crate::fault::Fault;
use crate::file;
use crate::holders::Holders;
use crate::key::PublicKey;
use crate::limits::{ROOT_MAX_BYTES, SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES};
use crate::name;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How long the root, the index's list and the publishers' are in force.
const LISTS_DAYS: u64 = 365;

/// When less is left of what the root signs, `sign` renews it where the root's key is at hand; and when less is left of a publisher's list, it says so.
const RENEWED_DAYS: u64 = 60;

/// What whoever signs an index should know of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// Publishers whose newest list is not signed by a key that the index knows them by: they are listed as they were, and nobody believes
    /// that list until they sign another one.
    pub unsigned: Vec<String>,
    /// Publishers whose newest list waits for more of their keys: they are listed as they were.
    pub waiting: Vec<String>,
    /// Lists of publishers that could not be read, or are not there.
    pub passed_over: Vec<PassedOver>,
    /// What is in force for less than [`RENEWED_DAYS`] more, each with its end: `root`, `targets` or a publisher.
    pub ends_soon: Vec<(String, String)>,
}

/// An index in a directory.
#[derive(Debug)]
pub struct Repository {
    directory: PathBuf,
    now: Millis,
}

impl Repository {
    /// The index in this directory, to be changed now.
    pub fn at(directory: &Path, now: Millis) -> Self {
        Self { directory: directory.to_owned(), now }
    }

    /// Makes an index that lists nobody yet: `root` signs who may sign, `online` what there is now, for so many days each time. One that did not come to its
    /// end is finished by its keys.
    ///
    /// # Errors
    /// If there is one, or it cannot be written.
    pub fn init(&self, root: &SigningKey, online: &SigningKey, days: u64) -> Result<(), Fault> {
        file::directory(&self.directory.join("metadata"))?;
        file::directory(&self.directory.join("targets"))?;
        let _turn = self.turn()?;
        if let Some(begun) = self.newest::<Root>("root", ROOT_MAX_BYTES)? {
            self.is_half(&begun, root, online)?;
        }
        let (root_key, online_key) = (PublicKey::of(root), PublicKey::of(online));
        let one = |key: PublicKey| Keys { keyids: vec![key.id()], threshold: 1 };
        let roles = [("root", root_key), ("targets", root_key), ("snapshot", online_key), ("timestamp", online_key)];
        let first = Root {
            version: 1,
            expires: self.in_days(LISTS_DAYS),
            consistent_snapshot: true,
            keys: [root_key, online_key].map(|key| (key.id(), key.as_json())).into(),
            roles: roles.map(|(name, key)| (name.to_owned(), one(key))).into(),
        };
        self.save("1.root.json", &write(&first, &[root]))?;
        let (expires, targets) = (self.in_days(LISTS_DAYS), BTreeMap::<String, Target>::new());
        let list = Targets { version: 1, expires, targets, delegations: None };
        self.save("1.targets.json", &write(&list, &[root]))?;
        self.signed_by(&[online], days, &first, &list).map(drop)
    }

    /// Lists a publisher with its key or keys, in the place of those that it had.
    ///
    /// # Errors
    /// If this is not the key of the index, or it cannot be written.
    pub fn add(&self, publisher: &str, holders: &Holders, root: &SigningKey) -> Result<(), Fault> {
        labels::check(publisher).map_err(|flaw| {
            Fault::usage(format!("`{}` cannot be a publisher: it {flaw}", line(publisher)), "for example acme")
        })?;
        if OWN_ROLES.contains(&publisher) {
            return Err(Fault::usage(
                format!("`{publisher}` is a name of the index's own"),
                "name the publisher otherwise",
            ));
        }
        let _turn = self.turn()?;
        let mut list = self.own_list()?.list;
        self.is_of(root, "targets")?;
        let delegations = list.delegations.get_or_insert_default();
        delegations.roles.retain(|role| role.name != publisher);
        delegations.keys.extend(holders.keys().map(|key| (key.id(), key.as_json())));
        delegations.roles.push(Delegated {
            name: publisher.to_owned(),
            keyids: holders.keys().map(|key| key.id()).collect(),
            threshold: holders.threshold() as u64,
            paths: vec![format!("{publisher}/*/*")],
            terminating: true,
        });
        let named: Vec<String> = delegations.roles.iter().flat_map(|role| role.keyids.clone()).collect();
        delegations.keys.retain(|id, _| named.contains(id));
        self.renewed(list, &[root]).map(drop)
    }

    /// Takes a publisher out: nothing that it listed is installed from here any more.
    ///
    /// # Errors
    /// If it is not listed, this is not the key of the index, or it cannot be written.
    pub fn remove(&self, publisher: &str, root: &SigningKey) -> Result<(), Fault> {
        let _turn = self.turn()?;
        let mut list = self.own_list()?.list;
        self.is_of(root, "targets")?;
        let delegations = list.delegations.get_or_insert_default();
        let before = delegations.roles.len();
        delegations.roles.retain(|role| role.name != publisher);
        if delegations.roles.len() == before {
            return Err(not_listed(publisher));
        }
        let named: Vec<String> = delegations.roles.iter().flat_map(|role| role.keyids.clone()).collect();
        delegations.keys.retain(|id, _| named.contains(id));
        self.renewed(list, &[root]).map(drop)
    }

    /// Lists a version of a package, with its file and the envelope that its publisher signed; the newest one once more, so that the list is in force
    /// for longer.
    ///
    /// # Errors
    /// If the index does not know the publisher by this key, has this version or a later one already, or it cannot be written.
    pub fn publish(
        &self,
        package: &Package,
        component: &[u8],
        envelope: &[u8],
        key: &SigningKey,
    ) -> Result<Listing, Fault> {
        let manifest = &package.manifest;
        let publisher = name::publisher(&manifest.name);
        let _turn = self.turn()?;
        let known = self.publisher(publisher, key)?;
        let mut list = known.list();
        let path = target_path(publisher, manifest.agent(), &manifest.version);
        let newest = list.targets.values().filter_map(|target| target.custom.as_ref());
        let newest = newest.filter(|listing| listing.name == manifest.name).max_by_key(|listing| listing.seq);
        let same = |listed: &Target| listed.hashes == hashes(component);
        if newest.is_some_and(|newest| newest.seq == manifest.seq) && list.targets.get(&path).is_some_and(same) {
            return self.signed_list(&known, list, key);
        }
        if let Some(newest) = newest.filter(|newest| newest.seq >= manifest.seq || list.targets.contains_key(&path)) {
            let message = format!(
                "{} {} with the sequence number {} is listed already",
                manifest.name, newest.version, newest.seq
            );
            let hint = format!(
                "a version is listed once; a new one has another version and `seq = {}`",
                newest.seq.saturating_add(1)
            );
            return Err(Fault::usage(message, hint));
        }
        let lies = self.directory.join(stored(&path, package.digest));
        let beside = file::directory_of(&lies);
        file::directory(beside)?;
        file::sweep(beside);
        self.write(&lies, component)?;
        self.write(&self.directory.join(stored(&format!("{path}.sig"), digest(envelope))), envelope)?;
        let listing = metadata::Listing {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            seq: manifest.seq,
            description: manifest.description.clone(),
            provides: manifest.provides.clone(),
            wants: manifest.wants.interfaces().map(str::to_owned).collect(),
            yanked: None,
        };
        let target = Target { length: component.len() as u64, hashes: hashes(component), custom: Some(listing.into()) };
        // The signature is listed as well, for clients that take nothing that is not.
        let beside = Target { length: envelope.len() as u64, hashes: hashes(envelope), custom: None };
        list.targets.insert(format!("{path}.sig"), beside);
        list.targets.insert(path, target);
        self.signed_list(&known, list, key)
    }

    /// Says that nobody is to install a version any more; whoever has it keeps it.
    ///
    /// # Errors
    /// If it is not listed, the index does not know the publisher by this key, or it cannot be written.
    pub fn yank(&self, name: &str, version: &str, because: &str, key: &SigningKey) -> Result<Listing, Fault> {
        let (publisher, agent) = name.split_once(':').unwrap_or((name, ""));
        let _turn = self.turn()?;
        let known = self.publisher(publisher, key)?;
        let mut list = known.list();
        let listing =
            list.targets.get_mut(&target_path(publisher, agent, version)).and_then(|target| target.custom.as_mut());
        let Some(listing) = listing else {
            let message = format!("the index does not list {}@{}", line(name), line(version));
            return Err(Fault::usage(message, "name the whole version: publisher:name@1.2.3"));
        };
        listing.yanked = Some(because.to_owned());
        self.signed_list(&known, list, key)
    }

    /// Signs what lies here now: a new snapshot and a new timestamp, in force for so many days.
    ///
    /// # Errors
    /// If this is not the key of the index, its own list is not signed by the keys of now, or it cannot be written.
    pub fn sign(&self, online: &SigningKey, days: u64) -> Result<Signed, Fault> {
        let _turn = self.turn()?;
        let root = self.root()?;
        self.is_of(online, "timestamp")?;
        let own = self.own_list()?;
        if !own.is_signed {
            let message =
                format!("the keys of the index were replaced, and its {} is signed by those before", own.file);
            return Err(Fault::denied(message, "sign where the new keys lie, both of them: --key NAME"));
        }
        self.signed_by(&[online], days, &root, &own.list)
    }

    /// A new snapshot of what lies here now and a new timestamp, by these keys.
    fn signed_by(&self, online: &[&SigningKey], days: u64, root: &Root, list: &Targets) -> Result<Signed, Fault> {
        let before: Option<Snapshot> = self.newest("snapshot", SNAPSHOT_MAX_BYTES)?;
        let own = self.version("targets", list.version, TARGETS_MAX_BYTES)?.ok_or_else(|| self.none())?;
        // What was named once is named for ever: a client takes what is missing for withheld.
        let mut meta = before.as_ref().map(|before| before.meta.clone()).unwrap_or_default();
        meta.insert("targets.json".to_owned(), Meta::of(list.version, &own));
        let mut signed = Signed::default();
        signed.ends_soon.extend(self.ends_soon("root", root));
        signed.ends_soon.extend(self.ends_soon("targets", list));
        if let Some(delegations) = &list.delegations {
            for role in &delegations.roles {
                let state = self.state(role, &delegations.keys, before.as_ref());
                if state.waits.is_some() {
                    signed.waiting.push(role.name.clone());
                }
                if state.is_signed {
                    signed.ends_soon.extend(self.ends_soon(&role.name, &state.list));
                    meta.insert(format!("{}.json", role.name), state.meta);
                } else if state.list.version > 0 && !state.passed_over.iter().any(|list| list.is_named) {
                    signed.unsigned.push(role.name.clone());
                }
                signed.passed_over.extend(state.passed_over);
            }
        }
        let version = before.map_or(1, |before| before.version.saturating_add(1));
        let snapshot = Snapshot { version, expires: self.in_days(days), meta };
        let bytes = write(&snapshot, online);
        self.save(&format!("{version}.snapshot.json"), &bytes)?;
        let before = file::read(&self.path("timestamp.json"), TIMESTAMP_MAX_BYTES)?;
        let read = |bytes| Unverified::<TimestampRole>::read("timestamp.json", bytes)?.unverified();
        let before = before.as_deref().map(read).transpose()?;
        let meta = Meta::of(version, &bytes);
        let timestamp = TimestampRole {
            version: before.map_or(1, |before| before.version.saturating_add(1)),
            expires: self.in_days(days),
            meta: [("snapshot.json".to_owned(), meta)].into(),
        };
        self.save("timestamp.json", &write(&timestamp, online))?;
        Ok(signed)
    }

    /// The versions of a file of metadata that lie here, the newest last.
    fn versions(&self, name: &str) -> Vec<u64> {
        let files = std::fs::read_dir(self.directory.join("metadata")).into_iter().flatten().flatten();
        let version = |file: std::ffi::OsString| {
            let (version, role) = file.to_str()?.strip_suffix(".json")?.split_once('.')?;
            (role == name).then(|| version.parse::<u64>().ok()).flatten()
        };
        let mut versions: Vec<u64> = files.filter_map(|entry| version(entry.file_name())).collect();
        versions.sort_unstable();
        versions
    }

    fn version(&self, name: &str, version: u64, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        file::read(&self.path(&format!("{version}.{name}.json")), max_bytes)
    }

    fn newest<T: Role + DeserializeOwned>(&self, name: &str, max_bytes: usize) -> Result<Option<T>, Fault> {
        let Some(version) = self.versions(name).last().copied() else { return Ok(None) };
        let Some(bytes) = self.version(name, version, max_bytes)? else { return Ok(None) };
        let role = Unverified::<T>::read(&format!("{version}.{name}.json"), &bytes)?.unverified()?;
        if role.version() != version {
            let message = format!("{version}.{name}.json of the index says that it is another version");
            return Err(Fault::damaged(message, "put the right file back"));
        }
        Ok(Some(role))
    }

    fn none(&self) -> Fault {
        let message = format!("there is no index in {}", self.directory.display());
        Fault::usage(message, format!("make one: agentry index init {}", self.directory.display()))
    }

    fn in_days(&self, days: u64) -> String {
        moment(self.now.plus(days.saturating_mul(DAY_MS)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("metadata").join(name)
    }

    fn save(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.write(&self.path(name), bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        file::write(path, bytes, path.parent().unwrap_or(&self.directory), 0o644)
    }
}

fn not_listed(publisher: &str) -> Fault {
    let message = format!("the index does not list the publisher `{}`", line(publisher));
    Fault::denied(message, "whoever runs it lists one: agentry index add DIR PUBLISHER KEY")
}
