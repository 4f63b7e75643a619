//! A segment: entries of one run that reached the disk together, behind one version byte and the run's id.

use std::ops::Range;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, FORMAT};

use sha2::{Digest as _, Sha256};

use agentry_store::StoreError;
use agentry_store::rows::{format1, format2};

const HEAD_BYTES: usize = 9;

/// Versions 3 and 4 had fewer kinds of entries; those that they had are as they were.
const FORMAT3: u8 = 3;
const FORMAT4: u8 = 4;

/// Version 5 is as this one, but for the contents that need not be there: see [`is_whole`].
pub(crate) const FORMAT5: u8 = 5;

/// Version 6 did not know of runs out of files, version 7 of journals that went.
const FORMAT6: u8 = 6;
const FORMAT7: u8 = 7;

/// What stands in the place of a segment that went: never the version of a journal.
const STUB: u8 = u8::MAX;

/// The head of the segment before, at the end; see [`super::chain`].
const LINK_BYTES: usize = 32;

/// Appends entries to a segment of this version, and begins it if it is empty.
pub fn extend(segment: &mut Vec<u8>, run: RunId, entries: &[Entry]) {
    extend_as(FORMAT, segment, run, entries);
}

/// Appends entries to a segment, and begins it, in this version or in version 5, if it is empty.
pub(crate) fn extend_as(format: u8, segment: &mut Vec<u8>, run: RunId, entries: &[Entry]) {
    if segment.is_empty() {
        segment.push(format);
        segment.extend_from_slice(&run.0.to_be_bytes());
    }
    for entry in entries {
        let bytes = std::mem::take(segment);
        *segment =
            postcard::to_extend(entry, bytes).expect("an entry has no part that cannot be encoded, and memory grows");
    }
}

/// Reads a segment.
///
/// # Errors
/// When it is of a newer version or is not one.
pub fn decode(bytes: &[u8]) -> Result<(RunId, Vec<Entry>), StoreError> {
    decode_up_to(usize::MAX, bytes)
}

/// The same; more entries than `most` are none of ours. One of a few bytes takes hundreds in memory.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_up_to(most: usize, bytes: &[u8]) -> Result<(RunId, Vec<Entry>), StoreError> {
    let (run, entries, take) = layout(bytes)?;
    let mut rest = bytes.get(entries).unwrap_or_default();
    let mut entries = Vec::new();
    while !rest.is_empty() {
        if entries.len() >= most {
            return Err(damaged("a journal segment of too many entries"));
        }
        let (entry, left) = next(take, rest)?;
        entries.push(entry);
        rest = left;
    }
    Ok((run, entries))
}

/// A segment whose entries are read some at a time: one of some megabytes takes hundreds of them as entries.
pub(crate) struct Parts {
    bytes: Vec<u8>,
    left: Range<usize>,
    take: Take,
}

impl Parts {
    /// Of this segment.
    ///
    /// # Errors
    /// As [`decode`].
    pub(crate) fn of(bytes: Vec<u8>) -> Result<Self, StoreError> {
        let (_, left, take) = layout(&bytes)?;
        Ok(Self { bytes, left, take })
    }

    /// The next entries, so many at most; none at the end.
    ///
    /// # Errors
    /// As [`decode`]; nothing comes behind an error.
    pub(crate) fn next(&mut self, most: usize) -> Result<Vec<Entry>, StoreError> {
        let left = std::mem::take(&mut self.left);
        let mut rest = self.bytes.get(left.clone()).unwrap_or_default();
        let mut entries = Vec::new();
        while !rest.is_empty() && entries.len() < most {
            let (entry, left) = next(self.take, rest)?;
            entries.push(entry);
            rest = left;
        }
        self.left = left.end - rest.len()..left.end;
        Ok(entries)
    }
}

/// Whose a segment is, where its entries stand, and how they are read.
fn layout(bytes: &[u8]) -> Result<(RunId, Range<usize>, Take), StoreError> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("a journal segment without a head"))?;
    let (rest, take): (&[u8], Take) = match head[0] {
        FORMAT | FORMAT7 | FORMAT6 | FORMAT5 | FORMAT4 | FORMAT3 => {
            (unlinked(rest)?, |bytes| postcard::take_from_bytes(bytes))
        }
        format2::FORMAT => (unlinked(rest)?, format2::take),
        format1::FORMAT => (rest, format1::take),
        _ => return Err(damaged("a journal segment of another format")),
    };
    let run = head
        .last_chunk::<8>()
        .map(|id| RunId(u64::from_be_bytes(*id)))
        .ok_or_else(|| damaged("a segment of no run"))?;
    Ok((run, HEAD_BYTES..HEAD_BYTES + rest.len(), take))
}

fn next(take: Take, rest: &[u8]) -> Result<(Entry, &[u8]), StoreError> {
    take(rest).map_err(|_| damaged("a journal entry that does not decode"))
}

fn unlinked(rest: &[u8]) -> Result<&[u8], StoreError> {
    rest.split_last_chunk::<LINK_BYTES>().map(|(rest, _)| rest).ok_or_else(|| damaged("a segment without a link"))
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged { why: why.to_owned() }
}

type Take = fn(&[u8]) -> postcard::Result<(Entry, &[u8])>;

/// True if the contents of all calls in this segment must be there; in older versions an export left some of them out.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|format| (FORMAT6..=FORMAT).contains(format))
}

/// The head of the segment that this one was written behind; none if it was written before there was a chain.
pub fn link(bytes: &[u8]) -> Option<Digest> {
    let link = bytes.last_chunk::<LINK_BYTES>().filter(|_| {
        matches!(bytes.first(), Some(&(FORMAT | FORMAT7 | FORMAT6 | FORMAT5 | FORMAT4 | FORMAT3 | format2::FORMAT)))
    })?;
    Some(Digest(*link))
}

/// What is left of a segment that went: its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    /// The run that it was of.
    pub run: RunId,
    /// The head of the segment before.
    pub link: Digest,
    /// Its own.
    pub head: Digest,
}

impl Stub {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        [[STUB].as_slice(), &self.run.0.to_be_bytes(), &self.link.0, &self.head.0].concat()
    }

    /// What stands there, if it is one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (run, rest) = bytes.strip_prefix(&[STUB])?.split_first_chunk::<8>()?;
        let (link, head) = rest.split_first_chunk::<LINK_BYTES>()?;
        let head = head.try_into().ok()?;
        Some(Self { run: RunId(u64::from_be_bytes(*run)), link: Digest(*link), head: Digest(head) })
    }
}

/// The name of a journal up to a segment with this head, which stands behind what has this name: all zeros before its first.
pub fn gone(before: Digest, head: Digest) -> Digest {
    Digest(Sha256::new().chain_update(before.0).chain_update(head.0).finalize().into())
}
