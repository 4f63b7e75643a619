//! A pack: rows and files in the order of their names, each with the digest of its value, and the digest of all of it at the end. Nothing in one is
//! believed before its digest fits.

use std::io::{self, Read, Write};

use agentry_store::{KEY_MAX_BYTES, VALUE_MAX_BYTES};
use sha2::{Digest as _, Sha256};

/// What a pack begins with; the last byte is the version.
const MAGIC: [u8; 13] = *b"agentry-pack\x01";

const MAGIC_WORD_BYTES: usize = 12;

const END: u8 = 0;
const PUT: u8 = 1;
const GONE: u8 = 2;

/// A name, its area included.
pub(super) const NAME_MAX_BYTES: usize = KEY_MAX_BYTES + 1;
/// A value.
pub(super) const PACKED_MAX_BYTES: usize = VALUE_MAX_BYTES;

/// The digest of a value, or of a pack.
pub(super) type Name = [u8; 32];

/// Writes a pack. One that is not ended is none.
pub(super) struct PackWriter<W> {
    out: W,
    sha: Sha256,
    bytes: u64,
    entries: u64,
}

impl<W: Write> PackWriter<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut writer = Self { out, sha: Sha256::new(), bytes: 0, entries: 0 };
        writer.write(&MAGIC)?;
        Ok(writer)
    }

    /// One more, or a newer one of this name.
    pub(super) fn put(&mut self, name: &[u8], value: &[u8], digest: &Name) -> io::Result<()> {
        self.head(PUT, name, value.len())?;
        self.write(digest)?;
        self.write(value)
    }

    /// What the generation before had is gone.
    pub(super) fn gone(&mut self, name: &[u8]) -> io::Result<()> {
        self.head(GONE, name, 0)
    }

    /// Entries so far.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Ends it: its digest, its length and what it was written to.
    pub(super) fn end(mut self) -> io::Result<(Name, u64, W)> {
        let entries = self.entries;
        self.write(&[END])?;
        self.write(&entries.to_le_bytes())?;
        let digest: Name = self.sha.finalize().into();
        self.out.write_all(&digest)?;
        self.out.flush()?;
        Ok((digest, self.bytes + digest.len() as u64, self.out))
    }

    fn head(&mut self, kind: u8, name: &[u8], length: usize) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a name or a value is too long for a pack");
        let name_length = u32::try_from(name.len()).ok().filter(|_| name.len() <= NAME_MAX_BYTES);
        let length = u32::try_from(length).ok().filter(|_| length <= PACKED_MAX_BYTES).ok_or_else(too_long)?;
        self.entries += 1;
        self.write(&[kind])?;
        self.write(&name_length.ok_or_else(too_long)?.to_le_bytes())?;
        self.write(&length.to_le_bytes())?;
        self.write(name)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// One thing of a pack.
pub(super) struct Packed {
    pub(super) name: Vec<u8>,
    /// None if it is gone.
    pub(super) put: Option<Put>,
}

/// Its value.
pub(super) struct Put {
    pub(super) digest: Name,
    /// Where in the pack.
    pub(super) at: u64,
    pub(super) value: Vec<u8>,
}

/// Why a pack is none, in words.
#[derive(Debug)]
pub(super) enum PackError {
    Io(io::Error),
    Damaged(String),
    Newer(u8),
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends in the middle".to_owned()),
            _ => Self::Io(error),
        }
    }
}

/// Reads a pack from its beginning to its end.
pub(super) struct PackReader<R> {
    input: R,
    sha: Sha256,
    bytes: u64,
    entries: u64,
    last: Vec<u8>,
}

impl<R: Read> PackReader<R> {
    pub(super) fn begin(input: R) -> Result<Self, PackError> {
        let mut reader = Self { input, sha: Sha256::new(), bytes: 0, entries: 0, last: Vec::new() };
        let magic: [u8; MAGIC.len()] = reader.array()?;
        match magic.split_at(MAGIC_WORD_BYTES) {
            _ if magic == MAGIC => Ok(reader),
            (word, &[version]) if word == &MAGIC[..MAGIC_WORD_BYTES] && version > MAGIC[MAGIC_WORD_BYTES] => {
                Err(PackError::Newer(version))
            }
            _ => Err(PackError::Damaged("it is no pack of a backup".to_owned())),
        }
    }

    /// The next thing; the pack's own digest where there are no more, if all of it fits.
    pub(super) fn next(&mut self) -> Result<Result<Packed, Name>, PackError> {
        let [kind] = self.array()?;
        if kind == END {
            return self.end().map(Err);
        }
        let (name, length) = (u32::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?));
        let (name, length) = (name as usize, length as usize);
        if name > NAME_MAX_BYTES || length > PACKED_MAX_BYTES || !matches!(kind, PUT | GONE) {
            return Err(PackError::Damaged(format!("what stands at byte {} makes no sense", self.bytes)));
        }
        let name = self.take(name)?;
        if self.entries > 0 && name <= self.last {
            return Err(PackError::Damaged(format!("it is out of order at byte {}", self.bytes)));
        }
        self.entries += 1;
        self.last.clone_from(&name);
        if kind == GONE {
            return Ok(Ok(Packed { name, put: None }));
        }
        let digest: Name = self.array()?;
        let at = self.bytes;
        let value = self.take(length)?;
        if digest_of(&value) != digest {
            return Err(PackError::Damaged(format!("what stands at byte {at} was changed")));
        }
        Ok(Ok(Packed { name, put: Some(Put { digest, at, value }) }))
    }

    fn end(&mut self) -> Result<Name, PackError> {
        let entries = u64::from_le_bytes(self.array()?);
        let digest: Name = self.sha.clone().finalize().into();
        let said: Name = self.array()?;
        if (said, entries) != (digest, self.entries) {
            return Err(PackError::Damaged("its digest does not fit".to_owned()));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(PackError::Damaged("something stands behind its end".to_owned()));
        }
        Ok(digest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.sha.update(bytes);
        self.bytes += N as u64;
        Ok(bytes)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, PackError> {
        // Room grows with what really comes, not with what a file says of itself.
        let mut bytes = Vec::new();
        Read::take(&mut self.input, length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.sha.update(&bytes);
        self.bytes += length as u64;
        Ok(bytes)
    }
}

/// The name of a value.
pub(super) fn digest_of(value: &[u8]) -> Name {
    Sha256::digest(value).into()
}
