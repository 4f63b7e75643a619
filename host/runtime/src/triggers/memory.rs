//! Writes to memory. What an agent writes itself does not start it, so it does not go round in a circle alone; with others its rate bounds it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::labels::Labels;
use agentry_kernel::pattern::namespace_fits;
use agentry_store::limits::{TRIGGER_LOOK_MS, TRIGGER_NAMES_MAX};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{Came, Trigger, Watched};
use crate::gate::Change;

/// Starts a run after each write that fits, until it is dropped. Writes that come together are one cause.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, pattern: String) {
    let mut rate = trigger.rate();
    let mut changes = host.drivers.gate.changes();
    let mut seen = Seen::default();
    loop {
        match changes.recv().await {
            Ok(change) => seen.add(&change, &trigger, &pattern),
            Err(RecvError::Lagged(_)) => seen.lose_track(),
            Err(RecvError::Closed) => return,
        }
        if seen.any {
            tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
            drain(&mut changes, |change| match change {
                Some(change) => seen.add(&change, &trigger, &pattern),
                None => seen.lose_track(),
            });
            trigger.fire(&host, &mut rate, std::mem::take(&mut seen).came()).await;
        }
    }
}

fn drain(changes: &mut Receiver<Change>, mut each: impl FnMut(Option<Change>)) {
    loop {
        match changes.try_recv() {
            Ok(change) => each(Some(change)),
            Err(TryRecvError::Lagged(_)) => each(None),
            Err(_) => return,
        }
    }
}

/// The writes that one run is for.
#[derive(Default)]
struct Seen {
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

    /// Some were missed: they may have been anything.
    fn lose_track(&mut self) {
        self.any = true;
        self.labels = Labels::every();
    }

    fn came(self) -> Came {
        let entries: Vec<_> =
            self.entries.iter().map(|(namespace, key)| json!({"namespace": namespace, "key": key})).collect();
        Came { input: json!({"because": "memory", "entries": entries}), labels: self.labels }
    }
}
