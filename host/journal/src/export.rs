//! A run as one file: its record, its journal and every content that these name, its component included. It can be executed again, looked
//! at and gone on with in another home. What comes from a file is checked before anything of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status};
use agentry_store::content::Content;
use agentry_store::limits::PARCEL_MAX_BYTES;
use agentry_store::rows::run::RunRecord;
use agentry_store::{RedbStore, Store, StoreError, keys};
use serde::{Deserialize, Serialize};

use crate::audit::contents::{lacking, named};
use crate::history::History;
use crate::{Extras, Journal, Tip, Trail, digest, segment};

/// What such a file begins with: its kind and the version of its form.
const MAGIC: &[u8] = b"agentry run 1\n";

/// Bytes of the checksum at its end.
const SUM_BYTES: usize = 32;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ParcelError {
    /// It is not one of ours.
    #[error(
        "this is no run that `agentry export` wrote: {0}\nhint: export it again, with this version of agentry or an older one"
    )]
    Foreign(&'static str),
    /// It is larger than any run may be.
    #[error(
        "the run is {bytes} bytes long as a file, more than {PARCEL_MAX_BYTES}\nhint: keep it where it is: agentry trace and replay work there"
    )]
    Large {
        /// How large.
        bytes: usize,
    },
    /// There is a run of this id.
    #[error("run {0} is in this home already\nhint: import it into another one: --home DIR")]
    Here(RunId),
    /// Part of it is missing where it comes from.
    #[error(
        "run {run} names the content {content}, which this home does not have\nhint: `agentry audit verify` says what else is missing"
    )]
    Incomplete {
        /// Which run.
        run: RunId,
        /// Which content.
        content: Digest,
    },
    /// It goes on.
    #[error("run {0} goes on\nhint: wait for its end, or stop its host first: then it can go on elsewhere")]
    GoesOn(RunId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Parcel {
    record: Vec<u8>,
    /// As the log has it.
    journal: Vec<u8>,
    contents: Vec<Vec<u8>>,
}

/// The run of this record as a file.
///
/// # Errors
/// If it goes on, is too large or is not whole.
pub fn export(history: &History, record: &RunRecord) -> Result<Vec<u8>, ParcelError> {
    if record.status == Status::Running {
        return Err(ParcelError::GoesOn(record.id));
    }
    let mut entries = Vec::new();
    let mut names: BTreeMap<Digest, bool> = BTreeMap::from([(record.component, true)]);
    history.each_segment(record.id, |bytes| {
        let (whole, segment) = (segment::is_whole(bytes), segment::decode(bytes)?.1);
        for (name, must) in segment.iter().flat_map(|entry| named(entry, whole)) {
            *names.entry(name).or_default() |= must;
        }
        entries.extend(segment);
        Ok(())
    })?;
    let mut contents = BTreeMap::new();
    for (content, must) in names {
        match history.blob(&content)? {
            Some(bytes) => drop(contents.insert(content, bytes)),
            None if must => return Err(ParcelError::Incomplete { run: record.id, content }),
            None => {}
        }
    }
    let trail = trail(record.id, &entries, |content| contents.contains_key(content));
    let contents = contents.into_values().collect();
    let mut journal = Vec::new();
    segment::extend_as(trail.format(), &mut journal, record.id, &entries);
    Tip::default().link(&mut journal);
    let parcel = Parcel { record: record.encoded(), journal, contents };
    let mut bytes = postcard::to_extend(&parcel, MAGIC.to_vec()).expect("it is plain data, and memory grows");
    bytes.extend_from_slice(&digest(&bytes).0);
    match bytes.len() {
        length if length > PARCEL_MAX_BYTES => Err(ParcelError::Large { bytes: length }),
        _ => Ok(bytes),
    }
}

/// Takes a run out of such a file into this home; its record there. A run that has not ended is suspended.
///
/// # Errors
/// If it is not whole, or is there already; nothing is kept then.
pub async fn import(home: &Path, bytes: &[u8]) -> Result<RunRecord, ParcelError> {
    let Opened { record, entries, contents, trail } = opened(bytes)?;
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(home)?);
    if store.has(&keys::run(record.id))? {
        return Err(ParcelError::Here(record.id));
    }
    let (journal, _) = Journal::open(store).await?;
    let trail = Arc::new(trail);
    let contents = journal.missing(contents);
    // As one that its host lost: the next host takes it for that.
    let open = record.status == Status::Suspended;
    let stored = RunRecord { status: if open { Status::Running } else { record.status }, ..record.clone() };
    journal.append(&trail, &entries, Extras { contents, record: Some(stored), ..Extras::default() });
    journal.durable(&trail).await?;
    Ok(record)
}

/// How the log has these entries of a run: as whole, if all contents are there that they name.
fn trail(run: RunId, entries: &[Entry], has: impl FnMut(&Digest) -> bool) -> Trail {
    if lacking(entries, has).is_some() { Trail::lacking(run) } else { Trail::new(run) }
}

/// What such a file holds.
struct Opened {
    record: RunRecord,
    entries: Vec<Entry>,
    contents: Vec<Content>,
    trail: Trail,
}

fn opened(bytes: &[u8]) -> Result<Opened, ParcelError> {
    if bytes.len() > PARCEL_MAX_BYTES {
        return Err(ParcelError::Large { bytes: bytes.len() });
    }
    let foreign = ParcelError::Foreign;
    let (whole, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(foreign("it is too short"))?;
    let body = whole.strip_prefix(MAGIC).ok_or(foreign("it does not begin as one"))?;
    if digest(whole).0 != *sum {
        return Err(foreign("it was cut or changed"));
    }
    let Parcel { record, journal, contents } =
        postcard::from_bytes(body).map_err(|_| foreign("its parts do not decode"))?;
    let record = RunRecord::decode(&record)?;
    let (run, entries) = segment::decode(&journal)?;
    if run != record.id || run == RunId::HOST {
        return Err(foreign("its journal is another run's"));
    }
    let contents: Vec<Content> = contents.into_iter().map(Content::of).collect();
    let there: BTreeSet<Digest> = contents.iter().map(|content| content.digest).collect();
    let whole = segment::is_whole(&journal);
    let mut names = entries.iter().flat_map(|entry| named(entry, whole));
    if let Some((content, _)) = names.find(|(name, must)| *must && !there.contains(name)) {
        return Err(ParcelError::Incomplete { run, content });
    }
    let trail = trail(run, &entries, |content| there.contains(content));
    let ended = entries.iter().any(|entry| matches!(entry, Entry::Ended(_)));
    if ended == matches!(record.status, Status::Running | Status::Suspended) && !entries.is_empty() {
        return Err(foreign("its record and its journal disagree"));
    }
    Ok(Opened { record, entries, contents, trail })
}

#[cfg(test)]
mod tests;
