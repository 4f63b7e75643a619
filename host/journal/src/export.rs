//! A run as one file: its record, its journal and every content that these name, its component included. It can be executed again, looked
//! at and gone on with in another home. Whoever made such a file may have written anything into it: all of it is checked before anything is
//! kept ([`open`]), and what is kept is marked for ever as what came out of a file. Nothing of it moves an account of this home.

mod agree;
mod form;
pub mod sign;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::limits::{EXPORT_ENTRIES_MAX, EXPORT_MAX_BYTES};
use agentry_store::rows::run::{Imported, RunRecord};
use agentry_store::{Batch, Expect, RedbStore, Store, StoreError, keys};

use self::form::Body;
use self::sign::{SignError, SigningKey};
use crate::audit::contents::{lacking, named};
use crate::history::History;
use crate::{Journal, Tip, Trail, segment};

/// A segment that an import writes is about so long.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// Why a file is not taken, or not made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is not one of ours.
    #[error(
        "this is no run that `agentry export` wrote: {0}\nhint: export it again, with this version of agentry or an older one"
    )]
    Foreign(&'static str),
    /// Its parts contradict each other.
    #[error("the parts of this file contradict each other: {0}\nhint: export the run again, in the home where it ran")]
    Disagrees(String),
    /// It is whole, and a part of it is not what it stands for.
    #[error(
        "this is no run as `agentry export` writes it: {0}\nhint: export it again, with this version of agentry or an older one"
    )]
    Undecodable(String),
    /// It is larger than any run may be.
    #[error(
        "the run is too large as a file: {0}\nhint: keep it where it is: `agentry trace` and `agentry replay` work there"
    )]
    Large(String),
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
    /// It cannot be signed, or what signs it is wrong.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The run of this record as a file, signed by this key if one is given.
///
/// # Errors
/// If it goes on, is too large or is not whole.
pub fn export(history: &History, record: &RunRecord, key: Option<&SigningKey>) -> Result<Vec<u8>, ExportError> {
    if record.status == Status::Running {
        return Err(ExportError::GoesOn(record.id));
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
    if entries.len() > EXPORT_ENTRIES_MAX {
        return Err(ExportError::Large(format!("{} entries, more than {EXPORT_ENTRIES_MAX}", entries.len())));
    }
    let mut contents = BTreeMap::new();
    for (content, must) in names {
        match history.blob(&content)? {
            Some(bytes) => drop(contents.insert(content, bytes)),
            None if must => return Err(ExportError::Incomplete { run: record.id, content }),
            None => {}
        }
    }
    let trail = trail(record.id, &entries, |content| contents.contains_key(content));
    let contents = contents.into_values().collect();
    let mut journal = Vec::new();
    segment::extend_as(trail.format(), &mut journal, record.id, &entries);
    Tip::default().link(&mut journal);
    let bytes = form::write(&Body { record: record.encoded(), journal, contents }, key);
    match bytes.len() {
        length if length > EXPORT_MAX_BYTES => {
            Err(ExportError::Large(format!("{length} bytes, more than {EXPORT_MAX_BYTES}")))
        }
        _ => Ok(bytes),
    }
}

/// A run out of a file, checked as far as the file alone can be. Nothing of it is kept yet.
#[derive(Debug)]
pub struct Incoming {
    record: RunRecord,
    entries: Vec<Entry>,
    contents: BTreeMap<Digest, Content>,
    at: Millis,
}

/// Reads such a file: within its bounds, whole, signed as it says, its record and its journal in agreement, every content there that must
/// be. What it does not name is left out.
///
/// # Errors
/// What is wrong with it.
pub fn open(bytes: &[u8], now: Millis) -> Result<Incoming, ExportError> {
    let form::Read { record, journal, contents, signer } = form::read(bytes)?;
    let record = RunRecord::decode(record).map_err(undecodable)?;
    let (run, entries) = segment::decode_up_to(EXPORT_ENTRIES_MAX, journal).map_err(undecodable)?;
    if run != record.id || run == RunId::HOST {
        return Err(ExportError::Disagrees("the journal is another run's".to_owned()));
    }
    let whole = segment::is_whole(journal);
    let mut names: BTreeMap<Digest, bool> = BTreeMap::from([(record.component, true)]);
    for (name, must) in entries.iter().flat_map(|entry| named(entry, whole)) {
        *names.entry(name).or_default() |= must;
    }
    let there = contents.into_iter().map(|bytes| (crate::digest(bytes), bytes));
    let contents: BTreeMap<Digest, Content> = there
        .filter(|(digest, _)| names.contains_key(digest))
        .map(|(digest, bytes)| (digest, Content { digest, bytes: bytes.to_vec() }))
        .collect();
    let mut missing = names.into_iter().filter(|(name, must)| *must && !contents.contains_key(name));
    if let Some((content, _)) = missing.next() {
        return Err(ExportError::Incomplete { run, content });
    }
    let record = agree::agreed(record, &entries, now)?;
    let imported = Some(Imported { at: now, signer, adopted: false });
    Ok(Incoming { record: RunRecord { imported, ..record }, entries, contents, at: now })
}

/// What does not decode is in the file: the store has not been asked for anything.
fn undecodable(error: StoreError) -> ExportError {
    match error {
        StoreError::Damaged { why } => ExportError::Undecodable(why),
        error => error.into(),
    }
}

impl Incoming {
    /// The run as it will stand here.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// The key that signed the file; none if nobody did.
    pub fn signer(&self) -> Option<Digest> {
        self.record.imported.and_then(|imported| imported.signer)
    }

    /// The component that ran, as bytes that nobody has looked at yet.
    pub fn component(&self) -> &[u8] {
        self.contents.get(&self.record.component).map_or(&[], |content| &content.bytes)
    }

    /// Keeps it in this home, in one transaction: the run as it stands here. One that has not ended is suspended, and nothing but a
    /// person's word makes it go on.
    ///
    /// # Errors
    /// If it is there already, or the store cannot be written; nothing is kept then.
    pub async fn keep(self, home: &Path) -> Result<RunRecord, ExportError> {
        let Self { record, mut entries, contents, at } = self;
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home)?);
        if store.has(&keys::run(record.id))? {
            return Err(ExportError::Here(record.id));
        }
        let (journal, _) = Journal::open(store).await?;
        let trail = trail(record.id, &entries, |content| contents.contains_key(content));
        entries.push(Entry::Imported { at, signer: record.imported.and_then(|imported| imported.signer) });
        let mut batch = Batch::default();
        batch.expect(keys::run(record.id), Expect::Absent);
        for content in contents.into_values() {
            batch.put_new(keys::blob(&content.digest), content.bytes);
        }
        // No row says that it is open: whatever it says that it holds is held by nobody here, and no host goes on with it by itself.
        record.write(&mut batch);
        journal.commit_segments(&trail, segments(&trail, &entries), batch).await?;
        Ok(record)
    }
}

/// These entries in segments that the store takes.
fn segments(trail: &Trail, entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut segments = vec![Vec::new()];
    for entry in entries {
        if segments.last().is_some_and(|last| last.len() > SEGMENT_BYTES) {
            segments.push(Vec::new());
        }
        if let Some(last) = segments.last_mut() {
            segment::extend_as(trail.format(), last, trail.run(), std::slice::from_ref(entry));
        }
    }
    segments
}

/// How the log has these entries of a run: as whole, if all contents are there that they name.
fn trail(run: RunId, entries: &[Entry], has: impl FnMut(&Digest) -> bool) -> Trail {
    if lacking(entries, has).is_some() { Trail::lacking(run) } else { Trail::new(run) }
}

#[cfg(test)]
mod tests;
