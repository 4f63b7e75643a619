//! The chain over the log of a host: each segment ends with the head of the one before it, and its own head is the SHA-256 of its name (the
//! host's number and its own, as in its key) and all of its bytes. Whoever changes, cuts or swaps a segment breaks it at that place.
//!
//! A segment gets its number and its link when its batch's turn has come, in the writer: one that conflicts or is refused leaves no gap,
//! so a gap is a cut. No other host numbers this log, and no earlier epoch of this one: their batches are fenced.

use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use agentry_store::ids::{HostId, SegmentId};
use agentry_store::{Deferred, Store, StoreError, Value, Write, keys};

/// The version byte of the stored tip.
const FORMAT: u8 = 1;

/// How far the log of a host goes: how many segments there are, and the head of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The next segment.
    pub next: SegmentId,
    /// The head of the last one; zeros before the first.
    pub head: Digest,
}

impl Tip {
    /// Before the first segment of a host.
    pub fn first(host: HostId) -> Self {
        Self { next: SegmentId { host, number: 0 }, head: Digest::default() }
    }

    /// What the next segment ends with, as it is stored.
    pub fn link(&self, segment: &mut Vec<u8>) {
        segment.extend_from_slice(&self.head.0);
    }

    /// The tip behind this segment, as it is stored.
    #[must_use]
    pub fn after(&self, segment: &[u8]) -> Self {
        let mut sha = Sha256::new();
        sha.update(self.next.to_bytes());
        sha.update(segment);
        Self { next: self.next.next(), head: Digest(sha.finalize().into()) }
    }

    /// As it is stored.
    pub fn encode(&self) -> Value {
        [&[FORMAT], self.next.to_bytes().as_slice(), &self.head.0].concat()
    }

    /// What stands in the store of this host; none before its first chained segment.
    ///
    /// # Errors
    /// When it is not one, or the store cannot be read.
    pub fn read(store: &dyn Store, host: HostId) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = store.get(&keys::tip(host))? else { return Ok(None) };
        let damaged = || StoreError::Damaged { why: "the tip of the log does not decode".to_owned() };
        let [FORMAT, rest @ ..] = bytes.as_slice() else { return Err(damaged()) };
        let (next, head) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let head = <[u8; 32]>::try_from(head).map_err(|_| damaged())?;
        let next = SegmentId::from_bytes(*next);
        if next.host == host { Ok(Some(Self { next, head: Digest(head) })) } else { Err(damaged()) }
    }
}

/// The chain while a host runs. What the writer has linked and not committed yet is taken back if the commit fails.
#[derive(Clone)]
pub(super) struct Chain(Arc<Mutex<State>>);

struct State {
    linked: Tip,
    committed: Tip,
    told: Box<dyn Fn(Tip) + Send>,
}

/// What a batch linked, to be told how the batch ended.
#[derive(Clone, Default)]
pub(crate) struct Linked(Arc<Mutex<Option<Tip>>>);

impl Chain {
    /// It goes on from here, and tells of each tip that is on disk.
    pub(crate) fn from(tip: Tip, told: impl Fn(Tip) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State { linked: tip, committed: tip, told: Box::new(told) })))
    }

    /// The writes of these segments, once their turn has come.
    pub(crate) fn link(&self, segments: Vec<(RunId, Vec<u8>)>) -> (Deferred, Linked) {
        let bytes = segments.iter().map(|(_, bytes)| bytes.len() + 2 * keys::LOG_ROW_BYTES).sum();
        let (chain, linked) = (self.clone(), Linked::default());
        let told = linked.clone();
        let writes = Box::new(move || {
            let mut state = chain.0.lock();
            let mut writes: Vec<Write> = Vec::with_capacity(2 * segments.len() + 1);
            for (run, mut bytes) in segments {
                let tip = state.linked;
                tip.link(&mut bytes);
                state.linked = tip.after(&bytes);
                writes.push((keys::segment(tip.next), Some(bytes)));
                writes.push((keys::index(run, tip.next), Some(Vec::new())));
            }
            writes.push((keys::tip(state.linked.next.host), Some(state.linked.encode())));
            *told.0.lock() = Some(state.linked);
            writes
        });
        (Deferred { bytes, writes }, linked)
    }

    /// How the batch of these links ended. A batch that was never linked changes nothing.
    pub(crate) fn settle(&self, linked: &Linked, result: &Result<(), StoreError>) {
        let Some(tip) = *linked.0.lock() else { return };
        let mut state = self.0.lock();
        if result.is_ok() {
            state.committed = tip;
            (state.told)(tip);
        } else {
            // The transaction failed, with all that it linked.
            state.linked = state.committed;
        }
    }
}
