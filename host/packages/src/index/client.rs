//! Reads an index as TUF's workflow of a client has it (specification, 5): root by root from the key that an admin pinned, then
//! timestamp, snapshot, the index's own list and the publishers'. Each file is verified before it is kept, and nothing older than what is
//! kept is taken again.

mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_engine::package::Hashed;
use agentry_kernel::labels;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::lists::Wanted;
use super::listed::{By, Entry, Files, Listed, stored};
use super::metadata::{Delegated, Keys, Meta, Root, Snapshot, Targets, TimestampRole, are, fresh};
use super::signed::Unverified;
use crate::fault::{Fault, Kind};
use crate::file;
use crate::key::PublicKey;
use crate::limits::{
    CLOCK_BACK_MAX_MS, FILE_MAX_BYTES, PUBLISHERS_MAX, ROOT_MAX_BYTES, ROOTS_MAX, ROOTS_WAITS, SIGNATURE_MAX_BYTES,
    SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES,
};
use crate::source::Source;

/// Where indexes are kept as they were when they were read last.
const DIRECTORY: &str = "indexes";

/// An index as it was read now.
pub struct Index<'a> {
    source: &'a Source,
    /// What it is called here.
    name: String,
    kept: PathBuf,
    now: Millis,
    root: Root,
    snapshot: Snapshot,
    targets: Targets,
}

impl<'a> Index<'a> {
    /// Reads the index of this name, whose first root this key signed, as it is now.
    ///
    /// # Errors
    /// If it is not to be had, or something of it is not signed, fresh and newer than before.
    pub async fn read(
        home: &Path,
        name: &str,
        anchor: PublicKey,
        source: &'a Source,
        now: Millis,
    ) -> Result<Self, Fault> {
        let kept = home.join(DIRECTORY).join(format!("{name}-{:.16}", anchor.id()));
        file::directory(&kept)?;
        in_time(&kept, now)?;
        let reading = Reading { source, kept: &kept, now };
        let root = reading.root(anchor).await?;
        let timestamp = reading.timestamp(&root).await?;
        let snapshot = reading.snapshot(&root, &timestamp).await?;
        let targets = reading.targets(&root, &snapshot).await?;
        mark(&kept, now)?;
        Ok(Self { source, name: name.to_owned(), kept, now, root, snapshot, targets })
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of its root, for whoever looks at it.
    pub fn root_version(&self) -> u64 {
        self.root.version
    }

    /// The publishers that it lists, each once: of two of one name, only the first is asked.
    fn publishers(&self) -> Result<Vec<&Delegated>, Fault> {
        let mut names = BTreeSet::new();
        // Its name is a file's and stands on screens.
        let roles = self.targets.delegations.iter().flat_map(|delegations| &delegations.roles);
        let named = roles.filter(|role| labels::check(&role.name).is_ok());
        let roles: Vec<&Delegated> = named.filter(|role| names.insert(role.name.as_str())).collect();
        if roles.len() > PUBLISHERS_MAX {
            let message = format!("the index lists more than {PUBLISHERS_MAX} publishers");
            return Err(Fault::denied(message, "tell whoever runs it"));
        }
        Ok(roles)
    }

    /// All that a publisher lists, in the order of paths; nothing if the index does not list the publisher.
    ///
    /// # Errors
    /// If the publisher's list is not signed by the publisher, has expired, or is older than it was.
    pub async fn of(&self, publisher: &str) -> Result<Vec<Listed>, Fault> {
        let roles = self.targets.delegations.iter().flat_map(|delegations| &delegations.roles);
        let role = roles.into_iter().find(|role| role.name == publisher).filter(|_| labels::check(publisher).is_ok());
        whole(self.taken(role, |entry| entry.listed()).await?)
    }

    /// All that all of its publishers list, one after the other.
    ///
    /// # Errors
    /// As [`of`](Self::of), for any of them.
    pub async fn all(&self) -> Result<Vec<Listed>, Fault> {
        self.picked(|entry| entry.listed()).await
    }

    /// What `take` takes of all that all of its publishers list, one after the other. It is asked on several threads, and only of what has been verified.
    ///
    /// # Errors
    /// As [`of`](Self::of), for any of them.
    pub async fn picked<T: Send + 'static>(
        &self,
        take: impl Fn(&Entry<'_>) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>, Fault> {
        whole(self.taken(self.publishers()?, take).await?)
    }

    /// The same for whoever only looks: a publisher whose list is not believed, or not there, hides nobody else's, and is told with the reason.
    ///
    /// # Errors
    /// If nobody answers for a list.
    pub async fn picked_of_believed<T: Send + 'static>(
        &self,
        take: impl Fn(&Entry<'_>) -> Option<T> + Send + Sync + 'static,
    ) -> Result<(Vec<T>, Vec<Fault>), Fault> {
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for list in self.taken(self.publishers()?, take).await? {
            match list {
                Ok(taken) => all.extend(taken),
                Err(why) => left_out.push(why),
            }
        }
        Ok((all, left_out))
    }

    async fn taken<T: Send + 'static>(
        &self,
        roles: impl IntoIterator<Item = &Delegated>,
        take: impl Fn(&Entry<'_>) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<Result<Vec<T>, Fault>>, Fault> {
        let Some(delegations) = &self.targets.delegations else { return Ok(Vec::new()) };
        let (mut lists, mut by, mut unusable) = (Vec::new(), Vec::new(), Vec::new());
        for role in roles {
            // A publisher that has listed nothing yet has no list.
            let Some(meta) = self.snapshot.meta.get(&format!("{}.json", role.name)) else { continue };
            let holders = match role.holders(&delegations.keys) {
                Ok(holders) => holders,
                Err(why) => {
                    unusable.push(Err(why));
                    continue;
                }
            };
            by.push(By { index: self.name.clone(), publisher: role.name.clone(), holders });
            lists.push(Wanted::of(&role.name, meta, (&delegations.keys, &role.role()), self.now));
        }
        let lists: Arc<[Wanted]> = lists.into();
        let of = Arc::clone(&lists);
        let open = move |at: usize, bytes: &[u8]| Ok(by[at].taken(&of[at].open::<Files<'_>>(bytes)?.targets, &take));
        let reading = Reading { source: self.source, kept: &self.kept, now: self.now };
        let mut opened = reading.opened(&lists, Arc::new(open)).await?;
        opened.append(&mut unusable);
        Ok(opened)
    }

    /// The file of a version and its signature.
    ///
    /// # Errors
    /// If one is missing, or the file is not the one that is listed.
    pub async fn fetch(&self, listed: &Listed) -> Result<(Hashed, Vec<u8>), Fault> {
        let half = |what: &str| {
            let message = format!(
                "the index lists {}@{} and does not have its {what}",
                listed.listing.name, listed.listing.version
            );
            Fault::unavailable(message, "try again later, or tell whoever runs it")
        };
        // Nobody gives more than was listed.
        let most = usize::try_from(listed.bytes).unwrap_or(FILE_MAX_BYTES).min(FILE_MAX_BYTES);
        let path = listed.path();
        let component = self.source.get(&stored(&path, listed.digest), most).await?.ok_or_else(|| half("file"))?;
        let component = Hashed::of(component);
        if component.bytes().len() as u64 != listed.bytes || component.digest() != listed.digest {
            let message =
                format!("the file of {}@{} is not the one that is listed", listed.listing.name, listed.listing.version);
            return Err(Fault::denied(message, "try again later; if it stays so, tell whoever runs the index"));
        }
        let beside = stored(&format!("{path}.sig"), listed.signature);
        let envelope = self.source.get(&beside, SIGNATURE_MAX_BYTES).await?;
        Ok((component, envelope.ok_or_else(|| half("signature"))?))
    }
}

/// All of all lists, if each is believed.
fn whole<T>(lists: Vec<Result<Vec<T>, Fault>>) -> Result<Vec<T>, Fault> {
    Ok(lists.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Which keys a role has.
pub(super) fn role<'r>(root: &'r Root, name: &str) -> Result<&'r Keys, Fault> {
    root.roles.get(name).ok_or_else(|| {
        Fault::denied(format!("the root of the index names nobody for `{name}`"), "tell whoever runs the index")
    })
}

/// One reading of an index.
struct Reading<'r> {
    source: &'r Source,
    kept: &'r Path,
    now: Millis,
}

impl Reading<'_> {
    /// The root of now. However many there are on the way to it, they are waited for no longer than for a few files.
    async fn root(&self, anchor: PublicKey) -> Result<Root, Fault> {
        let Some(most) = self.source.patience().map(|one| one.saturating_mul(ROOTS_WAITS)) else {
            return self.root_by_root(anchor).await;
        };
        tokio::time::timeout(most, self.root_by_root(anchor)).await.unwrap_or_else(|_| {
            let message = format!("the roots of the index did not all come within {most:?}");
            Err(Fault::unavailable(message, "look at the line, or give it more time: seconds = N in packages.toml"))
        })
    }

    async fn root_by_root(&self, anchor: PublicKey) -> Result<Root, Fault> {
        let read = |bytes: &[u8]| vouched(Unverified::<Root>::read("root.json", bytes)?);
        let mut root = match self.kept_bytes("root.json", ROOT_MAX_BYTES)? {
            // It was verified before it was kept, so it is not the index's that it is another by now.
            Some(kept) => read(&kept).map_err(|_| self.damaged("root.json"))?,
            None => {
                let first = self.anchored(anchor).await?;
                let root = read(&first)?;
                self.keep("root.json", &first)?;
                root
            }
        };
        for _ in 0..ROOTS_MAX {
            let next = root.version.saturating_add(1);
            let Some(bytes) = self.source.get(&format!("metadata/{next}.root.json"), ROOT_MAX_BYTES).await? else {
                break;
            };
            let unverified = Unverified::<Root>::read("root.json", &bytes)?;
            // The one before speaks for the one behind it.
            let is_by_those = unverified.is_signed_by(&root.keys, role(&root, "root")?);
            if !is_by_those || unverified.unverified()?.version != next {
                let message = format!("root {next} of the index is not signed by those of root {}", root.version);
                return Err(Fault::denied(message, "nothing of it is believed; tell whoever runs the index"));
            }
            let newer = vouched(unverified)?;
            // Whoever had the old keys could have counted up to where nothing follows.
            if ["timestamp", "snapshot"].iter().any(|name| newer.roles.get(*name) != root.roles.get(*name)) {
                file::remove(&self.kept.join("timestamp.json"))?;
                file::remove(&self.kept.join("snapshot.json"))?;
            }
            root = newer;
            self.keep("root.json", &bytes)?;
        }
        fresh("root.json", &root, self.now)?;
        Ok(root)
    }

    /// The first root that the pinned key signed: what stood before it counts for nothing.
    async fn anchored(&self, anchor: PublicKey) -> Result<Vec<u8>, Fault> {
        let mut bytes = self.needed("1.root.json", ROOT_MAX_BYTES).await?;
        for next in 2..=ROOTS_MAX {
            if Unverified::<Root>::read("root.json", &bytes)?.is_signed_by_key(anchor) {
                return Ok(bytes);
            }
            let file = format!("metadata/{next}.root.json");
            let Some(later) = self.source.get(&file, ROOT_MAX_BYTES).await? else { break };
            bytes = later;
        }
        let message = format!("no root of the index is signed by the key {anchor}");
        Err(Fault::denied(message, "compare that key with what whoever runs the index says on another way"))
    }

    async fn timestamp(&self, root: &Root) -> Result<TimestampRole, Fault> {
        const NAME: &str = "timestamp.json";
        let bytes = self.needed(NAME, TIMESTAMP_MAX_BYTES).await?;
        let timestamp =
            Unverified::<TimestampRole>::read(NAME, &bytes)?.verified(&root.keys, role(root, "timestamp")?)?;
        if let Some(before) = self.before::<TimestampRole>(NAME, TIMESTAMP_MAX_BYTES)? {
            not_older(NAME, before.version, timestamp.version)?;
            not_older(
                "snapshot.json",
                meta(&before.meta, "snapshot.json")?.version,
                meta(&timestamp.meta, "snapshot.json")?.version,
            )?;
        }
        fresh(NAME, &timestamp, self.now)?;
        self.keep(NAME, &bytes)?;
        Ok(timestamp)
    }

    async fn snapshot(&self, root: &Root, timestamp: &TimestampRole) -> Result<Snapshot, Fault> {
        const NAME: &str = "snapshot.json";
        let wanted = meta(&timestamp.meta, NAME)?;
        let bytes = self.versioned(NAME, wanted, SNAPSHOT_MAX_BYTES).await?;
        let snapshot = Unverified::<Snapshot>::read(NAME, &bytes)?.verified(&root.keys, role(root, "snapshot")?)?;
        is_version(NAME, wanted, snapshot.version)?;
        if let Some(before) = self.before::<Snapshot>(NAME, SNAPSHOT_MAX_BYTES)? {
            for (name, meta) in &before.meta {
                let now = snapshot.meta.get(name).map_or(0, |meta| meta.version);
                not_older(name, meta.version, now)?;
            }
        }
        fresh(NAME, &snapshot, self.now)?;
        self.keep(NAME, &bytes)?;
        Ok(snapshot)
    }

    /// The index's own list, kept from last time or read now.
    async fn targets(&self, root: &Root, snapshot: &Snapshot) -> Result<Targets, Fault> {
        let wanted = Wanted::of(
            "targets",
            meta(&snapshot.meta, "targets.json")?,
            (&root.keys, role(root, "targets")?),
            self.now,
        );
        let lists: Arc<[Wanted]> = [wanted].into();
        let of = Arc::clone(&lists);
        let open = move |at: usize, bytes: &[u8]| of[at].open(bytes);
        let list = self.opened(&lists, Arc::new(open)).await?.pop();
        list.expect("one was asked for")
    }

    async fn versioned(&self, file: &str, wanted: &Meta, max_bytes: usize) -> Result<Vec<u8>, Fault> {
        self.offered(file, wanted, max_bytes).await?
    }

    /// A file of this version, or what is wrong with it alone.
    ///
    /// # Errors
    /// If nothing can be said of it, as where nobody answers: then the others may not be had either.
    async fn offered(&self, file: &str, wanted: &Meta, max_bytes: usize) -> Result<Result<Vec<u8>, Fault>, Fault> {
        let name = format!("{}.{file}", wanted.version);
        // Nobody gives more than was said.
        let said = wanted.length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let max_bytes = said.map_or(max_bytes, |said| said.min(max_bytes));
        let bytes = match self.source.get(&format!("metadata/{name}"), max_bytes).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Err(missing(&name))),
            Err(why) if why.kind == Kind::Denied => return Ok(Err(why)),
            Err(why) => return Err(why),
        };
        if is_meant(&bytes, wanted) {
            return Ok(Ok(bytes));
        }
        let message = format!("`{file}` of the index is not the file that it speaks of");
        let hint = "it may be in the middle of a change: try again; if it stays so, tell whoever runs it";
        Ok(Err(Fault::denied(message, hint)))
    }

    async fn needed(&self, file: &str, max_bytes: usize) -> Result<Vec<u8>, Fault> {
        self.source.get(&format!("metadata/{file}"), max_bytes).await?.ok_or_else(|| missing(file))
    }

    /// What was kept when it had been verified; what cannot be read any more counts as nothing.
    fn before<T: DeserializeOwned>(&self, name: &str, max_bytes: usize) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.kept_bytes(name, max_bytes)? else { return Ok(None) };
        let file: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        serde_json::from_value(file["signed"].clone()).map(Some).map_err(|_| self.damaged(name))
    }

    /// What was kept under this name.
    fn kept_bytes(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
        file::read(&self.kept.join(name), max_bytes).map_err(|why| match why.kind {
            Kind::Usage => self.damaged(name),
            _ => why,
        })
    }

    /// A file of this home, and not of the index, that is another than was kept.
    fn damaged(&self, name: &str) -> Fault {
        Fault::damaged(
            format!("{} is not as it was written", self.kept.join(name).display()),
            format!("look at the disk; rm -r {} has the index read as if for the first time", self.kept.display()),
        )
    }

    /// Nothing is written where nothing is new.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        if file::read(&self.kept.join(name), TARGETS_MAX_BYTES)?.is_some_and(|kept| kept == bytes) {
            return Ok(());
        }
        file::write(&self.kept.join(name), bytes, self.kept, 0o644)
    }
}

fn missing(file: &str) -> Fault {
    let message = format!("the index has no `{file}`");
    Fault::unavailable(message, "look at `at` in packages.toml, or try again later")
}

/// A root that its own keys signed.
fn vouched(unverified: Unverified<'_, Root>) -> Result<Root, Fault> {
    let root = unverified.unverified()?;
    if !root.consistent_snapshot {
        return Err(Fault::denied("the index has no consistent snapshots", "tell whoever runs it"));
    }
    unverified.verified(&root.keys, role(&root, "root")?)
}

/// Whether these bytes are those that another file speaks of.
fn is_meant(bytes: &[u8], wanted: &Meta) -> bool {
    are(bytes, wanted.length, wanted.hashes.as_ref())
}

fn meta<'m>(all: &'m BTreeMap<String, Meta>, name: &str) -> Result<&'m Meta, Fault> {
    all.get(name)
        .ok_or_else(|| Fault::denied(format!("the index says nothing of its `{name}`"), "tell whoever runs it"))
}

fn not_older(name: &str, before: u64, now: u64) -> Result<(), Fault> {
    if now >= before {
        return Ok(());
    }
    let message = format!("`{name}` of the index is older than it was: version {now}, and {before} was read");
    Err(Fault::denied(message, "somebody hands out an old index, or it was set back; tell whoever runs it"))
}

fn is_version(name: &str, wanted: &Meta, version: u64) -> Result<(), Fault> {
    if version == wanted.version {
        return Ok(());
    }
    let message = format!("`{name}` of the index is version {version} and should be {}", wanted.version);
    Err(Fault::denied(message, "it may be in the middle of a change: try again; if it stays so, tell whoever runs it"))
}

/// How often it is written down that an index was read.
const MARK_EVERY_MS: u64 = 60 * 60 * 1000;

/// The file that says when an index was read last.
const READ_AT: &str = "read-at";

/// Whether the clock is not behind where it was: else what has expired would seem fresh.
fn in_time(kept: &Path, now: Millis) -> Result<(), Fault> {
    let Some(behind) =
        last_read(kept)?.map(|last| last.saturating_sub(now.0)).filter(|behind| *behind > CLOCK_BACK_MAX_MS)
    else {
        return Ok(());
    };
    let days = behind / (24 * 60 * 60 * 1000);
    let message = format!("this machine's clock is {days} days behind where it was when the index was read last");
    let hint = format!("set the clock; if it was ahead then: rm {}", kept.join(READ_AT).display());
    Err(Fault::denied(message, hint))
}

fn last_read(kept: &Path) -> Result<Option<u64>, Fault> {
    let last = file::read(&kept.join(READ_AT), 32)?;
    Ok(last.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok()))
}

/// Writes down that it was read now, once an hour: nobody needs it more exactly.
fn mark(kept: &Path, now: Millis) -> Result<(), Fault> {
    if last_read(kept)?.is_some_and(|last| now.0.abs_diff(last) < MARK_EVERY_MS) {
        return Ok(());
    }
    file::write(&kept.join(READ_AT), format!("{}\n", now.0).as_bytes(), kept, 0o644)
}
