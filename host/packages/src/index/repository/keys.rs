//! The keys of an index: what its root signs, for another while, and new keys in the place of the old ones. At each step an index stands that somebody
//! believes: by the old keys, or by the new ones.

use agentry_journal::export::sign::SigningKey;

use super::{DAY_MS, LISTS_DAYS, RENEWED_DAYS, Repository};
use crate::fault::Fault;
use crate::file;
use crate::index::client::role;
use crate::index::metadata::{Keys, Role, Root, Targets, TimestampRole, until};
use crate::index::signed::{Unverified, write};
use crate::key::PublicKey;
use crate::limits::{ROOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES};

/// The newest list of the index itself.
pub(super) struct OwnList {
    pub list: Targets,
    /// Its name.
    pub file: String,
    /// Whether the keys of the present root have signed it; else those of the root before have, and nobody has signed in anything since.
    pub is_signed: bool,
}

impl Repository {
    /// Signs what the root signs for another year, if less than [`RENEWED_DAYS`] are left of it, or its keys are newer. True if so.
    ///
    /// # Errors
    /// If this is not the key of the index, or it cannot be written.
    pub fn renew(&self, key: &SigningKey) -> Result<bool, Fault> {
        let _turn = self.turn()?;
        let (mut root, own) = (self.root()?, self.own_list()?);
        let is_ending = self.ends_soon("root", &root).or_else(|| self.ends_soon("targets", &own.list)).is_some();
        if own.is_signed && !is_ending {
            return Ok(false);
        }
        self.is_of(key, "root")?;
        if is_ending {
            root.version = root.version.saturating_add(1);
            root.expires = self.in_days(LISTS_DAYS);
            self.save(&format!("{}.root.json", root.version), &write(&root, &[key]))?;
        }
        self.renewed(own.list, &[key]).map(|_| true)
    }

    /// A role with its end, if that is near or over.
    pub(super) fn ends_soon<T: Role>(&self, name: &str, role: &T) -> Option<(String, String)> {
        let near = self.now.plus(RENEWED_DAYS * DAY_MS);
        until(role).is_none_or(|until| until < near.0).then(|| (name.to_owned(), role.expires().to_owned()))
    }

    /// Replaces the keys of the index, root and online: signed by the old root and by the new one, so that whoever trusts the old one follows. What
    /// there is now is signed by the old keys and by the new ones first, so that it is believed under either root; the new root is written last. Who has lost
    /// the old online key has to write it first, and nothing is believed until the rest is there.
    ///
    /// # Errors
    /// If this is not the key of the index, the new one is the same, or it cannot be written.
    pub fn rotate(
        &self,
        (old, old_online): (&SigningKey, Option<&SigningKey>),
        (new, online): (&SigningKey, &SigningKey),
        days: u64,
    ) -> Result<(), Fault> {
        let _turn = self.turn()?;
        let mut root = self.root()?;
        self.is_of(old, "root")?;
        let (root_key, online_key) = (PublicKey::of(new), PublicKey::of(online));
        if root_key == PublicKey::of(old) {
            return Err(Fault::usage(
                "this is the key that the index has",
                "name another one, which is made: --to NAME",
            ));
        }
        let old_online = old_online.filter(|key| self.is_of(key, "timestamp").is_ok());
        root.version = root.version.saturating_add(1);
        root.expires = self.in_days(LISTS_DAYS);
        root.keys = [root_key, online_key].map(|key| (key.id(), key.as_json())).into();
        for (name, key) in
            [("root", root_key), ("targets", root_key), ("snapshot", online_key), ("timestamp", online_key)]
        {
            root.roles.insert(name.to_owned(), Keys { keyids: vec![key.id()], threshold: 1 });
        }
        let (file, bytes) = (format!("{}.root.json", root.version), write(&root, &[old, new]));
        let list = self.own_list()?.list;
        if old_online.is_none() {
            self.save(&file, &bytes)?;
        }
        let list = self.renewed(list, &[old, new])?;
        let signers: Vec<&SigningKey> = old_online.into_iter().chain([online]).collect();
        self.signed_by(&signers, days, &root, &list)?;
        self.save(&file, &bytes)
    }

    /// Whether this is an index that `init` began with these keys and did not finish.
    pub(super) fn is_half(&self, begun: &Root, root: &SigningKey, online: &SigningKey) -> Result<(), Fault> {
        let is_begun = |name| self.versions(name).last().is_none_or(|newest| *newest <= 1);
        let directory = self.directory.display();
        if self.path("timestamp.json").exists() || !["root", "targets", "snapshot"].into_iter().all(is_begun) {
            return Err(Fault::usage(
                format!("there is an index in {directory} already"),
                "`agentry index add` lists a publisher in it; choose another directory for a new one",
            ));
        }
        let has = |name, key: &SigningKey| role(begun, name).map(|keys| keys.keyids.contains(&PublicKey::of(key).id()));
        if has("root", root)? && has("timestamp", online)? {
            return Ok(());
        }
        let message = format!("an index of other keys was begun in {directory}");
        Err(Fault::usage(message, "name the key by which it was: --key NAME; or choose another directory"))
    }

    /// The list of the index itself, once more by these keys.
    pub(super) fn renewed(&self, mut list: Targets, keys: &[&SigningKey]) -> Result<Targets, Fault> {
        list.version = list.version.saturating_add(1);
        list.expires = self.in_days(LISTS_DAYS);
        self.save(&format!("{}.targets.json", list.version), &write(&list, keys))?;
        Ok(list)
    }

    /// Who may sign.
    pub(super) fn root(&self) -> Result<Root, Fault> {
        self.newest("root", ROOT_MAX_BYTES)?.ok_or_else(|| self.none())
    }

    /// The newest list of the index itself. One that others put there is not gone on with: whoever signs it would make it his own.
    ///
    /// # Errors
    /// If there is none, or it is not signed by whom it should be.
    pub(super) fn own_list(&self) -> Result<OwnList, Fault> {
        let version = self.versions("targets").last().copied().ok_or_else(|| self.none())?;
        let file = format!("{version}.targets.json");
        let list: Targets = self.newest("targets", TARGETS_MAX_BYTES)?.ok_or_else(|| self.none())?;
        let bytes = file::read(&self.path(&file), TARGETS_MAX_BYTES)?.unwrap_or_default();
        let read = Unverified::<Targets>::read(&file, &bytes)?;
        let is_by = |root: &Root| role(root, "targets").map(|keys| read.is_signed_by(&root.keys, keys));
        let root = self.root()?;
        if is_by(&root)? {
            return Ok(OwnList { list, file, is_signed: true });
        }
        let before = self.version("root", root.version.saturating_sub(1), ROOT_MAX_BYTES)?;
        let before = before.as_deref().map(|bytes| Unverified::<Root>::read("root.json", bytes)).transpose()?;
        if let Some(before) = before
            && is_by(&before.unverified()?)?
            && !self.is_signed_in(&root)?
        {
            return Ok(OwnList { list, file, is_signed: false });
        }
        let message = format!("{} is not signed by the key of the index", self.path(&file).display());
        Err(Fault::denied(message, "find out who wrote it; without it, the one before it counts again"))
    }

    /// Whether the keys of this root have signed what is the newest.
    fn is_signed_in(&self, root: &Root) -> Result<bool, Fault> {
        let Some(bytes) = file::read(&self.path("timestamp.json"), TIMESTAMP_MAX_BYTES)? else { return Ok(false) };
        let read = Unverified::<TimestampRole>::read("timestamp.json", &bytes)?;
        Ok(read.is_signed_by(&root.keys, role(root, "timestamp")?))
    }

    /// Whether this key may sign for a role.
    pub(super) fn is_of(&self, key: &SigningKey, name: &str) -> Result<(), Fault> {
        if role(&self.root()?, name)?.keyids.contains(&PublicKey::of(key).id()) {
            return Ok(());
        }
        let message = format!("this key may not sign `{name}` of the index in {}", self.directory.display());
        Err(Fault::denied(message, "name the key that `agentry index init` or `rotate` made: --key NAME"))
    }
}
