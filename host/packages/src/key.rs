//! Keys of publishers and of indexes: what a signature is held against, in the one form in which people pass it on. The secret half is a
//! file that its owner alone may read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use agentry_engine::package::canonical_json;
use agentry_journal::export::sign::{SignError, SigningKey, has_signed};
use agentry_kernel::digest::Digest;
use agentry_kernel::labels;
use agentry_kernel::publisher::PublisherKey;
use agentry_kernel::text::line;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::{Fault, Kind};
use crate::name::bytes;

/// Where the keys of this home lie.
const DIRECTORY: &str = "keys";

/// The public half of a key: `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(Digest);

impl PublicKey {
    /// That of a key of this home.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.public())
    }

    /// Whether its holder signed this message.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        has_signed(&self.0, message, signature)
    }

    /// As files of an index have it (the specification of TUF, 4.2).
    pub(crate) fn as_json(&self) -> Value {
        json!({"keytype": "ed25519", "keyval": {"public": self.0.to_string()}, "scheme": "ed25519"})
    }

    /// The same back.
    pub(crate) fn of_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        if text("keytype") != Some("ed25519") || text("scheme") != Some("ed25519") {
            return None;
        }
        bytes(value.get("keyval")?.get("public")?.as_str()?).map(|bytes| Self(Digest(bytes)))
    }

    /// The name under which signatures refer to it: the SHA-256 of what stands in an index.
    pub fn id(&self) -> String {
        Digest(Sha256::digest(canonical_json(&self.as_json())).into()).to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PublisherKey::from(*self).fmt(f)
    }
}

impl FromStr for PublicKey {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.parse() {
            Ok(PublisherKey::One(key)) => Ok(Self(key)),
            _ => {
                let message = format!("`{}` is no key", line(text));
                Err(Fault::usage(
                    message,
                    "a key is `ed25519:` and 64 hexadecimal digits, as `agentry key list` shows it",
                ))
            }
        }
    }
}

impl From<PublicKey> for PublisherKey {
    fn from(key: PublicKey) -> Self {
        Self::One(key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// The file of a key of this home.
///
/// # Errors
/// If this cannot be a key's name.
fn path(home: &Path, name: &str) -> Result<PathBuf, Fault> {
    labels::check(name).map_err(|flaw| {
        let message = format!("`{}` cannot be the name of a key: it {flaw}", line(name));
        Fault::usage(message, "name it as the publisher: lowercase letters, digits and `-`")
    })?;
    Ok(home.join(DIRECTORY).join(format!("{name}.key")))
}

/// Makes a key of this name in the home.
///
/// # Errors
/// If there is one, or it cannot be written.
pub fn create(home: &Path, name: &str) -> Result<SigningKey, Fault> {
    let path = path(home, name)?;
    crate::file::directory(path.parent().unwrap_or(home))?;
    SigningKey::create(&path).map_err(|why| of(&why))
}

/// The key of this name in the home.
///
/// # Errors
/// If there is none, or it cannot be used.
pub fn open(home: &Path, name: &str) -> Result<SigningKey, Fault> {
    let path = path(home, name)?;
    if !path.exists() {
        let message = format!("there is no key `{name}` in this home");
        return Err(Fault::usage(message, format!("make one: agentry key new {name}")));
    }
    SigningKey::open(&path).map_err(|why| of(&why))
}

/// The names of the keys of this home whose secret halves lie here.
pub fn names(home: &Path) -> Vec<String> {
    let files = std::fs::read_dir(home.join(DIRECTORY)).into_iter().flatten().flatten();
    let name = |file: std::ffi::OsString| Some(file.to_str()?.strip_suffix(".key")?.to_owned());
    let mut names: Vec<String> = files.take(1_024).filter_map(|entry| name(entry.file_name())).collect();
    names.sort();
    names
}

fn of(why: &SignError) -> Fault {
    let text = why.to_string();
    let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, "let this user read and write the home"));
    let kind = match why {
        SignError::Io { .. } => Kind::Unavailable,
        SignError::Wrong | SignError::Exposed { .. } | SignError::There { .. } | SignError::NoKey { .. } => Kind::Usage,
    };
    Fault { kind, message: message.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_passed_on_as_text_and_vouches_for_its_messages_alone() {
        let home = tempfile::tempdir().unwrap();
        let key = create(home.path(), "acme").unwrap();
        assert!(create(home.path(), "acme").unwrap_err().message.contains("is there already"));
        assert!(open(home.path(), "other").unwrap_err().hint.contains("agentry key new other"));
        assert!(create(home.path(), "../x").is_err());
        let public = PublicKey::of(&open(home.path(), "acme").unwrap());
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        assert_eq!(PublicKey::of_json(&public.as_json()), Some(public));
        let signature = key.sign_message(b"yes");
        assert!(public.has_signed(b"yes", &signature) && !public.has_signed(b"no", &signature));
        assert_eq!(names(home.path()), ["acme"]);
        for bad in ["", "ed25519:", "rsa:00", &format!("ed25519:{}", "g".repeat(64))] {
            assert!(bad.parse::<PublicKey>().is_err());
        }
    }
}
