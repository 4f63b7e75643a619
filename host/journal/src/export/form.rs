//! The bytes of such a file: what it begins with, its parts in order, who signed them, and a checksum. Every length is held against its
//! bound before anything is taken of it; nothing is looked into here.

use agentry_kernel::digest::Digest;
use agentry_store::VALUE_MAX_BYTES;
use agentry_store::limits::{EXPORT_CONTENTS_MAX, EXPORT_MAX_BYTES};
use serde::{Deserialize, Serialize};

use super::ExportError;
use super::sign::{self, SIGNATURE_BYTES, SigningKey};
use crate::digest;

/// What such a file begins with: its kind and the version of its form.
pub(super) const MAGIC: &[u8] = b"agentry run 2\n";

/// Version 1 had no place for a signature.
pub(super) const MAGIC_1: &[u8] = b"agentry run 1\n";

/// Bytes of the checksum at its end.
pub(super) const SUM_BYTES: usize = 32;

/// What such a file holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) record: Vec<u8>,
    /// As the log has it.
    pub(super) journal: Vec<u8>,
    pub(super) contents: Vec<Vec<u8>>,
}

/// The same, where it stands in the file.
pub(super) struct Read<'a> {
    pub(super) record: &'a [u8],
    pub(super) journal: &'a [u8],
    pub(super) contents: Vec<&'a [u8]>,
    /// The key that signed it; none if nobody did.
    pub(super) signer: Option<Digest>,
}

/// The key, and its signature of all that stands before.
type Signed<'a> = Option<(Digest, &'a [u8])>;

pub(super) fn write(body: &Body, key: Option<&SigningKey>) -> Vec<u8> {
    let plain = "it is plain data, and memory grows";
    let bytes = postcard::to_extend(body, MAGIC.to_vec()).expect(plain);
    let signature = key.map(|key| (key.public(), key.sign(&digest(&bytes))));
    let signed: Signed<'_> = signature.as_ref().map(|(key, signature)| (*key, signature.as_slice()));
    let mut bytes = postcard::to_extend(&signed, bytes).expect(plain);
    bytes.extend_from_slice(&digest(&bytes).0);
    bytes
}

pub(super) fn read(bytes: &[u8]) -> Result<Read<'_>, ExportError> {
    if bytes.len() > EXPORT_MAX_BYTES {
        return Err(ExportError::Large(format!("{} bytes, more than {EXPORT_MAX_BYTES}", bytes.len())));
    }
    let (whole, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(ExportError::Foreign("it is too short"))?;
    let (body, has_signature) = match (whole.strip_prefix(MAGIC), whole.strip_prefix(MAGIC_1)) {
        (Some(body), _) => (body, true),
        (None, Some(body)) => (body, false),
        (None, None) => return Err(ExportError::Foreign("it does not begin as one")),
    };
    if digest(whole).0 != *sum {
        return Err(ExportError::Foreign("it was cut or changed"));
    }
    let (record, rest) = part(body)?;
    let (journal, rest) = part(rest)?;
    let (count, mut rest) = take::<u64>(rest)?;
    if count > EXPORT_CONTENTS_MAX as u64 {
        return Err(ExportError::Large(format!("{count} contents, more than {EXPORT_CONTENTS_MAX}")));
    }
    let mut contents = Vec::new();
    for _ in 0..count {
        let (content, left) = part(rest)?;
        if content.len() > VALUE_MAX_BYTES {
            return Err(ExportError::Large(format!(
                "a content of {} bytes, more than {VALUE_MAX_BYTES}",
                content.len()
            )));
        }
        contents.push(content);
        rest = left;
    }
    let signed_bytes = whole.len() - rest.len();
    let (signed, rest) = if has_signature { take::<Signed<'_>>(rest)? } else { (None, rest) };
    if !rest.is_empty() {
        return Err(ExportError::Foreign("something stands behind its parts"));
    }
    let signer = match signed {
        None => None,
        Some((key, signature)) => {
            let signature = <&[u8; SIGNATURE_BYTES]>::try_from(signature);
            let signature = signature.map_err(|_| ExportError::Foreign("its signature is no signature"))?;
            sign::verify(&key, &digest(&whole[..signed_bytes]), signature)?;
            Some(key)
        }
    };
    Ok(Read { record, journal, contents, signer })
}

/// A part with its length before it.
fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), ExportError> {
    take(bytes)
}

fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), ExportError> {
    postcard::take_from_bytes(bytes).map_err(|_| ExportError::Foreign("its parts do not decode"))
}
