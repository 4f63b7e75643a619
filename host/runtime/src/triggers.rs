//! What starts agents by itself while a host serves. Each trigger is tended by a task of its own: it waits for its cause, keeps to its
//! rate and orders a run, one after another. What comes meanwhile is one cause, however often it came. A cause stands in the store from when it is
//! noticed until its run has ended, so that no stop of the host loses or repeats it. It decides nothing: the kernel looks at each of its runs as at
//! any other.

mod cron;
mod directory;
mod letter;
mod memory;
mod pending;
mod rate;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use agentry_kernel::labels::Labels;
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
use crate::run_queue::{QueuedRun, RunQueue, RunRequest};

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

    /// The input of a run for what came.
    fn input(&self, came: &Came) -> String {
        self.line.input.clone().unwrap_or_else(|| came.input.to_string())
    }
}
