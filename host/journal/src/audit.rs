//! Whether the log is what was written: every segment in its place, unchanged, with the contents that it names. It only reads.
//!
//! What it cannot see: a log whose end was cut and whose tip was set back to fit, or that was written anew from its beginning. For that the
//! heads are also written to a second place, see [`heads`].

pub mod contents;
pub mod heads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Entry;
use agentry_store::{Page, Range, Store, StoreError, keys};
use serde::Serialize;

use self::heads::Head;
use crate::{Tip, segment};

const PAGE: Page = Page { rows: 256, bytes: 16 * 1024 * 1024 };

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
    /// Runs that came out of files: of what happened before they came, the log says what the file said.
    pub imported: u64,
    /// Heads of the second place that fit.
    pub heads: u64,
    /// The head of the last segment.
    pub head: String,
    /// The first place that is not as it was written; none if all is.
    pub broken: Option<Broken>,
}

/// A place in the log that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
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
    let tip = match Tip::read(store) {
        Ok(tip) => tip,
        Err(StoreError::Damaged { why }) => {
            let broken = Some(Broken { segment: 0, run: None, what: why });
            return Ok(Audit { broken, ..Audit::default() });
        }
        Err(error) => return Err(error),
    };
    let mut walk = Walk {
        store,
        tip: Tip::default(),
        chained: false,
        heads: BTreeMap::new(),
        seen: HashSet::new(),
        imported: HashSet::new(),
        audit: Audit::default(),
    };
    walk.heads.extend(heads.iter().map(|head| (head.segment, head.digest)));
    let broken = walk.whole(tip)?.err();
    let head = walk.tip.head.to_string();
    Ok(Audit { head, broken, ..walk.audit })
}

struct Walk<'a> {
    store: &'a dyn Store,
    tip: Tip,
    chained: bool,
    heads: BTreeMap<u64, Digest>,
    seen: HashSet<Digest>,
    imported: HashSet<RunId>,
    audit: Audit,
}

/// Read well, and as it was written or not.
type Found = Result<Result<(), Broken>, StoreError>;

fn broken(segment: u64, what: impl Into<String>) -> Found {
    Ok(Err(Broken { segment, run: None, what: what.into() }))
}

fn broken_of(segment: u64, run: RunId, what: impl Into<String>) -> Found {
    Ok(Err(Broken { segment, run: Some(run.to_string()), what: what.into() }))
}

impl Walk<'_> {
    fn whole(&mut self, end: Option<Tip>) -> Found {
        let mut range = Range::of(keys::LOG);
        if let Some(end) = end {
            // What a host has written since is the next audit's.
            range.to = keys::segment(end.next);
        }
        loop {
            let rows = self.store.scan(&range, PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            range = range.after(last);
            for (key, bytes) in &rows {
                if let Err(broken) = self.segment(keys::number(key).unwrap_or(u64::MAX), bytes)? {
                    return Ok(Err(broken));
                }
            }
        }
        self.end(end)
    }

    fn segment(&mut self, number: u64, bytes: &[u8]) -> Found {
        if number != self.tip.next {
            let gone = number.saturating_sub(self.tip.next);
            return broken(self.tip.next, format!("{gone} segments are gone"));
        }
        let (run, entries) = match segment::decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                return broken(number, format!("it does not decode: {error}").lines().next().unwrap_or_default());
            }
        };
        match segment::link(bytes) {
            None if self.chained => return broken_of(number, run, "it has no link, and those before it have"),
            None => self.audit.unchained += 1,
            Some(link) if self.chained && link != self.tip.head => {
                let what =
                    "it is not the one that the next was written behind: it was changed, or others stood between";
                return broken(number.saturating_sub(1), what);
            }
            Some(link) if !self.chained && link != Digest::default() => {
                return broken_of(number, run, "what it was written behind is gone");
            }
            Some(_) => self.chained = true,
        }
        let after = self.tip.after(bytes);
        // What stands before the chain has no head that a segment could name.
        self.tip = if self.chained { after } else { Tip { head: Digest::default(), ..after } };
        self.audit.segments += 1;
        self.audit.entries += entries.len() as u64;
        let marked = entries.iter().any(|entry| matches!(entry, Entry::Imported { .. }));
        if marked && self.imported.insert(run) {
            self.audit.imported += 1;
        }
        match self.heads.remove(&number) {
            Some(head) if head != self.tip.head => {
                return broken_of(
                    number,
                    run,
                    "the second place has another head for it: the log up to here was written anew",
                );
            }
            Some(_) => self.audit.heads += 1,
            None => {}
        }
        if !self.store.has(&keys::index(run, number))? {
            return broken_of(number, run, "the index of its run leaves it out");
        }
        self.contents((number, run), &entries, segment::is_whole(bytes))
    }

    fn contents(&mut self, (number, run): (u64, RunId), entries: &[Entry], whole: bool) -> Found {
        for entry in entries {
            for (digest, must) in contents::named(entry, whole) {
                if self.seen.contains(&digest) {
                    continue;
                }
                match self.store.get(&keys::blob(&digest))? {
                    Some(bytes) if crate::digest(&bytes) != digest => {
                        return broken_of(number, run, format!("content {digest} was changed"));
                    }
                    None if must => return broken_of(number, run, format!("content {digest} is gone")),
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
        if let Some((segment, _)) = self.heads.first_key_value() {
            let what = format!("the log ends before it, and the second place has its head: {}", "the end was cut");
            return broken(*segment, what);
        }
        match end {
            Some(end) if end.next > self.tip.next => {
                broken(self.tip.next, format!("the last {} segments are gone", end.next - self.tip.next))
            }
            Some(end) if end.head != self.tip.head => broken(
                self.tip.next.saturating_sub(1),
                "it is not the one that the tip of the log names: it was changed",
            ),
            None if self.chained => broken(self.tip.next, "the tip of the log is gone"),
            _ => Ok(Ok(())),
        }
    }
}
