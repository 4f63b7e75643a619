//! What changes under the runs while they go on: another policy, other tools, a lock, labels that a person takes off. Each change is journaled
//! and shown to whoever watches a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use agentry_journal::settle_unknown::{Resolution, ResolveError, Resolved, UnknownCall};
use agentry_journal::{Extras, Trail};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Lock;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::policy::Policy;
use agentry_kernel::text::cut;
use agentry_kernel::tool::{Tool, ToolsChange};
use agentry_store::StoreError;
use agentry_store::rows::run::RunRecord;
use parking_lot::Mutex;

use super::Gate;
use super::act::Behalf;
use super::change_feed::ChangeFeed;
use crate::run::activity::Holder;
use crate::run::context::RunContext;
use crate::run::events::{Event, Observer};

/// What an admin writes and a host reads anew when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reloadable {
    /// The policy directory.
    Policy,
    /// `tools.toml`.
    Tools,
    /// `agentry.toml`.
    Config,
    /// `agents.toml`.
    Agents,
}

impl Reloadable {
    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Tools => "tools",
            Self::Config => "config",
            Self::Agents => "agents",
        }
    }

    /// That it can be used again and says what it said before.
    fn as_before(self) -> &'static str {
        match self {
            Self::Policy => "the policy is as it was",
            Self::Tools => "the tools are as they were",
            Self::Config => "agentry.toml is as it was",
            Self::Agents => "the agents are as they were",
        }
    }
}

/// Runs that go on, and what whoever watches a later one must hear too.
#[derive(Default)]
pub(super) struct Audience {
    runs: Mutex<HashMap<RunId, Weak<RunContext>>>,
    /// What cannot be used as it is now, and why.
    alarms: Mutex<BTreeMap<Reloadable, String>>,
    /// Why the store could not be written when it was last tried; none if it could.
    store_fails: Mutex<Option<String>>,
    /// Agents whose runs are held until a person lets them go.
    pub(super) held: Mutex<BTreeSet<String>>,
    /// Writes to memory.
    pub(super) changes: ChangeFeed,
    /// Whoever watches the host itself.
    host: Mutex<Observer>,
}

impl Audience {
    /// A run begins.
    pub(super) fn join(&self, run: &Arc<RunContext>) {
        if run.observer.watches() {
            self.tell_alarms(&run.observer);
        }
        self.runs.lock().insert(run.id, Arc::downgrade(run));
        // Looked at behind the insertion: whoever holds the agent meanwhile sees this run, or this run sees it.
        if self.held.lock().contains(&run.agent) {
            run.activity.hold(Holder::Person, true);
        }
    }

    /// A run is over.
    pub(super) fn leave(&self, run: RunId) {
        self.runs.lock().remove(&run);
    }

    /// All that go on.
    pub(super) fn runs(&self) -> Vec<Arc<RunContext>> {
        self.runs.lock().values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn find(&self, run: RunId) -> Option<Arc<RunContext>> {
        self.runs.lock().get(&run).and_then(Weak::upgrade)
    }

    fn tell_alarms(&self, observer: &Observer) {
        self.alarms.lock().values().for_each(|alarm| observer.tell(Event::Alarm(alarm.clone())));
    }

    fn hear(&self, event: &Event) {
        let host = self.host.lock().clone();
        host.tell(event.clone());
        self.runs().iter().filter(|run| run.observer.watches()).for_each(|run| run.observer.tell(event.clone()));
    }
}

impl Gate {
    /// From now on this observer is told what befalls the host, and what was wrong before.
    pub fn watch(&self, observer: Observer) {
        let audience = &self.0.audience;
        audience.tell_alarms(&observer);
        *audience.host.lock() = observer;
    }

    /// What cannot be used as it stands, and why: the last that could be used is in force.
    pub fn alarms(&self) -> Vec<(Reloadable, String)> {
        self.0.audience.alarms.lock().iter().map(|(what, why)| (*what, why.clone())).collect()
    }

    /// What came of a write. Everybody hears once that the store cannot be written, and once that it can be again.
    pub(crate) fn tell_of_store(&self, written: &Result<(), StoreError>) {
        let audience = &self.0.audience;
        let told = match written {
            Ok(()) => {
                audience.store_fails.lock().take().map(|_| Event::Notice("the store is written again".to_owned()))
            }
            Err(error @ (StoreError::Full | StoreError::Io { .. })) => {
                let before = audience.store_fails.lock().replace(error.to_string());
                before.is_none().then(|| Event::Alarm(error.to_string()))
            }
            // Of this write alone.
            Err(_) => None,
        };
        told.iter().for_each(|event| audience.hear(event));
    }

    /// Why the store could not be written when it was last tried.
    pub fn store_fails(&self) -> Option<String> {
        self.0.audience.store_fails.lock().clone()
    }

    /// Whoever watches the host hears this of one of its runs.
    pub(crate) fn tell_host(&self, event: &Event) {
        let host = self.0.audience.host.lock().clone();
        host.tell(event.clone());
    }

    /// Puts another policy in force: a right that is gone is gone at the next call of every run. False if it is the one that was.
    pub fn adopt(&self, policy: Policy) -> bool {
        let gate = &*self.0;
        let epoch = policy.epoch;
        let mended = gate.audience.alarms.lock().remove(&Reloadable::Policy).is_some();
        let trail = Arc::new(Trail::new(RunId::HOST));
        let at = gate.clock.now();
        let changed = gate.act(Behalf::host(&trail), at, |act| {
            let changed = act.kernel().policy().epoch != epoch;
            if changed {
                // Whoever waits for an answer under the old one waits for nothing.
                act.tell(|kernel| kernel.reload(Arc::new(policy)));
                act.note(Entry::Reloaded { at, policy: epoch });
            }
            changed
        });
        let short: String = epoch.to_string().chars().take(12).collect();
        match (changed, mended) {
            (true, _) => gate.audience.hear(&Event::Notice(format!("another policy is in force: {short}"))),
            (false, true) => gate.audience.hear(&Event::Notice(format!("the policy is as it was: {short}"))),
            (false, false) => {}
        }
        changed
    }

    /// Replaces the tools that the kernel decides on, and by `put` those that are called, in one step: whoever may call a tool calls that
    /// one. What differs is journaled, and shown to everybody.
    pub fn set_tools(&self, tools: Vec<Tool>, put: impl FnOnce()) -> ToolsChange {
        let gate = &*self.0;
        let mended = gate.audience.alarms.lock().remove(&Reloadable::Tools).is_some();
        let trail = Arc::new(Trail::new(RunId::HOST));
        let at = gate.clock.now();
        let change = gate.act(Behalf::host(&trail), at, |act| {
            // Whoever waits for an answer about one that differs waits for nothing.
            let change = act.ask(|kernel| kernel.set_tools(tools));
            put();
            if !change.is_empty() {
                let ToolsChange { added, changed, removed } = change.clone();
                act.note(Entry::ToolsSet { at, added, changed, removed });
            }
            change
        });
        if !change.is_empty() {
            gate.audience.hear(&Event::Notice(format!("other tools are there: {}", shown(&change))));
        } else if mended {
            gate.audience.hear(&Event::Notice(Reloadable::Tools.as_before().to_owned()));
        }
        change
    }

    /// What an admin has written cannot be used; what is in force stays in force, and everybody hears why.
    pub fn keep(&self, what: Reloadable, why: &str) {
        let gate = &*self.0;
        let mut cut = why.to_owned();
        cut.truncate(cut.floor_char_boundary(TEXT_MAX_BYTES));
        self.note(Entry::Kept { at: gate.clock.now(), why: cut });
        let alarm = match what {
            Reloadable::Policy => "the policy cannot be used as it is, so the last good one stays in force",
            Reloadable::Tools => "the tools cannot be used as they stand there, so the last good ones stay",
            Reloadable::Config => "agentry.toml cannot be used as it stands, so what it said before stays in force",
            Reloadable::Agents => "agents.toml cannot be used as it stands, so the agents stay as they were",
        };
        let alarm = format!("{alarm}\n{why}");
        gate.audience.alarms.lock().insert(what, alarm.clone());
        gate.audience.hear(&Event::Alarm(alarm));
    }

    /// What an admin has written can be used; `changed` says what is another thing now, if anything is.
    pub(crate) fn mended(&self, what: Reloadable, changed: Option<String>) {
        let mended = self.0.audience.alarms.lock().remove(&what).is_some();
        let as_before = || mended.then(|| what.as_before().to_owned());
        if let Some(told) = changed.or_else(as_before) {
            self.0.audience.hear(&Event::Notice(told));
        }
    }

    /// Takes labels off a run because a person says so, with the entry that tells of it; those that it held. None if no such run
    /// goes on here.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn unlabel(&self, id: RunId, labels: &Labels, because: &str) -> Result<Option<Labels>, StoreError> {
        let gate = &*self.0;
        let Some(run) = gate.audience.find(id) else { return Ok(None) };
        let because = cut(because.to_owned(), TEXT_MAX_BYTES);
        let at = gate.clock.now();
        let taken = gate.act(&*run, at, |act| {
            let taken = act.unlabel(id, labels)?;
            if !taken.is_empty() {
                run.unlabel(&taken);
                act.record(run.record_to_write().map(|record| RunRecord { labels: run.labels(), ..record }));
                let (place, because) = (format!("run {id}"), because.clone());
                act.note(Entry::Unlabelled { at, place, labels: taken.clone(), because });
            }
            Some(taken)
        });
        let Some(taken) = taken else { return Ok(None) };
        if taken.is_empty() {
            return Ok(Some(taken));
        }
        gate.journal.durable(&run.trail).await?;
        run.observer.tell(Event::Notice(format!("a person took {taken} off this run: {because}")));
        Ok(Some(taken))
    }

    /// Takes a person's word for what became of a call that nobody knows of.
    ///
    /// # Errors
    /// If that is known, or the store cannot be read or written.
    pub async fn resolve(&self, of: &Resolution) -> Result<Resolved, ResolveError> {
        let gate = &*self.0;
        gate.journal.flush().await?;
        let unknown = UnknownCall::find(&**gate.journal.store(), of)?;
        let live = gate.audience.find(of.run);
        let trail = live.as_ref().map_or_else(|| Arc::new(Trail::new(of.run)), |run| Arc::clone(&run.trail));
        let at = gate.clock.now();
        let (entry, record, returned) = unknown.close(of, at);
        gate.act(Behalf { trail: &trail, payer: &record.agent }, at, |act| {
            act.tell(|kernel| kernel.take_back(of.run, &record.agent, &returned, unknown.since));
            act.record(live.is_none().then(|| record.clone()));
            act.note(entry);
        });
        if let Some(run) = &live {
            run.returned(returned);
        }
        gate.journal.durable(&trail).await?;
        Ok(Resolved { returned })
    }

    /// Something of the host that a person should know.
    pub(crate) fn announce_alarm(&self, text: &str) {
        self.0.audience.hear(&Event::Alarm(text.to_owned()));
    }

    /// Denies every new effect, or lets them go on. What holds already is not done again.
    pub fn lock(&self, lock: Option<Lock>) {
        let gate = &*self.0;
        let at = gate.clock.now();
        let entry = match &lock {
            Some(lock) => Entry::Locked { at, because: lock.because.clone() },
            None => Entry::Unlocked { at },
        };
        let notice = match &lock {
            Some(lock) if lock.because.is_empty() => "an admin has stopped every new effect".to_owned(),
            Some(lock) => format!("an admin has stopped every new effect: {}", lock.because),
            None => "an admin lets effects go on".to_owned(),
        };
        let trail = Arc::new(Trail::new(RunId::HOST));
        let news = gate.act(Behalf::host(&trail), at, |act| {
            let news = act.kernel().locked() != lock.as_ref();
            if news {
                act.lock(lock);
                act.note(entry);
            }
            news
        });
        if news {
            gate.audience.hear(&Event::Notice(notice));
        }
    }

    /// A person had this home go on although the second place knows of so many segments more.
    pub(crate) fn accepted_older(&self, missing: u64) {
        self.note(Entry::OlderAccepted { at: self.0.clock.now(), missing });
    }

    /// Puts in force what held before this host began; it is journaled already.
    pub(crate) fn begin_locked(&self, lock: Option<Lock>) {
        let trail = Arc::new(Trail::new(RunId::HOST));
        self.0.act(Behalf::host(&trail), self.0.clock.now(), |act| act.lock(lock));
    }

    /// Writes down what befell the host. A flush that fails breaks the trail of that entry alone.
    fn note(&self, entry: Entry) {
        let trail = Arc::new(Trail::new(RunId::HOST));
        self.0.journal.append(&trail, &[entry], Extras::default());
    }
}

/// `added a, b; changed c; gone d`
fn shown(change: &ToolsChange) -> String {
    let ToolsChange { added, changed, removed } = change;
    let parts = [("added", added), ("changed", changed), ("gone", removed)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let text = parts.map(|(how, names)| format!("{how} {}", names.join(", "))).collect::<Vec<_>>().join("; ");
    cut(text, TEXT_MAX_BYTES)
}
