//! Writes to memory, told to whoever waits for one in this host. Nobody who writes waits for that.

use agentry_kernel::call::Call;
use agentry_kernel::labels::Labels;
use agentry_store::limits::CHANGES_WAITING_MAX;
use tokio::sync::broadcast;

use super::Gate;
use crate::run::context::RunContext;

/// One write, which is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) namespace: String,
    pub(crate) key: String,
    /// Who wrote.
    pub(crate) agent: String,
    /// What its run carried.
    pub(crate) labels: Labels,
}

pub(super) struct ChangeFeed(broadcast::Sender<Change>);

impl Default for ChangeFeed {
    fn default() -> Self {
        Self(broadcast::Sender::new(CHANGES_WAITING_MAX))
    }
}

impl Gate {
    /// Every write from here on. Whoever is too slow is told how many it missed.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.audience.changes.0.subscribe()
    }

    /// This write is committed.
    pub(super) fn changed(&self, run: &RunContext, what: &Call) {
        let changes = &self.0.audience.changes.0;
        let (Call::MemoryPut { namespace, key, .. } | Call::MemoryDelete { namespace, key }) = what else { return };
        if changes.receiver_count() > 0 {
            let (namespace, key, agent) = (namespace.clone(), key.clone(), run.agent.clone());
            // Without a receiver it is told to nobody.
            let _ = changes.send(Change { namespace, key, agent, labels: run.labels() });
        }
    }
}
