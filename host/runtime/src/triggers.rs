//! What starts agents by itself while a host serves. Each trigger is tended by a task of its own: it waits for its cause, keeps to its
//! rate and orders a run, one after another. What comes meanwhile is one cause, however often it came. It decides nothing: the kernel looks
//! at each of its runs as at any other.

mod cron;
mod directory;
mod letter;
mod memory;
mod rate;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::labels::Labels;
use agentry_store::limits::TRIGGER_RETRY_MS;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::rate::Rate;
pub use self::webhook::ListenError;
use crate::agents::Agents;
use crate::config::{Cause, TriggerLine};
use crate::dispatch::drivers::Drivers;
use crate::run::cause::Began;
use crate::run::events::Observer;
use crate::run_queue::{NotQueued, QueuedRun, RunOutcome, RunQueue, RunRequest};

/// What triggers look at, and where they order runs.
pub(crate) struct Watched {
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) run_queue: Arc<RunQueue>,
}

/// One trigger of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    agent: String,
    component: PathBuf,
    line: TriggerLine,
}

/// What came, and what it is made into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Came {
    /// The input, where the trigger names none.
    input: Value,
    /// What it carries, beside what the trigger says.
    labels: Labels,
}

/// Begins to tend every trigger. Dropping what is returned ends that; runs that have begun go on.
///
/// # Errors
/// If requests cannot be listened for.
pub(crate) async fn tend(host: &Arc<Watched>) -> Result<JoinSet<()>, ListenError> {
    let known = host.agents.known();
    let (mut tended, mut hooks) = (JoinSet::new(), Vec::new());
    for agent in &known.agents {
        for line in &agent.start {
            let trigger = Trigger { agent: agent.name.clone(), component: agent.component.clone(), line: line.clone() };
            let host = Arc::clone(host);
            match line.cause.clone() {
                Cause::Cron(pattern) => drop(tended.spawn(cron::tend(host, trigger, pattern))),
                Cause::Letter => drop(tended.spawn(letter::tend(host, trigger))),
                Cause::Memory(pattern) => drop(tended.spawn(memory::tend(host, trigger, pattern))),
                Cause::Directory(root) => drop(tended.spawn(directory::tend(host, trigger, root))),
                Cause::Webhook { path, secret } => hooks.push((path, secret, trigger)),
            }
        }
    }
    if !hooks.is_empty() {
        webhook::listen(host, known.listen, hooks, &mut tended).await?;
    }
    Ok(tended)
}

impl Trigger {
    /// Its name in the store: what it remembers is nobody else's.
    fn id(&self) -> String {
        format!("{} {}", self.agent, self.line.cause.story())
    }

    fn rate(&self) -> Rate {
        Rate::of(self.line.per_minute, tokio::time::Instant::now())
    }

    /// Starts a run when its rate lets it, and waits for the end of that. What goes wrong is told to whoever watches the host.
    async fn fire(&self, host: &Watched, rate: &mut Rate, came: Came) {
        rate.turn().await;
        let input = self.line.input.clone().unwrap_or_else(|| came.input.to_string());
        loop {
            let (run, ended) = self.request(input.clone().into_bytes(), &came.labels);
            match host.run_queue.push(run) {
                Ok(()) => {
                    if let Ok(Err(error)) = ended.await {
                        host.drivers.gate.announce_alarm(&format!("{} did not start: {error}", self.id()));
                    }
                    return;
                }
                Err(NotQueued::NotServing) => return,
                Err(NotQueued::Full) => tokio::time::sleep(Duration::from_millis(TRIGGER_RETRY_MS)).await,
            }
        }
    }

    fn request(&self, input: Vec<u8>, labels: &Labels) -> (QueuedRun, oneshot::Receiver<RunOutcome>) {
        let (done, ended) = oneshot::channel();
        let began = Began { by: self.line.cause.story(), labels: self.line.labels.and(labels) };
        let (component, observer) = (self.component.clone(), Observer::nobody());
        (QueuedRun { request: RunRequest { component, input, observer, began: Some(began) }, done }, ended)
    }
}
