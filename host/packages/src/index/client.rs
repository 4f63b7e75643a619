//! Reads an index as TUF's workflow of a client has it (specification, 5): root by root from the key that an admin pinned, then
//! timestamp, snapshot, the index's own list and the publishers'. Each file is verified before it is kept, and nothing older than what is
//! kept is taken again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_kernel::digest::Digest;
use agentry_kernel::labels;
use agentry_kernel::time::Millis;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::metadata::{
    Delegated, Keys, Listing, Meta, Root, Snapshot, Target, Targets, TimestampRole, Unverified, are, fresh,
};
use crate::fault::Fault;
use crate::file;
use crate::holders::Holders;
use crate::key::PublicKey;
use crate::limits::{
    CLOCK_BACK_MAX_MS, FILE_MAX_BYTES, PUBLISHERS_MAX, ROOT_MAX_BYTES, ROOTS_MAX, SIGNATURE_MAX_BYTES,
    SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES,
};
use crate::name::{bytes, is_package};
use crate::source::Source;

/// Where indexes are kept as they were when they were read last.
const DIRECTORY: &str = "indexes";

/// Lists that are read at the same time.
const LISTS_AT_ONCE: usize = 4;

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

/// A version of a package, as its publisher lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The index that it is in.
    pub index: String,
    /// Who lists it.
    pub publisher: String,
    /// The publisher's key or keys, for which the index vouches.
    pub holders: Holders,
    /// What is said of it.
    pub listing: Listing,
    /// Of its file.
    pub digest: Digest,
    /// Of its file.
    pub bytes: u64,
    path: String,
    /// Of its signature, which is listed beside it.
    signature: Digest,
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
        let whole = Arc::new(|targets| targets);
        let targets = reading.targets("targets", &snapshot, (&root.keys, role(&root, "targets")?), whole).await?;
        mark(&kept, now)?;
        Ok(Self { source, name: name.to_owned(), kept, now, root, snapshot, targets })
    }

    /// The version of its root, for whoever looks at it.
    pub fn root_version(&self) -> u64 {
        self.root.version
    }

    /// The publishers that it lists.
    ///
    /// # Errors
    /// If there are too many.
    pub fn publishers(&self) -> Result<impl Iterator<Item = &str>, Fault> {
        // Its name is a file's and stands on screens.
        let is_name = |role: &&Delegated| labels::check(&role.name).is_ok();
        let roles = self.targets.delegations.iter().flat_map(|delegations| &delegations.roles).filter(is_name);
        if roles.clone().count() > PUBLISHERS_MAX {
            let message = format!("the index lists more than {PUBLISHERS_MAX} publishers");
            return Err(Fault::denied(message, "tell whoever runs it"));
        }
        Ok(roles.map(|role| role.name.as_str()))
    }

    /// All that a publisher lists, in the order of paths; nothing if the index does not list the publisher.
    ///
    /// # Errors
    /// If the publisher's list is not signed by the publisher, has expired, or is older than it was.
    pub async fn of(&self, publisher: &str) -> Result<Vec<Listed>, Fault> {
        if labels::check(publisher).is_err() {
            return Ok(Vec::new());
        }
        let Some(delegations) = &self.targets.delegations else { return Ok(Vec::new()) };
        let Some(role) = delegations.roles.iter().find(|role| role.name == publisher) else { return Ok(Vec::new()) };
        // A publisher that has listed nothing yet has no list.
        if !self.snapshot.meta.contains_key(&format!("{publisher}.json")) {
            return Ok(Vec::new());
        }
        let reading = Reading { source: self.source, kept: &self.kept, now: self.now };
        let by =
            By { index: self.name.clone(), publisher: publisher.to_owned(), holders: role.holders(&delegations.keys)? };
        let listed = Arc::new(move |targets| by.listed(targets));
        reading.targets(publisher, &self.snapshot, (&delegations.keys, &role.role()), listed).await
    }

    /// All that all of its publishers list, one after the other.
    ///
    /// # Errors
    /// As [`of`](Self::of), for any of them.
    pub async fn all(&self) -> Result<Vec<Listed>, Fault> {
        let lists = stream::iter(self.publishers()?).map(|publisher| self.of(publisher)).buffered(LISTS_AT_ONCE);
        let append = |mut all: Vec<Listed>, list| async {
            all.extend(list);
            Ok(all)
        };
        lists.try_fold(Vec::new(), append).await
    }

    /// The file of a version and its signature.
    ///
    /// # Errors
    /// If one is missing, or the file is not the one that is listed.
    pub async fn fetch(&self, listed: &Listed) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let half = |what: &str| {
            let message = format!(
                "the index lists {}@{} and does not have its {what}",
                listed.listing.name, listed.listing.version
            );
            Fault::unavailable(message, "try again later, or tell whoever runs it")
        };
        // Nobody gives more than was listed.
        let most = usize::try_from(listed.bytes).unwrap_or(FILE_MAX_BYTES).min(FILE_MAX_BYTES);
        let component =
            self.source.get(&stored(&listed.path, listed.digest), most).await?.ok_or_else(|| half("file"))?;
        if component.len() as u64 != listed.bytes || agentry_engine::package::digest(&component) != listed.digest {
            let message =
                format!("the file of {}@{} is not the one that is listed", listed.listing.name, listed.listing.version);
            return Err(Fault::denied(message, "try again later; if it stays so, tell whoever runs the index"));
        }
        let beside = stored(&format!("{}.sig", listed.path), listed.signature);
        let envelope = self.source.get(&beside, SIGNATURE_MAX_BYTES).await?;
        Ok((component, envelope.ok_or_else(|| half("signature"))?))
    }
}

/// Whose list it is, and in which index.
struct By {
    index: String,
    publisher: String,
    holders: Holders,
}

impl By {
    /// The versions of a list.
    fn listed(&self, targets: Targets) -> Vec<Listed> {
        let (signatures, files): (BTreeMap<_, _>, BTreeMap<_, _>) =
            targets.targets.into_iter().partition(|(path, _)| path.ends_with(".sig"));
        let version = |(path, target)| {
            let signature = sha(signatures.get(&format!("{path}.sig"))?)?;
            self.version(path, target, signature)
        };
        files.into_iter().filter_map(version).collect()
    }

    /// A version, if its path and what is said of it are one: a publisher lists nothing that is another's.
    fn version(&self, path: String, target: Target, signature: Digest) -> Option<Listed> {
        let digest = sha(&target)?;
        let listing = target.custom?;
        is_package(&listing.name, &listing.version).then_some(())?;
        let agent = listing.name.strip_prefix(&self.publisher)?.strip_prefix(':')?;
        (path == target_path(&self.publisher, agent, &listing.version)).then_some(())?;
        let (index, publisher, holders) = (self.index.clone(), self.publisher.clone(), self.holders.clone());
        Some(Listed { index, publisher, holders, listing, digest, bytes: target.length, path, signature })
    }
}

/// The digest of a file that is listed.
fn sha(target: &Target) -> Option<Digest> {
    bytes(target.hashes.sha256.as_deref()?).map(Digest)
}

/// The path of a version among all that is listed.
pub(super) fn target_path(publisher: &str, agent: &str, version: &str) -> String {
    format!("{publisher}/{agent}/{version}.wasm")
}

/// Where its file lies.
pub(super) fn stored(path: &str, digest: Digest) -> String {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    format!("targets/{directory}/{digest}.{file}")
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
    async fn root(&self, anchor: PublicKey) -> Result<Root, Fault> {
        let first = match file::read(&self.kept.join("root.json"), ROOT_MAX_BYTES)? {
            Some(kept) => kept,
            None => self.anchored(anchor).await?,
        };
        let mut root = vouched("root.json", Unverified::<Root>::read("root.json", &first)?)?;
        self.keep("root.json", &first)?;
        for _ in 0..ROOTS_MAX {
            let next = root.version.saturating_add(1);
            let Some(bytes) = self.source.get(&format!("metadata/{next}.root.json"), ROOT_MAX_BYTES).await? else {
                break;
            };
            let unverified = Unverified::<Root>::read("root.json", &bytes)?;
            // The one before speaks for the one behind it.
            if !unverified.is_signed_by(&root.keys, role(&root, "root")?) || unverified.unverified().version != next {
                let message = format!("root {next} of the index is not signed by those of root {}", root.version);
                return Err(Fault::denied(message, "nothing of it is believed; tell whoever runs the index"));
            }
            let newer = vouched("root.json", unverified)?;
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
        let message = "no root of the index is signed by the key that packages.toml names";
        Err(Fault::denied(message, "compare `root` there with what whoever runs it says on another way"))
    }

    async fn timestamp(&self, root: &Root) -> Result<TimestampRole, Fault> {
        const NAME: &str = "timestamp.json";
        let bytes = self.needed(NAME, TIMESTAMP_MAX_BYTES).await?;
        let timestamp =
            Unverified::<TimestampRole>::read(NAME, &bytes)?.verified(NAME, &root.keys, role(root, "timestamp")?)?;
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
        let snapshot =
            Unverified::<Snapshot>::read(NAME, &bytes)?.verified(NAME, &root.keys, role(root, "snapshot")?)?;
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

    /// What `made` makes of the list of the index itself or of a publisher: kept from last time, or read now.
    async fn targets<T: Send + 'static>(
        &self,
        name: &str,
        snapshot: &Snapshot,
        (keys, role): (&BTreeMap<String, Value>, &Keys),
        made: Arc<impl Fn(Targets) -> T + Send + Sync + 'static>,
    ) -> Result<T, Fault> {
        let file = format!("{name}.json");
        let meta = meta(&snapshot.meta, &file)?;
        let keys = role.keyids.iter().filter_map(|id| Some((id.clone(), keys.get(id)?.clone()))).collect();
        let wanted = Arc::new(WantedList { file, meta: meta.clone(), keys, role: role.clone(), now: self.now });
        let path = self.kept.join(format!("list-{}", wanted.file));
        let (kept, of_kept, from_kept) = (path.clone(), Arc::clone(&wanted), Arc::clone(&made));
        let open_kept = move || {
            let kept = file::read(&kept, TARGETS_MAX_BYTES)?;
            Ok(kept.and_then(|bytes| of_kept.open(&bytes).ok()).map(|targets| from_kept(targets)))
        };
        if let Some(made) = elsewhere(open_kept).await? {
            return Ok(made);
        }
        let bytes = self.versioned(&wanted.file, meta, TARGETS_MAX_BYTES).await?;
        let (made, bytes) = elsewhere(move || Ok((made(wanted.open(&bytes)?), bytes))).await?;
        // Whatever a crash makes of it, it is verified again before it counts.
        file::write_unsynced(&path, &bytes, self.kept, 0o644)?;
        Ok(made)
    }

    async fn versioned(&self, file: &str, wanted: &Meta, max_bytes: usize) -> Result<Vec<u8>, Fault> {
        let bytes = self.needed(&format!("{}.{file}", wanted.version), max_bytes).await?;
        if are(&bytes, wanted.length, wanted.hashes.as_ref()) {
            return Ok(bytes);
        }
        let message = format!("`{file}` of the index is not the file that it speaks of");
        Err(Fault::denied(
            message,
            "it may be in the middle of a change: try again; if it stays so, tell whoever runs it",
        ))
    }

    async fn needed(&self, file: &str, max_bytes: usize) -> Result<Vec<u8>, Fault> {
        self.source.get(&format!("metadata/{file}"), max_bytes).await?.ok_or_else(|| {
            Fault::unavailable(
                format!("the index has no `{file}`"),
                "look at `at` in packages.toml, or try again later",
            )
        })
    }

    /// What was kept when it had been verified; what cannot be read any more counts as nothing.
    fn before<T: super::metadata::Role>(&self, name: &str, max_bytes: usize) -> Result<Option<T>, Fault> {
        let kept = file::read(&self.kept.join(name), max_bytes)?;
        let Some(bytes) = kept else { return Ok(None) };
        let file: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        serde_json::from_value(file["signed"].clone()).map(Some).map_err(|_| {
            let path = self.kept.join(name);
            Fault::damaged(
                format!("{} is not as it was written", path.display()),
                format!("look at the disk; rm -r {} has the index read as if for the first time", self.kept.display()),
            )
        })
    }

    /// Nothing is written where nothing is new.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        if file::read(&self.kept.join(name), TARGETS_MAX_BYTES)?.is_some_and(|kept| kept == bytes) {
            return Ok(());
        }
        file::write(&self.kept.join(name), bytes, self.kept, 0o644)
    }
}

/// A list as a snapshot speaks of it, and who may sign it.
struct WantedList {
    file: String,
    meta: Meta,
    keys: BTreeMap<String, Value>,
    role: Keys,
    now: Millis,
}

impl WantedList {
    /// The list in these bytes, if it is the one.
    fn open(&self, bytes: &[u8]) -> Result<Targets, Fault> {
        let targets = Unverified::<Targets>::read(&self.file, bytes)?.verified(&self.file, &self.keys, &self.role)?;
        is_version(&self.file, &self.meta, targets.version)?;
        fresh(&self.file, &targets, self.now)?;
        Ok(targets)
    }
}

/// Does what takes a processor's time on a thread where nobody else waits, so that several lists are opened at once.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}

/// A root that its own keys signed.
fn vouched(name: &str, unverified: Unverified<Root>) -> Result<Root, Fault> {
    let root = unverified.unverified().clone();
    if !root.consistent_snapshot {
        return Err(Fault::denied("the index has no consistent snapshots", "tell whoever runs it"));
    }
    unverified.verified(name, &root.keys, role(&root, "root")?)
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
