//! Keys of publishers and of indexes: what a signature is held against, in the one form in which people pass it on. The secret half is a
//! file that its owner alone may read.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use agentry_config::policies;
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

/// The points of Curve25519 that have a small order, without their signs, as RFC 8032 encodes them: those of order 1, 2, 4 and 8 (RFC 7748, 7; the same
/// as in the list of libsodium). Anybody can make a signature that holds against one.
const SMALL: [&str; 5] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

/// The public half of a key: `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(Digest);

impl PublicKey {
    /// The key of these bytes; none if somebody without its secret half could sign for it, or it has another form as well.
    fn of_bytes(Digest(bytes): Digest) -> Option<Self> {
        let mut point = bytes;
        point[31] &= 0x7f;
        // The field's order, 2^255 - 19, and the eighteen numbers behind it: each is another form of a smaller number.
        let is_canonical = point[0] < 0xed || point[31] != 0x7f || point[1..31].iter().any(|byte| *byte != 0xff);
        let is_small = SMALL.contains(&Digest(point).to_string().as_str());
        (is_canonical && !is_small).then_some(Self(Digest(bytes)))
    }

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
        bytes(value.get("keyval")?.get("public")?.as_str()?).and_then(|bytes| Self::of_bytes(Digest(bytes)))
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
            Ok(PublisherKey::One(key)) => Self::of_bytes(key).ok_or_else(|| {
                let message = format!("`{}` is a key for which anybody can sign", line(text));
                Fault::usage(message, "no tool makes such a key: ask whoever gave it to you for another one")
            }),
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
    is_ours(&home.join(DIRECTORY))?;
    SigningKey::create(&path).map_err(|why| of(&why))
}

/// The key of this name in the home.
///
/// # Errors
/// If there is none, or it cannot be used.
pub fn open(home: &Path, name: &str) -> Result<SigningKey, Fault> {
    let path = path(home, name)?;
    is_ours(&home.join(DIRECTORY))?;
    // A link to nowhere is there, and is no key.
    if std::fs::symlink_metadata(&path).is_err_and(|why| why.kind() == ErrorKind::NotFound) {
        let message = format!("there is no key `{name}` in this home");
        return Err(Fault::usage(message, format!("make one: agentry key new {name}")));
    }
    SigningKey::open(&path).map_err(|why| of(&why))
}

/// Refuses keys that somebody else could put in the place of others. A directory that is not there is nobody's.
fn is_ours(directory: &Path) -> Result<(), Fault> {
    let Err(why) = policies::home_is_ours(directory) else { return Ok(()) };
    let told = why.to_string();
    let hint = told.split_once("\nhint: ").map_or("look at who may write it", |(_, hint)| hint);
    let message =
        format!("others may write {}, and so could put another key there", line(&directory.display().to_string()));
    Err(Fault::usage(message, hint))
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
        SignError::Wrong
        | SignError::Exposed { .. }
        | SignError::Foreign { .. }
        | SignError::NotAFile { .. }
        | SignError::There { .. }
        | SignError::NoKey { .. } => Kind::Usage,
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

    #[test]
    fn a_key_is_a_plain_file_of_its_length_that_nobody_else_reads_or_puts_there() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let home = tempfile::tempdir().unwrap();
        create(home.path(), "acme").unwrap();
        let keys = home.path().join(DIRECTORY);
        let path = keys.join("acme.key");
        let whole = std::fs::read(&path).unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let check = |part: &str| {
            let told = open(home.path(), "acme").unwrap_err();
            assert!(told.kind == Kind::Usage && told.message.contains(part), "{part}: {told}");
        };
        for bytes in [&whole[..31], &[&whole[..], b"\n"].concat(), &[b'a'; 64], b""] {
            std::fs::write(&path, bytes).unwrap();
            check("is no key, which has 32 bytes");
        }
        std::fs::write(&path, &whole).unwrap();
        mode(&path, 0o640);
        check("others may read the key");
        mode(&path, 0o600);
        mode(&keys, 0o777);
        check("so could put another key there");
        assert!(create(home.path(), "other").is_err());
        mode(&keys, 0o700);
        assert!(open(home.path(), "acme").is_ok());
        let elsewhere = home.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        check("is not a plain file");
        std::fs::remove_file(&elsewhere).unwrap();
        check("is not a plain file");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        check("is not a plain file");
        std::fs::remove_dir(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        check("is not a plain file");
    }

    #[test]
    fn a_key_for_which_anybody_can_sign_is_none() {
        // The last three are other forms of 0, of 1 and of a point that has no small order.
        let others = ["ed", "ee", "f0"].map(|first| format!("{first}{}7f", "ff".repeat(30)));
        let small = SMALL.iter().map(|digits| (*digits).to_owned()).chain(others);
        for digits in small {
            let last = u8::from_str_radix(&digits[62..], 16).unwrap();
            for digits in [digits.clone(), format!("{}{:02x}", &digits[..62], last | 0x80)] {
                let told = format!("ed25519:{digits}").parse::<PublicKey>().unwrap_err();
                assert!(told.message.contains("for which anybody can sign"), "{digits}: {told}");
                let listed = json!({"keytype": "ed25519", "keyval": {"public": digits}, "scheme": "ed25519"});
                assert_eq!(PublicKey::of_json(&listed), None, "{digits}");
            }
        }
        // Why such keys are refused: against one, the same bytes pass for a signature of any message.
        let forged = [&[1_u8][..], &[0; 63]].concat();
        let one = PublicKey(Digest::of_hex(SMALL[0]).unwrap());
        assert!(one.has_signed(b"anything", &forged));
    }
}
