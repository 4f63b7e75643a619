//! Starts an agent at times by cron's five fields. When a host was stopped over one or more of them, the last counts once. It goes by the calendar:
//! a clock that leaps ahead starts nothing, and one that was ahead and is right again is followed.

use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::time::{Millis, Minute};
use agentry_store::limits::TRIGGER_LOOK_MS;
use agentry_store::{Batch, Store, StoreError, keys};
use serde_json::json;

use super::{Came, Trigger, Watched};
use crate::config::cron::Pattern;

/// How far a clock may go back without a time that was fired being fired again.
const BACK_MAX_MINUTES: u32 = 60;

/// Starts a run at each of its times, until it is dropped.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, pattern: String) {
    let Ok(pattern) = Pattern::parse(&pattern) else { return };
    let (mut rate, clock) = (trigger.rate(), host.drivers.gate.clock().clone());
    let store = Arc::clone(host.drivers.gate.journal().store());
    let mut last = match recall(&*store, &trigger) {
        Ok(Some(last)) => last,
        // Nothing was missed by a trigger that is new; from here on it would be.
        _ => {
            let now = clock.calendar().minute();
            // If it is not remembered, the next host takes the trigger for a new one.
            drop(store.commit(seen(&trigger, now)).await);
            now
        }
    };
    loop {
        let now = clock.calendar().minute();
        if last.0.saturating_sub(now.0) > BACK_MAX_MINUTES {
            // What it fired last was of a time that has not come.
            last = now;
        }
        // A clock that went back a little fires nothing twice.
        let due = if now > last { pattern.last(last, now) } else { None };
        if let Some(due) = due {
            let input = json!({ "because": "cron", "due_ms": due.begins().0 });
            let came = Came { input, ..Came::default() };
            match trigger.notice(&host, &came, seen(&trigger, now), 0).await {
                Ok(()) => last = now,
                Err(error) => trigger.put_off(&host, &error).await,
            }
        }
        if !trigger.carry_out(&host, &mut rate).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}

fn recall(store: &dyn Store, trigger: &Trigger) -> Result<Option<Minute>, StoreError> {
    let row = store.get(&keys::trigger(&trigger.id()))?;
    Ok(row.and_then(|row| row.try_into().ok()).map(|bytes| Millis(u64::from_be_bytes(bytes)).minute()))
}

fn seen(trigger: &Trigger, at: Minute) -> Batch {
    let mut batch = Batch::default();
    batch.put(keys::trigger(&trigger.id()), at.begins().0.to_be_bytes().to_vec());
    batch
}
