//! The triggers of a host while it serves: each is tended by a task of its own, and another list of agents takes the place of the one that was without
//! a run that is lost or ordered twice. A list of which anything cannot be used changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_config::secret::Secret;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::webhook::{Door, Hook, Hooks, ListenError};
use super::{Trigger, Watched, cron, directory, letter, memory, webhook};
use crate::config::{AgentsConfig, Cause};

/// Triggers that are tended. Dropping it ends that; runs that have begun go on.
pub(crate) struct Tended {
    host: Arc<Watched>,
    /// By their names in the store.
    triggers: BTreeMap<String, Tending>,
    door: Option<Door>,
    /// Those that end.
    ends: JoinSet<()>,
}

struct Tending {
    trigger: Trigger,
    /// What requests are taken by, if it is a webhook.
    hook: Option<Arc<Hook>>,
    task: JoinHandle<()>,
    /// Cancelled when nobody tends any more what was tended before it.
    before: Option<CancellationToken>,
    /// The same of this one.
    gone: CancellationToken,
}

/// What a list of agents needs that may not be had.
struct Prepared {
    wanted: BTreeMap<String, (Trigger, Option<Secret>)>,
    token: Option<Secret>,
    /// A door at another address than the one that is open.
    door: Option<Door>,
}

impl Tended {
    /// Begins to tend every trigger of the agents that the host knows.
    ///
    /// # Errors
    /// If requests cannot be listened for.
    pub(crate) async fn begin(host: Arc<Watched>) -> Result<Self, ListenError> {
        let known = host.agents.known();
        let mut tended = Self { host, triggers: BTreeMap::new(), door: None, ends: JoinSet::new() };
        tended.take(&known).await?;
        Ok(tended)
    }

    /// Tends the triggers of these agents from here on. One that is as it was goes on undisturbed; one that is gone or differs ends when the run
    /// that it has ordered has ended.
    ///
    /// # Errors
    /// If requests cannot be listened for as it says; then nothing has changed.
    pub(crate) async fn take(&mut self, known: &AgentsConfig) -> Result<(), ListenError> {
        let Prepared { wanted, token, door } = self.prepared(known).await?;
        while self.ends.try_join_next().is_some() {}
        let mut before = std::mem::take(&mut self.triggers);
        let mut hooks = Hooks::default();
        for (id, (trigger, secret)) in wanted {
            let tending = match before.remove(&id) {
                Some(same) if same.trigger.is_as(&trigger) && same.hook.is_none() => same,
                other => {
                    let before = other.map(|other| self.end(other));
                    self.tend(trigger, secret, before)
                }
            };
            if let (Some(hook), Cause::Webhook { path, .. }) = (&tending.hook, &tending.trigger.line.cause) {
                hooks.by_path.insert(path.clone(), Arc::clone(hook));
            }
            self.triggers.insert(id, tending);
        }
        for gone in before.into_values() {
            self.end(gone);
        }
        if known.health.is_some() {
            hooks.pages.clone_from(&self.host.pages);
            hooks.token = token;
        }
        if door.is_some() {
            self.door = door;
        }
        if hooks.is_empty() {
            self.door = None;
        }
        if let Some(door) = &self.door {
            door.show(hooks);
        }
        Ok(())
    }

    /// Reads every secret, and opens the door where that is another one.
    async fn prepared(&self, known: &AgentsConfig) -> Result<Prepared, ListenError> {
        let mut wanted = BTreeMap::new();
        for trigger in Trigger::all(known) {
            let secret = match &trigger.line.cause {
                Cause::Webhook { path, secret: Some(key) } => Some(webhook::secret(key, &format!("webhook {path}"))?),
                _ => None,
            };
            wanted.insert(trigger.id(), (trigger, secret));
        }
        let token = known.health.as_ref().and_then(|health| health.token.as_ref());
        let token = token.map(|key| webhook::secret(key, "[health]")).transpose()?;
        let asked = |(trigger, _): &(Trigger, Option<Secret>)| matches!(trigger.line.cause, Cause::Webhook { .. });
        let listens = known.health.is_some() || wanted.values().any(asked);
        let door = match &self.door {
            Some(door) if door.address() == known.listen => None,
            _ if listens => Some(Door::open(known.listen).await?),
            _ => None,
        };
        Ok(Prepared { wanted, token, door })
    }

    /// Ends one; what is returned is cancelled when it has.
    fn end(&mut self, tending: Tending) -> CancellationToken {
        let gone = tending.gone.clone();
        self.ends.spawn(tending.end());
        gone
    }

    /// Tends a trigger, once nobody tends any more what was there before.
    fn tend(&self, trigger: Trigger, secret: Option<Secret>, before: Option<CancellationToken>) -> Tending {
        let (host, its) = (Arc::clone(&self.host), trigger.clone());
        let is_hook = matches!(trigger.line.cause, Cause::Webhook { .. });
        let hook = is_hook.then(|| Arc::new(Hook::new(&host, &trigger, secret)));
        let (of_hook, waits) = (hook.clone(), before.clone());
        let task = tokio::spawn(async move {
            if let Some(before) = waits {
                before.cancelled().await;
            }
            match (its.line.cause.clone(), of_hook) {
                (Cause::Cron(line), _) => cron::tend(host, its, line).await,
                (Cause::Letter, _) => letter::tend(host, its).await,
                (Cause::Memory(pattern), _) => memory::tend(host, its, pattern).await,
                (Cause::Directory(root), _) => directory::tend(host, its, root).await,
                (Cause::Webhook { .. }, Some(hook)) => webhook::tend(hook).await,
                (Cause::Webhook { .. }, None) => {}
            }
        });
        Tending { trigger, hook, task, before, gone: CancellationToken::new() }
    }
}

impl Tending {
    /// Ends it, between two runs: what it has noticed stands in the store.
    async fn end(mut self) {
        let ordering = Arc::clone(&self.trigger.ordering);
        let _nothing_ordered = ordering.lock().await;
        self.task.abort();
        // What it is in the middle of saying is said.
        let _ = (&mut self.task).await;
        if let Some(before) = &self.before {
            before.cancelled().await;
        }
        self.gone.cancel();
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.task.abort();
    }
}
