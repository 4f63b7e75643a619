//! The files of an index as data: roles, keys and what each signs. Unknown fields are signed and passed over, as the specification has it; nothing here
//! believes a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use agentry_kernel::digest::Digest;
use agentry_kernel::text::line;
use agentry_kernel::time::Millis;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::holders::Holders;
use crate::key::PublicKey;

/// What every role says of itself.
pub trait Role {
    /// `_type`
    const TYPE: &'static str;
    /// Its version.
    fn version(&self) -> u64;
    /// When it ends.
    fn expires(&self) -> &str;
}

/// Who may sign what: the beginning of all trust.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Root {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// Whether names of files have versions and digests. Always, here.
    pub consistent_snapshot: bool,
    /// By their ids.
    pub keys: BTreeMap<String, Value>,
    /// Those of `root`, `targets`, `snapshot` and `timestamp`.
    pub roles: BTreeMap<String, Keys>,
}

/// The keys of a role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Ids.
    pub keyids: Vec<String>,
    /// How many.
    pub threshold: u64,
}

/// Which snapshot is the newest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimestampRole {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// Of `snapshot.json` alone.
    pub meta: BTreeMap<String, Meta>,
}

/// Which version of each list is the newest: so that none is withheld, and none mixed with another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// Of `targets.json` and of each publisher's.
    pub meta: BTreeMap<String, Meta>,
}

/// A version of a file of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Which.
    pub version: u64,
    /// Of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

impl Meta {
    /// This version, in these bytes and no others.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self { version, length: Some(bytes.len() as u64), hashes: Some(hashes(bytes)) }
    }
}

/// What the bytes of a file hash to, by the one algorithm that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes<S = String> {
    /// In hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<S>,
}

/// Files, and who may list more of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Targets<F = BTreeMap<String, Target>> {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// By their paths.
    pub targets: F,
    /// Publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target<S = String> {
    /// Bytes.
    pub length: u64,
    /// Of its bytes.
    pub hashes: Hashes<S>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Box<Listing<S>>>,
}

/// What a publisher lists of a version, for whoever looks for it; what it really is, its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing<S = String> {
    /// `publisher:name`
    #[serde(default)]
    pub name: S,
    /// Semantic version.
    #[serde(default)]
    pub version: S,
    /// As of the manifest.
    #[serde(default)]
    pub seq: u64,
    /// One sentence.
    #[serde(default)]
    pub description: S,
    /// What other agents find it by.
    #[serde(default)]
    pub provides: Vec<S>,
    /// Interfaces that it asks for.
    #[serde(default)]
    pub wants: Vec<S>,
    /// Why nobody is to install it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<S>,
}

/// Who may list files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Delegations {
    /// By their ids.
    pub keys: BTreeMap<String, Value>,
    /// One a publisher.
    pub roles: Vec<Delegated>,
}

/// A publisher, as an index knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delegated {
    /// Its name.
    pub name: String,
    /// Ids.
    pub keyids: Vec<String>,
    /// How many of them must sign.
    pub threshold: u64,
    /// What it may list: `PUBLISHER/*/*`.
    pub paths: Vec<String>,
    /// Whether nobody behind it is asked for what it may list.
    pub terminating: bool,
}

impl Delegated {
    /// Its keys, as those of a role.
    pub fn role(&self) -> Keys {
        Keys { keyids: self.keyids.clone(), threshold: self.threshold }
    }

    /// Whose word counts as this publisher's.
    ///
    /// # Errors
    /// If the index does not say it so that anybody could sign.
    pub fn holders(&self, keys: &BTreeMap<String, Value>) -> Result<Holders, Fault> {
        let known: Option<Vec<PublicKey>> = self.keyids.iter().map(|id| PublicKey::of_json(keys.get(id)?)).collect();
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        known.and_then(|known| Holders::new(known, threshold).ok()).ok_or_else(|| {
            let message = format!("the index knows `{}` by keys with which nobody can sign", line(&self.name));
            Fault::denied(message, "tell whoever runs the index")
        })
    }
}

/// A text of a file, which lies among the file's bytes unless something in it is escaped there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Text<'t>(#[serde(borrow)] pub Cow<'t, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Listing<Text<'_>> {
    /// The same, apart from the file's bytes.
    pub fn owned(&self) -> Listing {
        let owned = |text: &Text<'_>| text.0.clone().into_owned();
        Listing {
            name: owned(&self.name),
            version: owned(&self.version),
            seq: self.seq,
            description: owned(&self.description),
            provides: self.provides.iter().map(owned).collect(),
            wants: self.wants.iter().map(owned).collect(),
            yanked: self.yanked.as_ref().map(owned),
        }
    }
}

macro_rules! role {
    ($role:ty, $word:literal $(, $files:ident)?) => {
        impl$(<$files>)? Role for $role {
            const TYPE: &'static str = $word;
            fn version(&self) -> u64 {
                self.version
            }
            fn expires(&self) -> &str {
                &self.expires
            }
        }
    };
}

role!(Root, "root");
role!(TimestampRole, "timestamp");
role!(Snapshot, "snapshot");
role!(Targets<F>, "targets", F);

/// Names that TUF has for roles of its own; all others are publishers.
pub const OWN_ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// Whether a role is still in force.
///
/// # Errors
/// If it has expired, with the day.
pub fn fresh<T: Role>(name: &str, role: &T, now: Millis) -> Result<(), Fault> {
    if until(role).is_some_and(|until| now.0 < until) {
        return Ok(());
    }
    let message = format!("`{}` of the index has expired: {}", line(name), line(role.expires()));
    let whoever = match name.strip_suffix(".json").filter(|name| !OWN_ROLES.contains(name)) {
        Some(publisher) => {
            format!("{} lists its newest version once more: agentry publish FILE --index DIR", line(publisher))
        }
        None => "whoever runs it signs it anew, where both of its keys lie: agentry index sign".to_owned(),
    };
    Err(Fault::denied(message, format!("{whoever}; or this machine's clock is wrong: look at `date -u`")))
}

/// Until when a role is in force, in milliseconds since the Unix epoch; none if it does not say.
pub fn until<T: Role>(role: &T) -> Option<u64> {
    role.expires().parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok())
}

/// A moment as files have it, in whole seconds.
pub fn moment(at: Millis) -> String {
    let at = i64::try_from(at.0 / 1000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The hashes of some bytes, as files have them.
pub fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: Some(Digest(Sha256::digest(bytes).into()).to_string()) }
}

/// Whether bytes are those that a file of metadata speaks of.
pub fn are(bytes: &[u8], length: Option<u64>, of: Option<&Hashes>) -> bool {
    let same = |of: &Hashes| of.sha256.is_none() || *of == hashes(bytes);
    length.is_none_or(|length| length == bytes.len() as u64) && of.is_none_or(same)
}
