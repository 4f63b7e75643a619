//! The files of an index as data: roles, keys, what each signs, and whether enough of those who may have signed. Unknown fields are
//! signed and passed over, as the specification has it.

use std::collections::{BTreeMap, BTreeSet};

use agentry_engine::package::canonical_json;
use agentry_journal::export::sign::SigningKey;
use agentry_kernel::digest::Digest;
use agentry_kernel::text::line;
use agentry_kernel::time::Millis;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::holders::Holders;
use crate::key::PublicKey;
use crate::limits::SIGNATURES_MAX;

/// The version of the specification that files are written by.
const SPEC: &str = "1.0.31";

/// What every role says of itself.
pub trait Role: DeserializeOwned + Serialize {
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

/// What the bytes of a file hash to, by the one algorithm that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// In hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Files, and who may list more of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Targets {
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: String,
    /// By their paths.
    pub targets: BTreeMap<String, Target>,
    /// Publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Bytes.
    pub length: u64,
    /// Of its bytes.
    pub hashes: Hashes,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Listing>,
}

/// What a publisher lists of a version, for whoever looks for it; what it really is, its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// `publisher:name`
    #[serde(default)]
    pub name: String,
    /// Semantic version.
    #[serde(default)]
    pub version: String,
    /// As of the manifest.
    #[serde(default)]
    pub seq: u64,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// What other agents find it by.
    #[serde(default)]
    pub provides: Vec<String>,
    /// Interfaces that it asks for.
    #[serde(default)]
    pub wants: Vec<String>,
    /// Why nobody is to install it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
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

macro_rules! role {
    ($role:ty, $word:literal) => {
        impl Role for $role {
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
role!(Targets, "targets");

/// A signed file that nobody has believed yet.
#[derive(Debug)]
pub struct Unverified<T> {
    role: T,
    /// What is signed, as it stands there.
    signed: String,
    signatures: Vec<(String, Vec<u8>)>,
}

#[derive(Deserialize)]
struct File<'f> {
    signatures: Vec<Signature>,
    #[serde(borrow)]
    signed: &'f RawValue,
}

#[derive(Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Of which kind a file says that it is.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
}

impl<T: Role> Unverified<T> {
    /// Reads a file of this role; `name` is for errors.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            let message = format!("`{}` of the index is not as it was signed: {}", line(name), line(why));
            Fault::denied(message, "try again later; if it stays so, tell whoever runs the index")
        };
        let file: File<'_> = serde_json::from_slice(bytes).map_err(|why| wrong(&why.to_string()))?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(wrong(&format!("it has more than {SIGNATURES_MAX} signatures")));
        }
        let signed = file.signed.get();
        let head: Head = serde_json::from_str(signed).map_err(|why| wrong(&why.to_string()))?;
        if head.kind != T::TYPE || !head.spec_version.starts_with("1.") {
            return Err(wrong(&format!("it is no {} of TUF 1", T::TYPE)));
        }
        let role = serde_json::from_str(signed).map_err(|why| wrong(&why.to_string()))?;
        let signatures = file.signatures.into_iter().filter_map(|one| Some((one.keyid, unhex(&one.sig)?))).collect();
        Ok(Self { role, signed: signed.to_owned(), signatures })
    }

    /// Whether this key made this signature: of what stands there, which is canonical where we wrote it, or of its canonical form.
    fn is_of(&self, key: PublicKey, signature: &[u8]) -> bool {
        let canonical = || serde_json::from_str::<Value>(&self.signed).map(|value| canonical_json(&value));
        key.has_signed(self.signed.as_bytes(), signature)
            || canonical().is_ok_and(|text| text != self.signed && key.has_signed(text.as_bytes(), signature))
    }

    /// What it says, though nobody vouches for it yet: for the root, which vouches for itself as well.
    pub fn unverified(&self) -> &T {
        &self.role
    }

    /// Whether enough of these keys signed it.
    pub fn is_signed_by(&self, keys: &BTreeMap<String, Value>, role: &Keys) -> bool {
        role.threshold > 0 && self.signers(keys, role) as u64 >= role.threshold
    }

    /// How many of these keys signed it: each key counts once, under whatever ids.
    pub fn signers(&self, keys: &BTreeMap<String, Value>, role: &Keys) -> usize {
        let mut signers = BTreeSet::new();
        for (id, signature) in &self.signatures {
            let key = keys.get(id).filter(|_| role.keyids.contains(id)).and_then(PublicKey::of_json);
            signers.extend(key.filter(|key| self.is_of(*key, signature)));
        }
        signers.len()
    }

    /// Whether this key is among its signers.
    pub fn is_signed_by_key(&self, key: PublicKey) -> bool {
        self.signatures.iter().any(|(_, signature)| self.is_of(key, signature))
    }

    /// What it says, if enough of these keys signed it.
    ///
    /// # Errors
    /// If they did not.
    pub fn verified(self, name: &str, keys: &BTreeMap<String, Value>, role: &Keys) -> Result<T, Fault> {
        if self.is_signed_by(keys, role) {
            return Ok(self.role);
        }
        let message = format!("`{}` of the index is not signed by whom it should be", line(name));
        Err(Fault::denied(message, "nothing of it is believed; tell whoever runs the index"))
    }
}

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

/// The bytes of a role's file, signed by these keys.
pub fn write<T: Role>(role: &T, keys: &[&SigningKey]) -> Vec<u8> {
    let mut signed = serde_json::to_value(role).expect("metadata has nothing that JSON lacks");
    signed["_type"] = T::TYPE.into();
    signed["spec_version"] = SPEC.into();
    let text = canonical_json(&signed);
    let sign =
        |key: &&SigningKey| json!({"keyid": PublicKey::of(key).id(), "sig": hex(&key.sign_message(text.as_bytes()))});
    let signatures: Vec<Value> = keys.iter().map(sign).collect();
    format!("{}\n", canonical_json(&json!({"signatures": signatures, "signed": signed}))).into_bytes()
}

/// The same file signed by one key more; none if it is no signed file.
pub fn cosigned(file: &[u8], key: &SigningKey) -> Option<Vec<u8>> {
    let mut file: Value = serde_json::from_slice(file).ok()?;
    let text = canonical_json(file.get("signed")?);
    let id = PublicKey::of(key).id();
    let signatures = file.get_mut("signatures")?.as_array_mut()?;
    signatures.retain(|signature| signature["keyid"] != id.as_str());
    signatures.push(json!({"keyid": id, "sig": hex(&key.sign_message(text.as_bytes()))}));
    Some(format!("{}\n", canonical_json(&file)).into_bytes())
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || digits.len() > 256 || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}
