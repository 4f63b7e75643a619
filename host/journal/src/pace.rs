//! How far what happens may run ahead of the disk. Numbers and what they mean; it measures nothing.

use agentry_store::VALUE_MAX_BYTES;
use agentry_store::limits::{HOSTCALL_MAX_BYTES, LLM_IN_FLIGHT_MAX_BYTES};

/// The longest that an entry stays in memory when nobody waits for it.
pub const FLUSH_MS: u64 = 5;

/// What of a run may wait for the disk before the guest is held back.
pub const PACE_BYTES: usize = 256 * 1024;

/// What of a run may wait for the disk at all.
pub const BACKLOG_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A run of which so much waits is stopped: it does nothing but write, and one that went on would fill the queue that it shares with
/// all others. More than the requests that a run may have in flight.
pub const FLOOD_BYTES: usize = 40 * 1024 * 1024;

/// What may gather for the next commit while one is on its way; beyond that, another is sent after it.
pub(crate) const GATHER_MAX_BYTES: usize = 16 * 1024 * 1024;

const _: () = assert!(PACE_BYTES < BACKLOG_MAX_BYTES);
const _: () = assert!(BACKLOG_MAX_BYTES < FLOOD_BYTES && LLM_IN_FLIGHT_MAX_BYTES < FLOOD_BYTES);
const _: () = assert!(FLOOD_BYTES + HOSTCALL_MAX_BYTES < VALUE_MAX_BYTES);

/// How far the disk is behind what has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Of entries and contents that the store does not have yet.
    pub bytes: usize,
    /// Batches that the store has and has not answered.
    pub batches: usize,
}
