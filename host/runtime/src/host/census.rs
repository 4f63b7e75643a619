//! What waits in the store of a host, counted: runs at rest, questions, causes. Counting reads every such row, so it is done now and then, and whoever asks
//! often is told what was counted a moment ago.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_kernel::time::Millis;
use agentry_store::rows::approval::State;
use agentry_store::rows::parked::OpenRun;
use agentry_store::rows::question;
use agentry_store::{Range, Store, StoreError, keys, rows, scan_all};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// It is not counted more often.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// Of its time, a host spends at most one part in so many on counting.
const COUNT_SHARE: u32 = 50;

/// What waits in a store, as it was counted last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Runs that left memory and come back for a time, a letter or a person.
    pub parked: u64,
    /// Questions of policy that are open.
    pub approvals: u64,
    /// Questions of agents that are open.
    pub questions: u64,
    /// What triggers noticed and whose run has not ended.
    pub causes: u64,
    /// Of these, those that wait for a person.
    pub dead_causes: u64,
    /// How long ago that was counted.
    pub counted_ms: u64,
}

/// What was counted last.
#[derive(Debug, Default)]
pub struct Census(Mutex<Option<Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    waiting: Waiting,
    at: Instant,
    took: Duration,
}

impl Census {
    /// What waits there: as it was counted last, unless that is too long ago.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn waiting(&self, store: &Arc<dyn Store>, now: Millis) -> Result<Waiting, StoreError> {
        let last = *self.0.lock();
        if let Some(last) = last.filter(|last| last.at.elapsed() < COUNT_EVERY.max(last.took * COUNT_SHARE)) {
            let counted_ms = u64::try_from(last.at.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Ok(Waiting { counted_ms, ..last.waiting });
        }
        let (store, begun) = (Arc::clone(store), Instant::now());
        let counted = tokio::task::spawn_blocking(move || count(&*store, now)).await;
        let waiting = counted.map_err(|_| StoreError::Closed)??;
        *self.0.lock() = Some(Counted { waiting, at: Instant::now(), took: begun.elapsed() });
        Ok(waiting)
    }
}

/// What waits in a store.
///
/// # Errors
/// When it cannot be read.
pub fn count(store: &dyn Store, now: Millis) -> Result<Waiting, StoreError> {
    let mut waiting = Waiting::default();
    for row in scan_all(store, Range::of(keys::OPEN)) {
        // What else has not ended lives in memory, or works for another run.
        let parked = OpenRun::decode(&row?.1).is_ok_and(|open| open.parked.is_some_and(|rest| rest.wake.is_some()));
        waiting.parked += u64::from(parked);
    }
    let open = rows::approval::all(store)?.into_iter().filter(|question| question.state == State::Open);
    waiting.approvals = open.count() as u64;
    let asked = question::inquiries(store, now)?.into_iter().filter(|asked| asked.state == question::State::Open);
    waiting.questions = asked.count() as u64;
    for (_, cause) in rows::cause::all(store, None)? {
        waiting.causes += 1;
        waiting.dead_causes += u64::from(cause.dead.is_some());
    }
    Ok(waiting)
}
