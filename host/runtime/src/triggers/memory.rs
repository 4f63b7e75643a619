//! Writes to memory. What an agent writes itself does not start it, so it does not go round in a circle alone; with others its rate bounds it. Writes
//! are heard while a run of an earlier one goes on, too, so that none is missed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::labels::Labels;
use agentry_kernel::pattern::namespace_fits;
use agentry_store::Batch;
use agentry_store::limits::{TRIGGER_LOOK_MS, TRIGGER_NAMES_MAX, TRIGGER_QUIET_LOOK_MS};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Came, Trigger, Watched};
use crate::gate::Change;

/// Starts a run after each write that fits, until it is dropped. Writes that come together are one cause.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, pattern: String) {
    let changes = host.drivers.gate.changes();
    let heard = Heard::default();
    tokio::join!(listen(changes, &heard, &trigger, &pattern), start(&host, &trigger, &heard));
}

/// What was written and has no run yet, and a wake-up when there is something.
#[derive(Default)]
struct Heard {
    seen: Mutex<Seen>,
    arrived: Notify,
}

async fn listen(mut changes: Receiver<Change>, heard: &Heard, trigger: &Trigger, pattern: &str) {
    loop {
        let change = changes.recv().await;
        let mut seen = heard.seen.lock();
        match change {
            Ok(change) => seen.add(&change, trigger, pattern),
            Err(RecvError::Lagged(_)) => seen.lose_track(),
            Err(RecvError::Closed) => return,
        }
        if seen.any {
            heard.arrived.notify_one();
        }
    }
}

async fn start(host: &Watched, trigger: &Trigger, heard: &Heard) {
    let mut rate = trigger.rate();
    loop {
        if trigger.is_held(host) {
            tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
            // What is written meanwhile does not count.
            *heard.seen.lock() = Seen::default();
            continue;
        }
        if !trigger.carry_out(host, &mut rate).await {
            return;
        }
        // A person may let a dead one try again, too.
        let look = Duration::from_millis(TRIGGER_QUIET_LOOK_MS);
        let _ = tokio::time::timeout(look, heard.arrived.notified()).await;
        let seen = std::mem::take(&mut *heard.seen.lock());
        if !seen.any {
            continue;
        }
        // Written down at once; what comes within a moment comes along.
        if let Err(error) = trigger.notice(host, &seen.clone().came(), Batch::default(), 0).await {
            heard.seen.lock().join(seen);
            trigger.put_off(host, &error).await;
            heard.arrived.notify_one();
            continue;
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
        let more = std::mem::take(&mut *heard.seen.lock());
        if more.any {
            let mut all = seen;
            all.join(more);
            // If it is not written, the first of them has its run all the same.
            let _ = trigger.notice(host, &all.came(), Batch::default(), 0).await;
        }
    }
}

/// The writes that one run is for.
#[derive(Clone, Default)]
pub(super) struct Seen {
    any: bool,
    entries: BTreeSet<(String, String)>,
    labels: Labels,
}

impl Seen {
    fn add(&mut self, change: &Change, trigger: &Trigger, pattern: &str) {
        if change.agent == trigger.agent || !namespace_fits(pattern, &change.namespace) {
            return;
        }
        self.any = true;
        self.labels = self.labels.and(&change.labels);
        if self.entries.len() < TRIGGER_NAMES_MAX {
            self.entries.insert((change.namespace.clone(), change.key.clone()));
        }
    }

    /// These too.
    fn join(&mut self, other: Self) {
        self.any |= other.any;
        self.labels = self.labels.and(&other.labels);
        let room = TRIGGER_NAMES_MAX.saturating_sub(self.entries.len());
        self.entries.extend(other.entries.into_iter().take(room));
    }

    /// Some were missed: they may have been anything.
    fn lose_track(&mut self) {
        self.any = true;
        self.labels = Labels::every();
    }

    pub(super) fn came(self) -> Came {
        let entries: Vec<_> =
            self.entries.iter().map(|(namespace, key)| json!({"namespace": namespace, "key": key})).collect();
        Came { input: json!({"because": "memory", "entries": entries}), labels: self.labels }
    }
}
