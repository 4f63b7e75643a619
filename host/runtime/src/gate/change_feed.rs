//! Writes to memory, told to whoever waits for one in this host. Nobody who writes waits for that.

use agentry_kernel::call::Call;
use agentry_kernel::labels::Labels;
use agentry_store::limits::TOUCHES_WAITING_MAX;
use tokio::sync::broadcast;

use super::Gate;
use crate::run::context::RunContext;

/// One write, which is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) namespace: String,
    pub(crate) key: String,
    /// Who wrote.
    pub(crate) agent: String,
    /// What its run carried.
    pub(crate) labels: Labels,
}

pub(super) struct ChangeFeed(broadcast::Sender<Touch>);

impl Default for ChangeFeed {
    fn default() -> Self {
        Self(broadcast::Sender::new(TOUCHES_WAITING_MAX))
    }
}

impl Gate {
    /// Every write from here on. Whoever is too slow is told how many it missed.
    pub(crate) fn touches(&self) -> broadcast::Receiver<Touch> {
        self.0.audience.touches.0.subscribe()
    }

    /// This write is committed.
    pub(super) fn touched(&self, run: &RunContext, what: &Call) {
        let touches = &self.0.audience.touches.0;
        let (Call::MemoryPut { namespace, key, .. } | Call::MemoryDelete { namespace, key }) = what else { return };
        if touches.receiver_count() > 0 {
            let (namespace, key, agent) = (namespace.clone(), key.clone(), run.agent.clone());
            // Without a receiver it is told to nobody.
            let _ = touches.send(Touch { namespace, key, agent, labels: run.labels() });
        }
    }
}
