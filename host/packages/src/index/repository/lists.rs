//! The lists of publishers, as they are changed: by one key, or by one holder after the other until enough of them have signed the same. A list that
//! waits for more signatures is named by nobody, and holds back none that was signed before it.

use std::collections::BTreeMap;

use agentry_journal::export::sign::SigningKey;
use agentry_kernel::text::line;
use serde_json::Value;

use super::{DAY_MS, LISTS_DAYS, Repository, not_listed};
use crate::fault::Fault;
use crate::index::metadata::{Delegated, Delegations, Meta, Snapshot, Targets, until};
use crate::index::signed::{Unverified, cosigned, write};
use crate::key::PublicKey;
use crate::limits::{SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES};

/// How far a change of a publisher's list has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Keys that signed it.
    pub signed: usize,
    /// Keys that must.
    pub threshold: usize,
}

impl Listing {
    /// Whether enough have signed.
    pub fn is_whole(self) -> bool {
        self.signed >= self.threshold
    }
}

/// A publisher, as the index knows it, whose list is to change.
pub(super) struct Publisher {
    role: Delegated,
    /// Its keys, by their ids.
    keys: BTreeMap<String, Value>,
    state: State,
}

/// A publisher's lists, as they lie here.
pub(super) struct State {
    /// The newest one that waits for nobody; an empty one if there is none, or none that may follow the one that the index names.
    pub list: Targets,
    /// How a snapshot names it.
    pub meta: Meta,
    /// The version that the index names; 0 if it names none.
    named: u64,
    /// Whether enough of the keys of today have signed it.
    pub is_signed: bool,
    /// A newer one that some have signed, and not enough.
    pub waits: Option<(Targets, Vec<u8>)>,
    /// Newer ones that could not be read, or are not there.
    pub passed_over: Vec<PassedOver>,
}

/// A list of a publisher that could not be read, or is not there: all others are signed in without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Whose it is.
    pub publisher: String,
    /// Its file, below the directory of the index.
    pub file: String,
    /// What is wrong with it.
    pub why: Fault,
    /// Whether the index names it: then nothing of the publisher is listed. Else the list before it stands.
    pub is_named: bool,
}

/// A list that lies here.
struct Lying {
    list: Targets,
    bytes: Vec<u8>,
    /// How many of the publisher's keys have signed it.
    signers: usize,
}

impl Publisher {
    /// What it lists now.
    pub(super) fn list(&self) -> Targets {
        self.state.list.clone()
    }
}

impl State {
    fn passes_over(&mut self, publisher: &str, version: u64, why: Fault) {
        let (publisher, file) = (publisher.to_owned(), format!("metadata/{version}.{publisher}.json"));
        self.passed_over.push(PassedOver { publisher, file, why, is_named: version == self.named });
    }
}

impl PassedOver {
    fn lost() -> Fault {
        Fault::unavailable("it is not there", "put it back")
    }

    fn is_lost(&self) -> bool {
        self.why == Self::lost()
    }
}

impl Repository {
    /// A publisher with its lists, if this is one of the keys by which the index knows it.
    pub(super) fn publisher(&self, publisher: &str, key: &SigningKey) -> Result<Publisher, Fault> {
        let index: Targets = self.newest("targets", TARGETS_MAX_BYTES)?.ok_or_else(|| self.none())?;
        let Delegations { keys, roles } = index.delegations.unwrap_or_default();
        let role = roles.into_iter().find(|role| role.name == publisher).ok_or_else(|| not_listed(publisher))?;
        if !role.keyids.contains(&PublicKey::of(key).id()) {
            let message = format!("the index knows `{}` by another key", line(publisher));
            return Err(Fault::denied(message, "whoever runs it lists a new one: agentry index add"));
        }
        let snapshot: Option<Snapshot> = self.newest("snapshot", SNAPSHOT_MAX_BYTES)?;
        let state = self.state(&role, &keys, snapshot.as_ref());
        // Whoever went on from the one before it would list less than was listed. One that is lost for good is left behind.
        if let Some(PassedOver { file, why, .. }) = state.passed_over.iter().find(|list| !list.is_lost()) {
            let hint = format!("put {file} right, or take it away and list again what only it listed");
            return Err(Fault { hint, ..why.clone() }.about(file));
        }
        Ok(Publisher { role, keys, state })
    }

    /// The lists of a publisher. What a snapshot has named waits for nobody, whatever keys the publisher has by now.
    pub(super) fn state(&self, role: &Delegated, keys: &BTreeMap<String, Value>, snapshot: Option<&Snapshot>) -> State {
        let named = snapshot.and_then(|snapshot| snapshot.meta.get(&format!("{}.json", role.name)));
        let named = named.map_or(0, |meta| meta.version);
        let list = Targets { version: 0, expires: String::new(), targets: BTreeMap::new(), delegations: None };
        let meta = Meta { version: 0, length: None, hashes: None };
        let mut state = State { list, meta, named, is_signed: false, waits: None, passed_over: Vec::new() };
        for version in self.versions(&role.name).into_iter().rev() {
            let lying = match self.lying(role, keys, version) {
                Ok(Some(lying)) => lying,
                Ok(None) => continue,
                Err(why) => {
                    state.passes_over(&role.name, version, why);
                    continue;
                }
            };
            if version > named && (1..role.threshold).contains(&(lying.signers as u64)) {
                // Of those that wait, the newest one.
                state.waits.get_or_insert((lying.list, lying.bytes));
                continue;
            }
            state.is_signed = version >= named && role.threshold > 0 && lying.signers as u64 >= role.threshold;
            state.meta = Meta::of(version, &lying.bytes);
            state.list = lying.list;
            break;
        }
        if state.list.version < named && !state.passed_over.iter().any(|list| list.is_named) {
            state.passes_over(&role.name, named, PassedOver::lost());
        }
        state
    }

    /// A list of this version; none if it is gone.
    fn lying(&self, role: &Delegated, keys: &BTreeMap<String, Value>, version: u64) -> Result<Option<Lying>, Fault> {
        let Some(bytes) = self.version(&role.name, version, TARGETS_MAX_BYTES)? else { return Ok(None) };
        let read = Unverified::<Targets>::read(&format!("{}.json", role.name), &bytes)?;
        let (list, signers) = (read.unverified()?, read.signers(keys, &role.role()));
        if list.version != version {
            return Err(Fault::damaged("it says that it is another version", "put the right file back"));
        }
        Ok(Some(Lying { list, bytes, signers }))
    }

    /// Signs a list by one key: the one that waits, if it says the same; else a new one, in the place of whatever waits.
    pub(super) fn signed_list(
        &self,
        publisher: &Publisher,
        mut list: Targets,
        key: &SigningKey,
    ) -> Result<Listing, Fault> {
        let Publisher { role, keys, state } = publisher;
        let name = &role.name;
        let bytes = match &state.waits {
            Some((waiting, bytes)) if self.is_same(waiting, &list) => {
                list.version = waiting.version;
                cosigned(bytes, key).ok_or_else(|| Fault::damaged(format!("{name}.json is no list"), "take it away"))?
            }
            _ => {
                // One that the index names and that is lost was that version still.
                let newest = self.versions(name).last().copied().unwrap_or_default().max(state.named);
                list.version = newest.saturating_add(1);
                list.expires = self.in_days(LISTS_DAYS);
                write(&list, &[key])
            }
        };
        self.save(&format!("{}.{name}.json", list.version), &bytes)?;
        let signed = Unverified::<Targets>::read(&format!("{name}.json"), &bytes)?.signers(keys, &role.role());
        Ok(Listing { signed, threshold: usize::try_from(role.threshold).unwrap_or(usize::MAX) })
    }

    /// Whether a list that waits says what this one is to say, and for no longer than one that is written now.
    fn is_same(&self, waiting: &Targets, list: &Targets) -> bool {
        let latest = self.now.plus(LISTS_DAYS * DAY_MS);
        let in_time = until(waiting).is_some_and(|until| (self.now.0..=latest.0).contains(&until));
        waiting.targets == list.targets && waiting.delegations.is_none() && in_time
    }
}
