//! What people who watch a run are told of it. Telling never waits and never fails.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::refusal::Refusal;
use agentry_store::rows::approval::Question;
use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::Inquiry;
use serde::{Deserialize, Serialize};

/// Something that a person who watches a run may want to see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The run has begun.
    Started {
        /// Which.
        run: RunId,
        /// The agent's name.
        agent: String,
        /// `publisher:name@version`
        package: String,
    },
    /// A piece of a model's answer.
    Token(String),
    /// A line of the guest's log.
    Log {
        /// How much it matters.
        level: Level,
        /// Its text, as the guest wrote it: escape it before it reaches a terminal.
        line: String,
    },
    /// Something of the host changed: a policy, a lock.
    Notice(String),
    /// Something of the host is wrong, and a person has to see to it.
    Alarm(String),
    /// The kernel said no.
    Refused(Box<Refusal>),
    /// People are asked.
    Asked(#[serde(with = "agentry_store::rows::approval::whole")] Box<Question>),
    /// It asks people something of its own.
    Inquired(Box<Inquiry>),
    /// It tells people something.
    Said(Box<Notice>),
    /// A call that reads or reaches outside has ended.
    Call {
        /// Which.
        call: CallId,
        /// For example `llm.complete`.
        name: String,
        /// From its admission to its end.
        duration_ms: u64,
        /// What it took from the accounts.
        spent: Amounts,
        /// The case of `types.error`, if it did not go well.
        error: Option<Cow<'static, str>>,
    },
}

type Watch = dyn Fn(Event) + Send + Sync;

/// Who watches a run; cheap to clone. Telling never waits: a watcher that is slow loses events, the run loses nothing.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Watcher>>);

struct Watcher {
    tell: Box<Watch>,
    /// Whether there is still somebody.
    here: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Observer {
    /// Nobody.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Tells `watch`, which must return at once.
    pub fn new(watch: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Watcher { tell: Box::new(watch), here: Box::new(|| true) })))
    }

    /// Sends into a channel, and drops what it has no room for.
    pub fn channel(sender: tokio::sync::mpsc::Sender<Event>) -> Self {
        let other = sender.clone();
        let here = Box::new(move || !other.is_closed());
        Self(Some(Arc::new(Watcher { tell: Box::new(move |event| drop(sender.try_send(event))), here })))
    }

    /// True if somebody watches, so that nobody describes an event in vain.
    pub fn watches(&self) -> bool {
        self.0.as_ref().is_some_and(|watcher| (watcher.here)())
    }

    /// Tells it. Never blocks.
    pub fn tell(&self, event: Event) {
        if let Some(watcher) = &self.0 {
            (watcher.tell)(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.watches() { "Observer(somebody)" } else { "Observer(nobody)" })
    }
}
