//! Starts an agent at times by cron's five fields. When a host was stopped over one or more of them, the last counts once.

use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::time::{Millis, Minute};
use agentry_store::limits::TRIGGER_LOOK_MS;
use agentry_store::{Batch, Store, StoreError, keys};
use serde_json::json;

use super::{Came, Trigger, Watched};
use crate::config::cron::Pattern;

/// Starts a run at each of its times, until it is dropped.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, pattern: String) {
    let Ok(pattern) = Pattern::parse(&pattern) else { return };
    let (mut rate, clock) = (trigger.rate(), host.drivers.gate.clock().clone());
    let store = Arc::clone(host.drivers.gate.journal().store());
    let mut last = match recall(&*store, &trigger) {
        Ok(Some(last)) => last,
        // Nothing was missed by a trigger that is new; from here on it would be.
        _ => {
            let now = clock.now().minute();
            // If it is not remembered, the next host takes the trigger for a new one.
            let _ = remember(&store, &trigger, now).await;
            now
        }
    };
    loop {
        let now = clock.now().minute();
        // A clock that went back fires nothing twice.
        let due = if now > last { pattern.last(last, now) } else { None };
        if let Some(due) = due {
            last = now;
            // Remembered before it runs: a crash in between loses one time, and repeats none.
            if let Err(error) = remember(&store, &trigger, now).await {
                host.drivers.gate.announce_alarm(&format!("{} does not start: {error}", trigger.id()));
                return;
            }
            let input = json!({ "because": "cron", "due_ms": due.begins().0 });
            trigger.fire(&host, &mut rate, Came { input, ..Came::default() }).await;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}

fn recall(store: &dyn Store, trigger: &Trigger) -> Result<Option<Minute>, StoreError> {
    let row = store.get(&keys::trigger(&trigger.id()))?;
    Ok(row.and_then(|row| row.try_into().ok()).map(|bytes| Millis(u64::from_be_bytes(bytes)).minute()))
}

async fn remember(store: &Arc<dyn Store>, trigger: &Trigger, at: Minute) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(keys::trigger(&trigger.id()), at.begins().0.to_be_bytes().to_vec());
    store.commit(batch).await
}
