//! What people do with triggers, and that everything is read anew: by a running host, or in its place where none runs.

use std::sync::Arc;

use agentry_runtime::host::reload::{self, Reloaded};
use agentry_runtime::host::services::Services;
use agentry_runtime::triggers::{self, NotTended, TriggerLook};
use agentry_store::Store;

use super::ByHost;
use crate::api::{LookAtTriggers, Reload, TendTrigger};
use crate::error::{Kind, Next, OpError};

impl ByHost for TendTrigger {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<String>, OpError> {
        let (gate, known) = (&host.drivers.gate, host.agents.known());
        let store: &dyn Store = &**gate.journal().store();
        Ok(triggers::act(store, &known, &self.name, &self.act, gate.clock().calendar()).await?)
    }
}

impl ByHost for LookAtTriggers {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<TriggerLook>, OpError> {
        let (known, now) = (host.agents.known(), host.drivers.gate.clock().calendar());
        let store = Arc::clone(host.drivers.gate.journal().store());
        let looked = tokio::task::spawn_blocking(move || triggers::look(&*store, &known, now)).await;
        Ok(looked.map_err(|_| OpError::broken("this part of the host broke down"))??)
    }
}

impl ByHost for Reload {
    async fn by_host(self, host: &Arc<Services>) -> Result<Reloaded, OpError> {
        Ok(reload::all(host))
    }
}

impl From<NotTended> for OpError {
    fn from(error: NotTended) -> Self {
        let kind = match &error {
            NotTended::Unknown(_) | NotTended::Many(_) => Kind::NotFound,
            NotTended::Held(_) => Kind::Conflict,
            NotTended::Several(_) | NotTended::NoInput | NotTended::Input(_) | NotTended::Config(_) => Kind::Invalid,
            NotTended::Store(_) | NotTended::Random(_) => Kind::Broken,
        };
        let next = match &error {
            NotTended::Unknown(_) | NotTended::Many(_) | NotTended::Several(_) => Some(Next::Triggers),
            NotTended::Held(name) => Some(Next::ResumeTrigger(name.clone())),
            _ => None,
        };
        match error {
            NotTended::Store(error) => error.into(),
            error => Self { next, ..Self::new(kind, error) },
        }
    }
}
