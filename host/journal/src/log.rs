//! Reads the log back: all entries of a run, in order.

use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_store::ids::SegmentId;
use agentry_store::{Page, Range, Store, StoreError, keys, scan_all};

use super::segment::{self, Parts};

/// Entries that [`parts`] reads at once.
const PART_ENTRIES: usize = 1_024;

/// Every entry of a run, in order.
///
/// # Errors
/// When the store cannot be read or an entry does not decode.
pub fn entries(store: &dyn Store, run: RunId) -> Result<Vec<Entry>, StoreError> {
    entries_behind(store, run, &mut None)
}

/// The entries of its first segment, which begins with its first entry.
///
/// # Errors
/// As [`entries`].
pub fn first(store: &dyn Store, run: RunId) -> Result<Vec<Entry>, StoreError> {
    let rows = store.scan(&Range::of(&keys::indices(run)), Page { rows: 1, bytes: usize::MAX })?;
    let Some(first) = rows.first().and_then(|(key, _)| keys::segment_of(key)) else { return Ok(Vec::new()) };
    let bytes = store.get(&keys::segment(first))?;
    bytes.map_or_else(|| Ok(Vec::new()), |bytes| Ok(segment::decode(&bytes)?.1))
}

/// Those behind this place, which moves behind them.
///
/// # Errors
/// As [`entries`].
pub fn entries_behind(store: &dyn Store, run: RunId, place: &mut Option<SegmentId>) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    each_segment(store, run, place, |segment| {
        entries.extend(segment::decode(segment)?.1);
        Ok(())
    })?;
    Ok(entries)
}

/// Every segment of a run with its place, in order.
///
/// # Errors
/// When the store cannot be read, a segment is gone, or `read` says so.
pub(crate) fn each_segment_at(
    store: &dyn Store,
    run: RunId,
    mut read: impl FnMut(SegmentId, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for row in scan_all(store, Range::of(&keys::indices(run))) {
        let Some(id) = keys::segment_of(&row?.0) else { continue };
        read(id, &segment_at(store, run, id)?)?;
    }
    Ok(())
}

fn segment_at(store: &dyn Store, run: RunId, id: SegmentId) -> Result<Vec<u8>, StoreError> {
    let missing = || StoreError::Damaged { why: format!("segment {} of run {run} is missing", id.number) };
    store.get(&keys::segment(id))?.ok_or_else(missing)
}

/// The entries of a run, some at a time: no more is read, and no more is in memory, than is asked for.
pub(crate) fn parts(store: &dyn Store, run: RunId) -> impl Iterator<Item = Result<Vec<Entry>, StoreError>> {
    let mut ids = scan_all(store, Range::of(&keys::indices(run))).filter_map(|row| match row {
        Ok((key, _)) => keys::segment_of(&key).map(Ok),
        Err(error) => Some(Err(error)),
    });
    let mut segment: Option<Parts> = None;
    std::iter::from_fn(move || {
        loop {
            match segment.as_mut().map(|parts| parts.next(PART_ENTRIES)) {
                Some(Ok(part)) if part.is_empty() => {}
                None => {}
                Some(part) => return Some(part),
            }
            segment = match ids.next()?.and_then(|id| Parts::of(segment_at(store, run, id)?)) {
                Ok(parts) => Some(parts),
                Err(error) => return Some(Err(error)),
            };
        }
    })
}

/// Every segment of a run behind this place, in order; the place moves behind them.
///
/// # Errors
/// When the store cannot be read, a segment is gone, or `read` says so.
pub(crate) fn each_segment(
    store: &dyn Store,
    run: RunId,
    place: &mut Option<SegmentId>,
    mut read: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut range = Range::of(&keys::indices(run));
    if let Some(place) = *place {
        range = range.after(&keys::index(run, place));
    }
    for row in scan_all(store, range) {
        let Some(id) = keys::segment_of(&row?.0) else { continue };
        *place = Some(id);
        read(&segment_at(store, run, id)?)?;
    }
    Ok(())
}
