//! What happened, for people: runs, their entries and the contents that these name. It only reads.

use std::sync::Arc;

use agentry_abi::clock::date;
use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status, Wake};
use agentry_kernel::text::nearest;
use agentry_kernel::time::Millis;
use agentry_store::ids::SegmentId;
use agentry_store::rows::approval::Question;
use agentry_store::rows::mail::Listed;
use agentry_store::rows::notice::Notice;
use agentry_store::rows::parked::{OpenRun, ParkedRun};
use agentry_store::rows::question::Inquiry;
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Page, Range, Row, Store, StoreError, keys, rows, scan_all};

use crate::audit::heads::Head;
use crate::audit::{self, Audit};
use crate::log;

/// Letters of a whole run id.
const ID_LETTERS: u32 = 13;
/// Bits of one letter.
const LETTER_BITS: u32 = 5;
/// Runs among which one is looked for that was probably meant.
const MEANT_AMONG: usize = 200;
/// Runs among which the last one is looked for that works for no other.
const LAST_AMONG: usize = 100;
/// Letters of an id of which two may be wrong.
const MEANT_LETTERS_MIN: usize = 5;
/// Runs named when a beginning fits more than one.
const MATCHES_MAX: usize = 5;

/// The past; cheap to clone.
#[derive(Clone)]
pub struct History(Arc<dyn Store>, Owner);

/// Who has the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A host: what runs, runs there.
    Host,
    /// Nobody: whatever ran when its host stopped runs no more.
    Nobody,
}

impl History {
    /// The history in the store of a host: this process, or one that is asked.
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self(store, Owner::Host)
    }

    /// The history in a store that no host has: what ran when its last one stopped runs no more.
    pub fn left_in(store: Arc<dyn Store>) -> Self {
        Self(store, Owner::Nobody)
    }

    /// The store that it reads.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        let rows = scan_all(&*self.0, Range::of(keys::TIMES).reversed());
        rows.map(|row| self.listed(row?)).filter_map(Result::transpose).take(limit).collect()
    }

    /// Runs that have not ended and that no host has in memory, oldest first; those for which `which` says so, by the host that has them and what
    /// is filed of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn suspended(&self, which: impl Fn(OpenRun) -> bool) -> Result<Vec<RunRecord>, StoreError> {
        let mut runs = Vec::new();
        for row in scan_all(&*self.0, Range::of(keys::OPEN)) {
            let (key, row) = row?;
            let Some(id) = keys::number(&key).filter(|_| OpenRun::decode(&row).is_ok_and(&which)) else { continue };
            runs.extend(self.record(RunId(id))?.filter(|record| record.status == Status::Suspended));
        }
        runs.sort_by_key(|record| (record.started, record.id));
        Ok(runs)
    }

    /// The run of this id, of an id that begins so, or the `last` one.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn run(&self, name: &str) -> Result<RunRecord, NoRun> {
        if name == "last" {
            let newest = self.runs(1)?.pop().ok_or(NoRun::Never)?;
            if newest.parent.is_none() {
                return Ok(newest);
            }
            // It works for another one: the last is the one that somebody began.
            let own = self.runs(LAST_AMONG)?.into_iter().find(|run| run.parent.is_none());
            return Ok(own.unwrap_or(newest));
        }
        let unknown = || {
            let shown: String = name.chars().take(64).collect();
            NoRun::Unknown { name: shown, meant: self.meant(name) }
        };
        let range = beginning(name).ok_or_else(unknown)?;
        let rows = self.0.scan(&range, Page { rows: MATCHES_MAX, bytes: usize::MAX })?;
        let mut records = rows.iter().map(|(_, row)| self.decoded(row)).collect::<Result<Vec<_>, _>>()?;
        match records.len() {
            0 => Err(unknown()),
            1 => Ok(records.remove(0)),
            _ => {
                let matches: Vec<_> = records.iter().map(|record| record.id.to_string()).collect();
                Err(NoRun::Many { name: name.to_owned(), matches: matches.join(", ") })
            }
        }
    }

    /// The same, if its journal is there.
    ///
    /// # Errors
    /// [`NoRun::Pruned`] if it went.
    pub fn whole_run(&self, name: &str) -> Result<RunRecord, NoRun> {
        let record = self.run(name)?;
        match self.receipt(record.id)? {
            Some(receipt) => Err(NoRun::Pruned { run: record.id, at: receipt.at }),
            None => Ok(record),
        }
    }

    /// That the journal of a run went; none if it is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipt(&self, run: RunId) -> Result<Option<Receipt>, StoreError> {
        Receipt::of(&*self.0, run)
    }

    /// The same of many runs, read at once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipts(&self, runs: &[RunRecord]) -> Result<Vec<Option<Receipt>>, StoreError> {
        let places: Vec<_> = runs.iter().map(|run| keys::receipt(run.id)).collect();
        self.0.get_each(&places)?.iter().map(|row| row.as_deref().map(Receipt::decode).transpose()).collect()
    }

    /// What somebody probably meant who named no run: the last one of an agent of this name, or one whose id differs in a letter.
    fn meant(&self, name: &str) -> Option<String> {
        let runs = self.runs(MEANT_AMONG).ok()?;
        if let Some(last) = runs.iter().find(|run| run.agent == name) {
            return Some(format!("`{name}` is an agent; its last run is {}", last.id));
        }
        if let Some(agent) = nearest(name, runs.iter().map(|run| &*run.agent).chain(["last"])) {
            let last = runs.iter().find(|run| run.agent == agent);
            return Some(match last {
                Some(last) => format!("did you mean agent `{agent}`? its last run is {}", last.id),
                None => format!("did you mean `{agent}`?"),
            });
        }
        let wanted = name.to_ascii_lowercase();
        let length = wanted.len();
        let ids: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
        let beginnings = ids.iter().filter_map(|id| id.get(..length)).filter(|_| length >= MEANT_LETTERS_MIN);
        let near = nearest(&wanted, beginnings)?;
        let whole = ids.iter().find(|id| id.starts_with(near))?;
        Some(format!("did you mean {whole}?"))
    }

    /// Every entry of a run, in order.
    ///
    /// # Errors
    /// When the store cannot be read or an entry does not decode.
    pub fn entries(&self, run: RunId) -> Result<Vec<Entry>, StoreError> {
        log::entries(&*self.0, run)
    }

    /// The same some at a time, so that a run of any length takes no more memory than a short one.
    ///
    /// # Errors
    /// As [`History::entries`]; nothing comes behind an error.
    pub fn parts(&self, run: RunId) -> impl Iterator<Item = Result<Vec<Entry>, StoreError>> + '_ {
        log::parts(&*self.0, run)
    }

    /// The entries of a run behind this place, which moves behind them: so a run is followed while it goes on.
    ///
    /// # Errors
    /// As [`History::entries`].
    pub fn entries_behind(&self, run: RunId, place: &mut Option<SegmentId>) -> Result<Vec<Entry>, StoreError> {
        log::entries_behind(&*self.0, run, place)
    }

    /// Every segment of a run as the log has it, in order.
    pub(crate) fn each_segment(
        &self,
        run: RunId,
        read: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        log::each_segment(&*self.0, run, &mut None, read)
    }

    /// What brings a run back that has left memory while it waits; none if it has not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn wake(&self, run: RunId) -> Result<Option<Wake>, StoreError> {
        Ok(ParkedRun::of(&*self.0, run)?.and_then(|rest| rest.wake))
    }

    /// What people were asked, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read or a question does not decode.
    pub fn questions(&self) -> Result<Vec<Question>, StoreError> {
        rows::approval::all(&*self.0)
    }

    /// What agents asked people, oldest first, as it stands at this moment.
    ///
    /// # Errors
    /// When the store cannot be read or a question does not decode.
    pub fn inquiries(&self, now: Millis) -> Result<Vec<Inquiry>, StoreError> {
        rows::question::inquiries(&*self.0, now)
    }

    /// What agents told people, newest first.
    ///
    /// # Errors
    /// When the store cannot be read or a notice does not decode.
    pub fn notices(&self, limit: usize) -> Result<Vec<Notice>, StoreError> {
        rows::notice::notices(&*self.0, limit)
    }

    /// Letters that wait, or dead ones, in order; of one mailbox, if one is named.
    ///
    /// # Errors
    /// When the store cannot be read or a letter does not decode.
    pub fn mail(&self, mailbox: Option<&str>, dead: bool) -> Result<Vec<Listed>, StoreError> {
        rows::mail::list(&*self.0, mailbox, dead)
    }

    /// Whether the log is what was written; see [`crate::audit`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit(&self, heads: &[Head]) -> Result<Audit, StoreError> {
        audit::verify(&*self.0, heads)
    }

    /// A content by its name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(&keys::blob(digest))
    }

    /// The record of a run, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn record(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        self.0.get(&keys::run(run))?.map(|bytes| self.decoded(&bytes)).transpose()
    }

    /// The run of a row of the index. One of an older version says only which run it is, and what is no run's row is passed over.
    pub(crate) fn listed(&self, (key, row): Row) -> Result<Option<RunRecord>, StoreError> {
        match keys::number(&key).map(RunId) {
            None => Ok(None),
            Some(id) if row.is_empty() => self.record(id),
            Some(_) => self.decoded(&row).map(Some),
        }
    }

    /// A record as its run stands.
    fn decoded(&self, bytes: &[u8]) -> Result<RunRecord, StoreError> {
        let record = RunRecord::decode(bytes)?;
        let lost = self.1 == Owner::Nobody && record.status == Status::Running;
        Ok(if lost { RunRecord { status: Status::Suspended, ..record } } else { record })
    }
}

/// Records of all runs whose printed id begins so; none if no id can.
fn beginning(name: &str) -> Option<Range> {
    let letters = u32::try_from(name.len()).ok().filter(|letters| (1..=ID_LETTERS).contains(letters))?;
    let padded = format!("{}{}", name.to_ascii_lowercase(), "0".repeat((ID_LETTERS - letters) as usize));
    let RunId(first) = padded.parse().ok()?;
    let behind = u128::from(first) + (1u128 << ((ID_LETTERS - letters) * LETTER_BITS));
    let to = match u64::try_from(behind) {
        Ok(behind) => keys::run(RunId(behind)),
        Err(_) => Range::of(keys::RUNS).to,
    };
    Some(Range { from: keys::run(RunId(first)), to, reverse: false })
}

/// There is no one run of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRun {
    /// Nothing ever ran here.
    #[error("nothing has run in this home yet")]
    Never,
    /// None has this name.
    #[error("there is no run `{name}`{}", meant.as_ref().map(|meant| format!("\nhint: {meant}")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        name: String,
        /// What was probably meant, in a sentence.
        meant: Option<String>,
    },
    /// More than one does.
    #[error("more than one run begins with `{name}`: {matches}\nhint: give more letters")]
    Many {
        /// What was asked for.
        name: String,
        /// Some of them.
        matches: String,
    },
    /// Its journal went.
    #[error(
        "the journal of run {run} was pruned on {}\nhint: a backup from before has it: put it back beside this home", day(*at)
    )]
    Pruned {
        /// Which.
        run: RunId,
        /// When.
        at: Millis,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A day, as RFC 3339 writes it.
fn day(at: Millis) -> String {
    let (year, month, day) = date(i64::try_from(at.0 / 86_400_000).unwrap_or_default());
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::host;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_is_found_by_the_beginning_of_its_id() {
        let home = tempfile::tempdir().unwrap();
        let host = host(home.path()).await;
        assert_eq!(host.history.run("last"), Err(NoRun::Never));
        for id in [1, 2, u64::MAX] {
            host.run(id);
        }
        host.journal.flush().await.unwrap();
        let id = |name: &str| host.history.run(name).map(|record| record.id);
        assert_eq!(id("0000000000001"), Ok(RunId(1)));
        assert_eq!(id("fz"), Ok(RunId(u64::MAX)));
        assert_eq!(id("FZ"), Ok(RunId(u64::MAX)));
        assert!(matches!(id("00"), Err(NoRun::Many { .. })));
        for unknown in ["1", "", "z", "zzzzzzzzzzzzz", "00000000000011", "läst"] {
            assert!(matches!(id(unknown), Err(NoRun::Unknown { .. })), "{unknown}");
        }
        assert_eq!(host.history.runs(2).map(|runs| runs.len()), Ok(2));
    }
}
