//! A run executed again beside its journal, to prove that it is a function of what stands there. Nothing is decided, done, written or
//! spent: every answer comes out of the past.

use std::sync::Arc;
use std::time::Duration;

use agentry_journal::digest;
use agentry_kernel::budget::Allowance;
use agentry_kernel::budget::Resource;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_store::StoreError;
use tokio::time::Instant;

use super::{Assignment, guest, how_lost};
use crate::dispatch::Dispatch;
use crate::dispatch::drivers::Drivers;
use crate::exec::components::Prepared;
use crate::run::context::RunContext;
use crate::run::end::End;
use crate::run::events::Observer;
use crate::run::recording::{Difference, Recording, Verdict};

/// The longest that a replay may compute: an hour.
const REPLAY_MAX_MS: u64 = 3_600_000;

/// How much slower than the recorded run a replay may be, on a machine that has more to do.
const PATIENCE: u64 = 10;

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Which run.
    pub run: RunId,
    /// Its agent.
    pub agent: String,
    /// How it had ended; [`Status::Running`] if it had not.
    pub status: Status,
    /// How many calls were the same.
    pub calls: u32,
    /// True if the recorded run was cut from outside, so that its end could not be compared.
    pub cut: bool,
    /// The first thing that is not as it was.
    pub difference: Option<Difference>,
}

/// Executes it again.
///
/// # Errors
/// When something that the journal names cannot be read.
pub(crate) async fn replay(
    drivers: &Arc<Drivers>,
    prepared: &Prepared,
    id: RunId,
    past: Recording,
) -> Result<Replayed, StoreError> {
    let past = Arc::new(past);
    let started = past.started().clone();
    let held = started.held;
    let allowance = Allowance {
        fuel: held[Resource::Fuel],
        wall_ms: held[Resource::WallTime],
        memory_bytes: held[Resource::Memory],
    };
    let input = String::from_utf8(past.content(&started.input)?);
    let input = input.map_err(|_| StoreError::Damaged { why: "an input that is no text".to_owned() })?;
    let run = RunContext::new(id, started.agent.clone(), started.at, Observer::nobody()).again(Arc::clone(&past));
    let run = Arc::new(run);
    // Nothing is waited for, so this bounds what it computes: as long as then where time ended it, else more than it can need.
    let patience = if past.was_cut() { 1 } else { PATIENCE };
    run.set_deadline(
        Instant::now() + Duration::from_millis(allowance.wall_ms.saturating_mul(patience).min(REPLAY_MAX_MS)),
    );
    let (seed, deadline) = (started.seed, started.at.plus(allowance.wall_ms));
    let port = Arc::new(Dispatch::new(Arc::clone(&run), Arc::clone(drivers), deadline));
    let assignment = Assignment { allowance, input, seed, deadline, alone: false };
    let end = guest(prepared, &port, &run, assignment).await.map(|(end, _)| end);
    let end = end.unwrap_or_else(|| End::of(how_lost(&run), &allowance, run.calls(), None));
    port.close();
    let output = end.bytes();
    past.close(run.calls(), end.status, digest(&output), &String::from_utf8_lossy(&output));
    let (cut, difference) = match past.verdict() {
        None => (false, None),
        Some(Verdict::Cut) => (true, None),
        Some(Verdict::Differs(difference)) => (false, Some(difference.clone())),
        Some(Verdict::Unreadable(error)) => return Err(error.clone()),
    };
    let status = past.ended().map_or(Status::Running, |ended| ended.status);
    let beyond = u32::from(cut || difference.as_ref().is_some_and(|first| first.call.is_some()));
    let calls = run.calls().saturating_sub(beyond).min(past.calls());
    Ok(Replayed { run: id, agent: started.agent, status, calls, cut, difference })
}
