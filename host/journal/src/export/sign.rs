//! Keys that sign: Ed25519 (RFC 8032), each a file that its owner alone may read; and the one by which a home vouches for what it exports. A
//! signature says that the holder of the key made the file, and nothing of what happened.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use agentry_kernel::digest::Digest;
use agentry_kernel::text::{line, word};
use agentry_store::disk;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Bytes of the secret half.
const SEED_BYTES: usize = 32;

/// The file in the home.
const FILE: &str = "export.key";

/// What is signed is this and the digest of the file up to the signature: no signature of another kind can be taken for one.
const CONTEXT: &[u8] = b"agentry export of a run\0";

/// Why nothing is signed, or a signature is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The file is not what its key signed.
    #[error(
        "the signature of this file is wrong: its key did not sign what stands in it\nhint: get the file again from where it was exported"
    )]
    Wrong,
    /// The key file cannot be read or made.
    #[error("cannot use the key {} of this home: {why}\nhint: {}", line(file), disk::mend(why))]
    Io {
        /// The file.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// Others may read it.
    #[error(
        "others may read the key {} of this home, and so could sign in its name\nhint: chmod 600 {}",
        line(file),
        word(file)
    )]
    Exposed {
        /// The file.
        file: String,
    },
    /// Somebody else put it there.
    #[error(
        "the key {} belongs to another user, who has it as well\nhint: chown it to the user that runs agents, if it is theirs alone",
        line(file)
    )]
    Foreign {
        /// The file.
        file: String,
    },
    /// It is a link, a pipe, a directory or a device.
    #[error("{} is not a plain file\nhint: put the key itself there; links are not followed", line(file))]
    NotAFile {
        /// The file.
        file: String,
    },
    /// There is one, and it stays.
    #[error(
        "the key {} is there already\nhint: whoever trusts it knows no other; choose another name for a new one",
        line(file)
    )]
    There {
        /// The file.
        file: String,
    },
    /// It is no key.
    #[error(
        "{} is no key, which has {SEED_BYTES} bytes\nhint: put back the one that was there, or move it away and make another",
        line(file)
    )]
    NoKey {
        /// The file.
        file: String,
    },
}

/// The key of a home.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

impl SigningKey {
    /// The key of this home, made if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made, or others may read it.
    pub fn of(home: &Path) -> Result<Self, SignError> {
        let path = home.join(FILE);
        let io = |why| SignError::Io { file: path.display().to_string(), why };
        if !path.try_exists().map_err(io)? {
            make(&path).map_err(io)?;
        }
        Self::open(&path)
    }

    /// A new key in this file, whose directory is there.
    ///
    /// # Errors
    /// If there is a file of this name, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, SignError> {
        let file = || path.display().to_string();
        let io = |why| SignError::Io { file: file(), why };
        if path.try_exists().map_err(io)? {
            return Err(SignError::There { file: file() });
        }
        make(path).map_err(io)?;
        Self::open(path)
    }

    /// The key in this file, which is the secret half and nothing else.
    ///
    /// # Errors
    /// If it cannot be read, is no plain file, others may read it or own it, or it is none.
    pub fn open(path: &Path) -> Result<Self, SignError> {
        let shown = || path.display().to_string();
        let io = |why| SignError::Io { file: shown(), why };
        // Not blocking, because opening a pipe waits for a writer otherwise.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|why| match why.raw_os_error() {
            Some(code) if code == Errno::LOOP.raw_os_error() => SignError::NotAFile { file: shown() },
            _ => io(why),
        })?;
        let is = file.metadata().map_err(io)?;
        if !is.is_file() {
            return Err(SignError::NotAFile { file: shown() });
        }
        if is.mode() & 0o077 != 0 {
            return Err(SignError::Exposed { file: shown() });
        }
        // Root may read anybody's files: it was told to.
        let user = rustix::process::geteuid().as_raw();
        if user != 0 && is.uid() != user {
            return Err(SignError::Foreign { file: shown() });
        }
        // A longer one, as one in hexadecimal digits, is not what its first bytes are.
        let mut seed = Vec::with_capacity(SEED_BYTES + 1);
        file.take(SEED_BYTES as u64 + 1).read_to_end(&mut seed).map_err(io)?;
        let seed: [u8; SEED_BYTES] = seed.try_into().map_err(|_| SignError::NoKey { file: shown() })?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| SignError::NoKey { file: shown() })
    }

    /// The public half: what others know this home by.
    pub fn public(&self) -> Digest {
        let bytes = self.0.public_key().as_ref().first_chunk();
        Digest(*bytes.expect("a public key of Ed25519 has 32 bytes"))
    }

    /// The signature of a message. Each kind of message begins with words of its own, so that no signature can be taken for another.
    pub fn sign_message(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    pub(super) fn sign(&self, file: &Digest) -> Vec<u8> {
        self.sign_message(&message(file))
    }
}

/// Whether the holder of this key signed this message.
pub fn has_signed(key: &Digest, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0).verify(message, signature).is_ok()
}

pub(super) fn verify(key: &Digest, file: &Digest, signature: &[u8; SIGNATURE_BYTES]) -> Result<(), SignError> {
    if has_signed(key, &message(file), signature) { Ok(()) } else { Err(SignError::Wrong) }
}

fn message(file: &Digest) -> Vec<u8> {
    [CONTEXT, &file.0].concat()
}

/// Makes the key file. Of two processes that do so at once, the first one's stands.
fn make(path: &Path) -> std::io::Result<()> {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    let written = made.and_then(|mut file| file.write_all(&seed).and_then(|()| file.sync_all()));
    // A link fails where a rename would replace what another process just made.
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
