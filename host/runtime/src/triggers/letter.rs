//! Mail for an agent of which no run goes on. What a letter says and carries, its run learns when it takes it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Came, Trigger};
use crate::journal::rest;
use crate::limits::TRIGGER_LOOK_MS;

use crate::syscalls::Services;

/// Starts a run whenever a letter waits and none could take it, until it is dropped.
pub(super) async fn tend(services: Arc<Services>, trigger: Trigger) {
    let mut rate = trigger.rate();
    let store = Arc::clone(services.gate.journal().store());
    loop {
        let lives = services.gate.live().iter().any(|live| live.agent == trigger.agent);
        // One that rests until a letter comes is brought back by it.
        let rests = || rest::reads(&*store, &trigger.agent).unwrap_or(true);
        if !lives && services.mail.waits(&trigger.agent) && !rests() {
            let input = json!({"because": "letter"});
            trigger.fire(&services, &mut rate, Came { input, ..Came::default() }).await;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}
