//! Whether the log is what was written, host by host: every segment in its place, unchanged, with the contents that it names. It only reads.
//!
//! What it cannot see: a log whose end was cut and whose tip was set back to fit, or that was written anew from its beginning. For that the
//! heads are also written to a second place, see [`heads`].

pub mod contents;
mod gone;
pub mod heads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Entry;
use agentry_store::ids::{HostId, SegmentId};
use agentry_store::{Page, Range, Store, StoreError, keys, scan_all};
use serde::Serialize;

use self::gone::Gone;
use self::heads::Head;
use crate::segment::Stub;
use crate::{Tip, segment};

/// Contents that were looked at and are remembered as such; beyond it, one may be looked at twice.
const SEEN_MAX: usize = 1_000_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Segments that were looked at.
    pub segments: u64,
    /// Of these, those that were written before there was a chain.
    pub unchained: u64,
    /// Entries in them.
    pub entries: u64,
    /// Contents that they name.
    pub contents: u64,
    /// Of these, those that went with the journals of runs that are over: their places in the chain are left.
    pub pruned: u64,
    /// How many runs these were of.
    pub pruned_runs: u64,
    /// Runs that came out of files: of what happened before they came, the log says what the file said.
    pub imported: u64,
    /// Heads of the second place that fit.
    pub heads: u64,
    /// The head of the last segment; of the first host's, where several write to the store.
    pub head: String,
    /// Those of the other hosts' logs, by the numbers of the hosts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<HostId, String>,
    /// The first place that is not as it was written; none if all is.
    pub broken: Option<Broken>,
}

/// A place in the log that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The host in whose log it is.
    #[serde(skip_serializing_if = "HostId::is_first")]
    pub host: HostId,
    /// The number of the segment.
    pub segment: u64,
    /// The run that it is of, if that can be told.
    pub run: Option<String>,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// Walks the log from its beginning, as far as it went when this was called, and stops at the first thing that is not as it was written.
///
/// # Errors
/// When the store cannot be read. That something was changed is no error: it stands in the answer.
pub fn verify(store: &dyn Store, heads: &[Head]) -> Result<Audit, StoreError> {
    // A host that prunes meanwhile is the next audit's as well.
    let still = store.snapshot().ok();
    let store = still.as_deref().unwrap_or(store);
    let mut audit = Audit::default();
    let (mut heads, mut seen): (BTreeMap<_, _>, _) =
        (heads.iter().map(|head| (head.segment, head.digest)).collect(), HashSet::new());
    // Before the tips: a host that writes its first segment meanwhile is the next audit's.
    let hosts = hosts(store)?;
    let tips = hosts.into_iter().map(|host| Ok((host, tip(store, host)?))).collect::<Result<Vec<_>, StoreError>>()?;
    for (place, (host, end)) in tips.into_iter().enumerate() {
        let end = match end {
            Ok(end) => end,
            Err(broken) => return Ok(Audit { broken: Some(broken), ..audit }),
        };
        let its = heads.extract_if(.., |segment, _| segment.host == host).collect();
        let (tip, gone, imported) = (Tip::first(host), Gone::default(), HashSet::new());
        let mut walk = Walk { store, tip, chained: false, heads: its, seen, gone, imported, audit };
        let broken = walk.whole(end)?.err();
        (audit, seen) = (walk.audit, walk.seen);
        let head = walk.tip.head.to_string();
        match place {
            0 => audit.head = head,
            _ => drop(audit.others.insert(host, head)),
        }
        if broken.is_some() {
            return Ok(Audit { broken, ..audit });
        }
    }
    if audit.head.is_empty() {
        audit.head = Digest::default().to_string();
    }
    audit.broken = heads.first_key_value().map(|(segment, _)| cut(*segment));
    Ok(audit)
}

/// All hosts of which there is a log, or the tip of one.
pub(crate) fn hosts(store: &dyn Store) -> Result<BTreeSet<HostId>, StoreError> {
    let (one, many) = (Page { rows: 1, bytes: 1 }, Page { rows: usize::from(u16::MAX) + 1, bytes: usize::MAX });
    let tips = store.scan(&Range::of(keys::TIP), many)?;
    let mut hosts: BTreeSet<_> = tips.iter().filter_map(|(key, _)| keys::tip_of(key)).collect();
    let mut range = Range::of(keys::LOG);
    while let Some(first) = store.scan(&range, one)?.first().and_then(|(key, _)| keys::segment_of(key)) {
        hosts.insert(first.host);
        range.from = Range::of(&keys::log(first.host)).to;
    }
    Ok(hosts)
}

/// How far the log of a host goes, or that this cannot be told.
fn tip(store: &dyn Store, host: HostId) -> Result<Result<Option<Tip>, Broken>, StoreError> {
    match Tip::read(store, host) {
        Err(StoreError::Damaged { why }) => Ok(Err(Broken { host, segment: 0, run: None, what: why })),
        tip => tip.map(Ok),
    }
}

/// A log whose end is gone, and with it this segment.
fn cut(SegmentId { host, number: segment }: SegmentId) -> Broken {
    let what = "the log ends before it, and the second place has its head: the end was cut".to_owned();
    Broken { host, segment, run: None, what }
}

/// The log of one host.
struct Walk<'a> {
    store: &'a dyn Store,
    tip: Tip,
    chained: bool,
    heads: BTreeMap<SegmentId, Digest>,
    seen: HashSet<Digest>,
    gone: Gone,
    imported: HashSet<RunId>,
    audit: Audit,
}

/// Read well, and as it was written or not.
type Found = Result<Result<(), Broken>, StoreError>;

impl Walk<'_> {
    fn broken(&self, segment: u64, what: impl Into<String>) -> Found {
        Ok(Err(Broken { host: self.tip.next.host, segment, run: None, what: what.into() }))
    }

    fn broken_of(&self, SegmentId { host, number: segment }: SegmentId, run: RunId, what: impl Into<String>) -> Found {
        Ok(Err(Broken { host, segment, run: Some(run.to_string()), what: what.into() }))
    }

    fn whole(&mut self, end: Option<Tip>) -> Found {
        let mut range = Range::of(&keys::log(self.tip.next.host));
        if let Some(end) = end {
            // What a host has written since is the next audit's.
            range.to = keys::segment(end.next);
        }
        for row in scan_all(self.store, range) {
            let (key, bytes) = row?;
            let Some(id) = keys::segment_of(&key) else { continue };
            if let Err(broken) = self.segment(id, &bytes)? {
                return Ok(Err(broken));
            }
        }
        self.end(end)
    }

    fn segment(&mut self, id: SegmentId, bytes: &[u8]) -> Found {
        let number = id.number;
        if id != self.tip.next {
            let next = self.tip.next.number;
            return self.broken(next, format!("{} segments are gone", number.saturating_sub(next)));
        }
        if let Some(stub) = Stub::decode(bytes) {
            return self.stub(id, &stub);
        }
        let (run, entries) = match segment::decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                return self.broken(number, format!("it does not decode: {error}").lines().next().unwrap_or_default());
            }
        };
        match segment::link(bytes) {
            None if self.chained => return self.broken_of(id, run, "it has no link, and those before it have"),
            None => self.audit.unchained += 1,
            Some(link) if self.chained && link != self.tip.head => {
                let what =
                    "it is not the one that the next was written behind: it was changed, or others stood between";
                return self.broken(number.saturating_sub(1), what);
            }
            Some(link) if !self.chained && link != Digest::default() => {
                return self.broken_of(id, run, "what it was written behind is gone");
            }
            Some(_) => self.chained = true,
        }
        let after = self.tip.after(bytes);
        // What stands before the chain has no head that a segment could name.
        self.tip = if self.chained { after } else { Tip { head: Digest::default(), ..after } };
        self.audit.segments += 1;
        self.audit.entries += entries.len() as u64;
        if run == RunId::HOST
            && let Err((run, what)) = self.gone.told(&entries)
        {
            return self.broken_of(id, run, what);
        }
        let marked = entries.iter().any(|entry| matches!(entry, Entry::Imported { .. }));
        if marked && self.imported.insert(run) {
            self.audit.imported += 1;
        }
        if let Err(broken) = self.second_place(id, run)? {
            return Ok(Err(broken));
        }
        if !self.store.has(&keys::index(run, id))? {
            return self.broken_of(id, run, "the index of its run leaves it out");
        }
        self.contents((id, run), &entries, segment::is_whole(bytes))
    }

    /// The place of a segment that went.
    fn stub(&mut self, id: SegmentId, stub: &Stub) -> Found {
        if stub.link != self.tip.head {
            let what = "what went behind it was not written behind it: it was changed, or others stood between";
            return self.broken(id.number.saturating_sub(1), what);
        }
        self.chained = true;
        self.tip = Tip { next: self.tip.next.next(), head: stub.head };
        self.audit.segments += 1;
        self.audit.pruned += 1;
        self.gone.went(id, stub);
        self.second_place(id, stub.run)
    }

    /// Whether the second place has no other head for the segment that was looked at last.
    fn second_place(&mut self, id: SegmentId, run: RunId) -> Found {
        match self.heads.remove(&id) {
            Some(head) if head != self.tip.head => {
                let what = "the second place has another head for it: the log up to here was written anew";
                return self.broken_of(id, run, what);
            }
            Some(_) => self.audit.heads += 1,
            None => {}
        }
        Ok(Ok(()))
    }

    fn contents(&mut self, (id, run): (SegmentId, RunId), entries: &[Entry], whole: bool) -> Found {
        for entry in entries {
            for (digest, must) in contents::named(entry, whole) {
                if self.seen.contains(&digest) {
                    continue;
                }
                match self.store.get(&keys::blob(&digest))? {
                    Some(bytes) if crate::digest(&bytes) != digest => {
                        return self.broken_of(id, run, format!("content {digest} was changed"));
                    }
                    None if must => return self.broken_of(id, run, format!("content {digest} is gone")),
                    // Another entry may name it too, and must have it.
                    None => continue,
                    Some(_) => self.audit.contents += 1,
                }
                if self.seen.len() >= SEEN_MAX {
                    self.seen.clear();
                }
                self.seen.insert(digest);
            }
        }
        Ok(Ok(()))
    }

    fn end(&mut self, end: Option<Tip>) -> Found {
        self.audit.pruned_runs += self.gone.runs();
        if let Some((id, run)) = self.gone.untold() {
            return self.broken_of(id, run, "it is gone, and nothing tells that it was pruned");
        }
        if let Some((segment, _)) = self.heads.first_key_value() {
            return Ok(Err(cut(*segment)));
        }
        let next = self.tip.next.number;
        match end {
            Some(end) if end.next > self.tip.next => {
                self.broken(next, format!("the last {} segments are gone", end.next.number - next))
            }
            Some(end) if end.head != self.tip.head => {
                self.broken(next.saturating_sub(1), "it is not the one that the tip of the log names: it was changed")
            }
            None if self.chained => self.broken(next, "the tip of the log is gone"),
            _ => Ok(Ok(())),
        }
    }
}
