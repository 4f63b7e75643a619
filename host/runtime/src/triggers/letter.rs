//! Mail for an agent of which no run goes on. What a letter says and carries, its run learns when it takes it. A run that takes none is followed by
//! the next one later each time: whatever keeps it from that rarely goes by itself.

use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::{TRIGGER_LOOK_MS, TRIGGER_RETRY_MAX_MS, TRIGGER_RETRY_MS};
use agentry_store::{Batch, Key, Page, Range, Store, keys, rows};
use serde_json::json;

use super::{Came, Trigger, Watched};

/// Starts a run whenever a letter waits and none could take it, until it is dropped.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger) {
    let mut rate = trigger.rate();
    let store = Arc::clone(host.drivers.gate.journal().store());
    let (mut left, mut pause) = (None, TRIGGER_RETRY_MS);
    loop {
        if trigger.is_held(&host) {
            tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
            continue;
        }
        if !trigger.carry_out(&host, &mut rate).await {
            return;
        }
        let lives = host.drivers.gate.live().iter().any(|live| live.agent == trigger.agent);
        // One that rests until a letter comes is brought back by it.
        let rests = || rows::parked::reads(&*store, &trigger.agent).unwrap_or(true);
        if !lives && host.drivers.mail.waits(&trigger.agent) && !rests() {
            let first = first(&*store, &trigger.agent);
            if first.is_some() && first == left {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pause = pause.saturating_mul(2).min(TRIGGER_RETRY_MAX_MS);
            } else {
                pause = TRIGGER_RETRY_MS;
            }
            left = first;
            if trigger.notice(&host, &came(), Batch::default(), 0).await.is_ok() {
                continue;
            }
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}

/// What a letter has to say: nothing of itself, which is read by a call.
pub(super) fn came() -> Came {
    Came { input: json!({"because": "letter"}), ..Came::default() }
}

/// Where the letter lies that waits for the longest.
fn first(store: &dyn Store, agent: &str) -> Option<Key> {
    let rows = store.scan(&Range::of(&keys::letters(agent)), Page { rows: 1, bytes: 1 });
    rows.ok()?.into_iter().next().map(|(key, _)| key)
}
