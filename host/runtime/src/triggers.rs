//! What starts agents by itself while a host serves. Each trigger is tended by a task of its own: it waits for its cause, keeps to its
//! rate and orders a run, one after another. What comes meanwhile is one cause, however often it came. A cause stands in the store from when it is
//! noticed until its run has ended, so that no stop of the host loses or repeats it. It decides nothing: the kernel looks at each of its runs as at
//! any other.

mod cron;
mod directory;
mod hold;
mod letter;
mod memory;
pub mod pages;
mod pending;
mod rate;
mod tended;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use agentry_kernel::labels::Labels;
use serde_json::Value;
use tokio::sync::{Mutex, oneshot};

pub use self::hold::{NotTended, TriggerAct, TriggerLook, act, look};
use self::pages::Pages;
use self::rate::Rate;
pub(crate) use self::tended::Tended;
pub use self::webhook::ListenError;
use crate::agents::Agents;
use crate::config::{AgentsConfig, Cause, TriggerLine};
use crate::dispatch::drivers::Drivers;
use crate::run::cause::Began;
use crate::run::events::Observer;
use crate::run_queue::{QueuedRun, RunQueue, RunRequest};

/// What triggers look at, and where they order runs.
pub(crate) struct Watched {
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) run_queue: Arc<RunQueue>,
    /// Who writes the pages that are shown beside webhooks.
    pub(crate) pages: Option<Arc<dyn Pages>>,
}

/// One trigger of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    agent: String,
    component: PathBuf,
    line: TriggerLine,
    /// Held from when a run is ordered until it has ended: whoever takes the trigger's place waits for that, so none is ordered twice.
    ordering: Arc<Mutex<()>>,
}

/// What came, and what it is made into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Came {
    /// The input, where the trigger names none.
    input: Value,
    /// What it carries, beside what the trigger says.
    labels: Labels,
}

/// An example of what a trigger that names no input gives to its runs; none for a request, which brings its own.
pub fn example(cause: &Cause) -> Option<Value> {
    let came = match cause {
        Cause::Cron(_) => cron::came(0),
        Cause::Letter => letter::came(),
        Cause::Memory(_) => memory::Seen::default().came(),
        Cause::Directory(root) => directory::came(root, &[]),
        Cause::Webhook { .. } => return None,
    };
    Some(came.input)
}

/// What is wrong with secrets that requests must know: a host that serves does not begin with one that cannot be read.
pub fn unreadable(known: &AgentsConfig) -> Vec<ListenError> {
    let of_hook = |line: &TriggerLine| match &line.cause {
        Cause::Webhook { path, secret: Some(key) } => webhook::secret(key, &format!("webhook {path}")).err(),
        _ => None,
    };
    let token = known.health.as_ref().and_then(|health| health.token.as_ref());
    let of_health = token.and_then(|key| webhook::secret(key, "[health]").err());
    known.agents.iter().flat_map(|agent| &agent.start).filter_map(of_hook).chain(of_health).collect()
}

impl Trigger {
    /// Every one of these agents.
    fn all(known: &AgentsConfig) -> impl Iterator<Item = Self> {
        known.agents.iter().flat_map(|agent| {
            agent.start.iter().map(move |line| Self {
                agent: agent.name.clone(),
                component: agent.component.clone(),
                line: line.clone(),
                ordering: Arc::default(),
            })
        })
    }

    /// True if it does the same as this one.
    fn is_as(&self, other: &Self) -> bool {
        (&self.agent, &self.component, &self.line) == (&other.agent, &other.component, &other.line)
    }

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
