//! The maxima of workers, the processes that execute guests, and of what they and the kernel process tell each other.

use super::{COMPONENTS_LOADED_MAX, HOSTCALL_MAX_BYTES, KIB, LLM_IN_FLIGHT_MAX_BYTES, LOG_LINE_MAX_BYTES, MIB};

/// One frame of a worker: what one syscall may bring, and the words around it.
pub const WORKER_SAID_MAX_BYTES: usize = 17 * MIB;

/// One frame to a worker: an answer of a model, and the words around it.
pub const WORKER_FRAME_MAX_BYTES: usize = 40 * MIB;

/// Calls that a worker has answered by itself and not reported yet: with as many, a wake-up costs each of them a fifth of a microsecond.
pub const QUICK_CALLS_MAX: usize = 256;

/// The same in bytes. Eight of the longest lines of a log fill it.
pub const QUICK_CALLS_MAX_BYTES: usize = 64 * KIB;

/// What a quick call counts besides what it says.
pub const QUICK_CALL_BYTES: usize = 16;

/// For how long a worker answers by itself before it asks again, and by the clock of the kernel process as that was then. A machine whose clock is
/// set meanwhile is followed so much later.
pub const QUICK_LEASE_MS: u64 = 100;

/// How long a worker has to let go of a run that is over, before it is killed.
pub const WORKER_LETS_GO_MS: u64 = 250;

/// How long a worker has from its start until it takes runs: on a machine that has much else to do.
pub const WORKER_STARTS_MS: u64 = 30_000;

/// How long a worker may say nothing although it was asked to. A guest that has its engine work for so long is better off elsewhere.
pub const WORKER_SILENT_MAX_MS: u64 = 10_000;

/// Processor time that one turn of a guest may take in a worker: twenty slices. Whoever takes more has the engine work where it cannot be interrupted,
/// and is executed in a worker of its own from then on.
pub const WORKER_TURN_MAX_MS: u64 = 100;

/// Resident memory of a worker besides what the three below count: the program, its engine, its heap.
pub const WORKER_BASE_BYTES: u64 = 512 * MIB as u64;

/// What the engine keeps of a place that a run has left: a megabyte of each memory, its tables, a part of its stack.
pub const WORKER_PLACE_KEPT_BYTES: u64 = 8 * MIB as u64;

/// What a run may have besides its memories: its stack and tables, and the longest frame on its way in, taken apart.
pub const WORKER_RUN_BYTES: u64 = 96 * MIB as u64;

/// How often the code of a component is in memory at most: as it was handed over, and as it is executed.
pub const WORKER_CODE_COPIES: u64 = 2;

/// Between two looks at how much memory a worker has.
pub const WORKER_WEIGHED_MS: u64 = 250;

/// How often in a row a run may lose its worker without having made a call more, before it is given one of its own: more often than by chance.
pub const WORKER_LOSSES_SHARED: u32 = 2;

/// Workers that have one run alone, at once: further runs that need one wait for it, and those that have one may wait for them. Each takes some
/// tens of megabytes.
pub const WORKERS_ALONE_MAX: usize = 32;

/// By how much a worker stands behind the kernel process where processors are short, as `nice` has it: whoever asks that process for something, and
/// all that it does for guests, comes before what guests compute. Not by more: what else a machine does would come before agents as well.
pub const WORKER_NICE: i32 = 2;

/// By how much a worker of one run alone stands behind where processors are short, as `nice` has it: so many of them take nobody else's time.
pub const WORKER_ALONE_NICE: i32 = 15;

const _: () = assert!(WORKER_NICE < WORKER_ALONE_NICE);

/// How often it may lose one in all: then it is the one that breaks them.
pub const WORKER_LOSSES_MAX: u32 = 8;

/// Descriptors of a worker: its connection, what its executor waits with, and for each component and its memory a few.
pub const WORKER_FILES_MAX: u64 = 4 * COMPONENTS_LOADED_MAX as u64;

const _: () = assert!(HOSTCALL_MAX_BYTES < WORKER_SAID_MAX_BYTES && LLM_IN_FLIGHT_MAX_BYTES < WORKER_FRAME_MAX_BYTES);
const _: () = assert!(LOG_LINE_MAX_BYTES + QUICK_CALL_BYTES <= QUICK_CALLS_MAX_BYTES);
const _: () = assert!(
    QUICK_CALLS_MAX * QUICK_CALL_BYTES <= QUICK_CALLS_MAX_BYTES && QUICK_CALLS_MAX_BYTES < WORKER_SAID_MAX_BYTES
);
const _: () = assert!(WORKER_LOSSES_SHARED < WORKER_LOSSES_MAX);
const _: () =
    assert!(WORKER_TURN_MAX_MS < WORKER_LETS_GO_MS && (2 * WORKER_FRAME_MAX_BYTES) as u64 <= WORKER_RUN_BYTES);
