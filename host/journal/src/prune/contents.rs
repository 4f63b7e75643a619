//! Contents that no journal names go. What is marked is doomed first, so that whoever writes one of it from then on saves it; then all journals are
//! read, and what they name is spared; what is left then goes. A log that cannot be read dooms nothing.

use std::collections::HashSet;
use std::time::Instant;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, Page, Range, Store, StoreError, keys, scan_all};

use super::{PruneError, Pruned, Pruning, wait};
use crate::Journal;
use crate::audit::contents::named;
use crate::segment::{self, Stub};

/// Marks that are looked at in one reading of the log: a few megabytes of memory.
const ROUND_MAX: usize = 64 * 1024;
/// Contents that go in one transaction.
const STEP_MAX: usize = 256;

/// Of the log, what is read in one step.
const PART: Page = Page { rows: 1024, bytes: 2 * 1024 * 1024 };

/// All that are marked and that nothing names.
pub(super) fn prune(journal: &Journal, how: &Pruning<'_>, pruned: &mut Pruned) -> Result<(), PruneError> {
    let mut range = Range::of(keys::ORPHANS);
    loop {
        let marks = journal.store().scan(&range, Page { rows: ROUND_MAX, bytes: usize::MAX })?;
        let Some((last, _)) = marks.last() else { return Ok(()) };
        range = range.after(last);
        let marked: Vec<Digest> = marks.iter().filter_map(|(key, _)| keys::content_of(key)).collect();
        let swept = round(journal, how, &marked, pruned);
        journal.doomed().doom(HashSet::new());
        swept?;
    }
}

fn round(journal: &Journal, how: &Pruning<'_>, marked: &[Digest], pruned: &mut Pruned) -> Result<(), PruneError> {
    journal.doom(marked.iter().copied().collect());
    // What named one of them before stands in the log then.
    wait(journal.flush())?;
    let mut left = marked.iter().copied().collect();
    unnamed(&**journal.store(), how, &HashSet::new(), &mut left, pruned)?;
    for content in marked.iter().filter(|content| !left.contains(*content)) {
        journal.doomed().spare(content);
    }
    for step in marked.chunks(STEP_MAX) {
        let begun = Instant::now();
        let mut batch = Batch::default();
        step.iter().for_each(|content| batch.remove(keys::orphan(content)));
        // What was never kept, such as a refused call's, is named and not there.
        let (contents, bytes) = sizes(&**journal.store(), step.iter().filter(|content| left.contains(*content)))?;
        wait(journal.doomed().remove(step, batch))?;
        pruned.contents += contents;
        pruned.content_bytes += bytes;
        how.step(pruned, begun)?;
    }
    Ok(())
}

/// Which contents would go, if these runs did.
pub(super) fn look(
    store: &dyn Store,
    how: &Pruning<'_>,
    going: &HashSet<RunId>,
    mut orphans: HashSet<Digest>,
    pruned: &mut Pruned,
) -> Result<(), PruneError> {
    for row in scan_all(store, Range::of(keys::ORPHANS)) {
        orphans.extend(keys::content_of(&row?.0));
    }
    unnamed(store, how, going, &mut orphans, pruned)?;
    let (contents, bytes) = sizes(store, orphans.iter())?;
    pruned.contents += contents;
    pruned.content_bytes += bytes;
    Ok(())
}

/// Takes out what journals name, those of these runs apart, and what runs are of.
fn unnamed(
    store: &dyn Store,
    how: &Pruning<'_>,
    without: &HashSet<RunId>,
    left: &mut HashSet<Digest>,
    pruned: &Pruned,
) -> Result<(), PruneError> {
    let mut rest = Some(Range::of(keys::LOG));
    while let Some(range) = rest.filter(|_| !left.is_empty()) {
        let begun = Instant::now();
        let rows = store.scan(&range, PART)?;
        for (_, bytes) in rows.iter().filter(|(_, bytes)| Stub::decode(bytes).is_none()) {
            let (run, entries) = segment::decode(bytes)?;
            if without.contains(&run) {
                continue;
            }
            let whole = segment::is_whole(bytes);
            entries.iter().flat_map(|entry| named(entry, whole)).for_each(|(name, _)| _ = left.remove(&name));
        }
        rest = rows.last().map(|(last, _)| range.after(last));
        how.step(pruned, begun)?;
    }
    for row in scan_all(store, Range::of(keys::RUNS)) {
        left.remove(&RunRecord::decode(&row?.1)?.component);
    }
    Ok(())
}

/// How many of these are there, and what they take.
fn sizes<'a>(store: &dyn Store, contents: impl Iterator<Item = &'a Digest>) -> Result<(u64, u64), StoreError> {
    let (mut rows, mut bytes) = (0, 0);
    for content in contents {
        let measured = store.measure(&Range::of(&keys::blob(content)))?;
        (rows, bytes) = (rows + measured.rows, bytes + measured.bytes);
    }
    Ok((rows, bytes))
}
