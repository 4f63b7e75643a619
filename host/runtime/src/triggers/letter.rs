//! Mail for an agent of which no run goes on. What a letter says and carries, its run learns when it takes it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Came, Trigger};
use crate::limits::TRIGGER_LOOK_MS;
use crate::store::{Page, Range, keys};
use crate::syscalls::Services;

/// Starts a run whenever a letter waits and none could take it, until it is dropped.
pub(super) async fn tend(services: Arc<Services>, trigger: Trigger) {
    let mut rate = trigger.rate();
    let store = Arc::clone(services.gate.journal().store());
    loop {
        let lives = services.gate.live().iter().any(|live| live.agent == trigger.agent);
        let waits = || store.scan(&Range::of(&keys::letters(&trigger.agent)), Page { rows: 1, bytes: 1 });
        if !lives && waits().is_ok_and(|letters| !letters.is_empty()) {
            let input = json!({"because": "letter"});
            trigger.fire(&services, &mut rate, Came { input, ..Came::default() }).await;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}
