//! Mail for an agent of which no run goes on. What a letter says and carries, its run learns when it takes it.

use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::TRIGGER_LOOK_MS;
use agentry_store::rows;
use serde_json::json;

use super::{Came, Trigger, Watched};

/// Starts a run whenever a letter waits and none could take it, until it is dropped.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger) {
    let mut rate = trigger.rate();
    let store = Arc::clone(host.drivers.gate.journal().store());
    loop {
        let lives = host.drivers.gate.live().iter().any(|live| live.agent == trigger.agent);
        // One that rests until a letter comes is brought back by it.
        let rests = || rows::parked::reads(&*store, &trigger.agent).unwrap_or(true);
        if !lives && host.drivers.mail.waits(&trigger.agent) && !rests() {
            let input = json!({"because": "letter"});
            trigger.fire(&host, &mut rate, Came { input, ..Came::default() }).await;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}
