//! What people may know of a run while it lives, and do to it: what it waits for, its memory, who holds it, why it was stopped. It
//! decides nothing, and none of it is in the journal: a run that is executed again knows nothing of it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use agentry_abi::port::Rest;
use agentry_kernel::Amounts;
use agentry_kernel::call::{CallId, RunId, Wait};
use agentry_kernel::time::Millis;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::context::RunContext;

/// A run that lives on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Which.
    pub run: RunId,
    /// The agent's name.
    pub agent: String,
    /// What it waits for; none while it computes.
    pub waits: Option<Wait>,
    /// Since when: its wait, or its beginning.
    pub since: Millis,
    /// True while a person holds it.
    pub paused: bool,
    /// Bytes of its linear memories.
    pub memory_bytes: u64,
    /// Calls that it has made.
    pub calls: u32,
    /// How many of them were refused.
    pub refused: u32,
    /// Taken from its accounts so far; its fuel and its wall time are taken at its end.
    pub spent: Amounts,
}

/// Who holds a run. Each lets go of it for itself: it goes on when nobody holds it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Holder {
    /// A person, until a person lets it go.
    Person = 1,
    /// Whoever looks whether it can leave memory, until that is known.
    Parking = 2,
    /// Whoever brings it to another place, until it has left or does not.
    Relocation = 4,
}

/// One run's.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    memory: AtomicU64,
    waits: Mutex<Vec<(CallId, Wait, Millis)>>,
    rests: AtomicBool,
    has_seen_all: AtomicBool,
    /// A bit for each [`Holder`].
    holders: AtomicU8,
    let_go: AtomicWaker,
    because: OnceLock<String>,
}

impl Activity {
    /// Whoever polls its guest asks before: true if somebody holds it, and `waker` is woken when nobody does any more. Else it does not
    /// rest from here on.
    pub(crate) fn holds(&self, waker: &Waker) -> bool {
        let rested = self.rests.swap(false, Ordering::SeqCst);
        if !self.is_held() {
            return false;
        }
        self.rests.store(rested, Ordering::SeqCst);
        self.let_go.register(waker);
        let held = self.is_held();
        if !held {
            self.rests.store(false, Ordering::SeqCst);
        }
        held
    }

    /// The guest has had a turn.
    pub(crate) fn waits(&self, rest: Rest) {
        let Rest { rests, has_seen_all, memory_bytes } = rest;
        self.memory.store(memory_bytes, Ordering::Relaxed);
        self.has_seen_all.store(has_seen_all, Ordering::SeqCst);
        // Behind what else holds of it: whoever sees that it rests sees that too.
        self.rests.store(rests, Ordering::SeqCst);
    }

    /// True if the guest stood in no call after its last turn, and nothing waited to be seen.
    pub(crate) fn has_seen_all(&self) -> bool {
        self.has_seen_all.load(Ordering::SeqCst)
    }

    /// Since when it waits; none if it does something, if it is held, or if it waits for something that comes only to a run in
    /// memory.
    pub(crate) fn rests_since(&self) -> Option<Millis> {
        let still = self.rests.load(Ordering::SeqCst) && !self.is_held();
        self.idle().filter(|_| still).map(|(_, since)| since)
    }

    /// Holds it for [`Holder::Parking`] if it still rests and nobody holds it; the calls that it waits for then.
    pub(crate) fn try_quiesce(&self) -> Option<Vec<CallId>> {
        let parking = Holder::Parking as u8;
        self.holders.compare_exchange(0, parking, Ordering::SeqCst, Ordering::SeqCst).ok()?;
        // In this order: a guest that is polled at this moment has said that it does not rest, or sees that it is held.
        let idle = if self.rests.load(Ordering::SeqCst) { self.idle() } else { None };
        if idle.is_none() {
            self.hold(Holder::Parking, false);
        }
        idle.map(|(calls, ..)| calls)
    }

    /// How many calls are on their way.
    pub(crate) fn calls(&self) -> usize {
        self.waits.lock().len()
    }

    /// True if something is being done for one of its calls, outside or in the store. What only waits, or has not begun, can wait or begin again.
    pub(crate) fn acts(&self) -> bool {
        self.waits.lock().iter().any(|(_, wait, _)| match wait {
            Wait::Host | Wait::Web | Wait::Tool | Wait::Model => true,
            Wait::Sleep | Wait::Letter | Wait::Person | Wait::Agent | Wait::Queue | Wait::Approval => false,
        })
    }

    /// How many of its calls are answered by runs below it.
    pub(crate) fn below(&self) -> usize {
        self.waits.lock().iter().filter(|(_, wait, _)| *wait == Wait::Agent).count()
    }

    /// Bytes of its linear memories.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    fn idle(&self) -> Option<(Vec<CallId>, Millis)> {
        let waits = self.waits.lock();
        let since = waits.iter().map(|(.., since)| *since).max()?;
        let rests = |wait: &Wait| wait.rests() || *wait == Wait::Agent;
        let calls = || waits.iter().map(|(call, ..)| *call).collect();
        waits.iter().all(|(_, wait, _)| rests(wait)).then(|| (calls(), since))
    }

    /// Holds it for one holder, or lets it go; true if that is news.
    pub(crate) fn hold(&self, holder: Holder, hold: bool) -> bool {
        let holder = holder as u8;
        let before = match hold {
            true => self.holders.fetch_or(holder, Ordering::SeqCst),
            false => self.holders.fetch_and(!holder, Ordering::SeqCst),
        };
        if !hold {
            self.let_go.wake();
        }
        (before & holder != 0) != hold
    }

    fn is_held(&self) -> bool {
        self.holders.load(Ordering::SeqCst) != 0
    }

    /// True while a person holds it.
    pub(crate) fn is_held_by_person(&self) -> bool {
        self.holders.load(Ordering::SeqCst) & Holder::Person as u8 != 0
    }

    /// A person stops it, and says why. Who says it first is heard.
    pub(crate) fn stopped_because(&self, because: String) {
        let _ = self.because.set(because);
    }

    /// Why a person stopped it.
    pub(crate) fn because(&self) -> Option<&str> {
        self.because.get().map(String::as_str)
    }

    /// As it stands now.
    pub(crate) fn look(&self, run: &RunContext) -> Live {
        let began = run.record().map_or(Millis(0), |record| record.started);
        let longest = self.waits.lock().iter().map(|(_, wait, since)| (*wait, *since)).max();
        let waits = longest.filter(|_| self.rests.load(Ordering::SeqCst));
        let tally = run.tally();
        Live {
            run: run.id,
            agent: run.agent.clone(),
            waits: waits.map(|(wait, _)| wait),
            since: waits.map_or(began, |(_, since)| since),
            paused: self.is_held_by_person(),
            memory_bytes: self.memory.load(Ordering::Relaxed),
            calls: run.calls(),
            refused: tally.refused,
            spent: tally.spent,
        }
    }
}

/// A call for which a run waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    run: Arc<RunContext>,
    call: CallId,
}

impl Waiting {
    pub(crate) fn begin(run: &Arc<RunContext>, call: CallId, wait: Wait, since: Millis) -> Self {
        run.activity.waits.lock().push((call, wait, since));
        Self { run: Arc::clone(run), call }
    }

    /// From now on it waits for this; gives what it was before.
    pub(crate) fn becomes(&self, wait: Wait, since: Millis) -> Wait {
        let mut waits = self.run.activity.waits.lock();
        match waits.iter_mut().find(|(call, ..)| *call == self.call) {
            Some((_, was, began)) => {
                *began = since;
                std::mem::replace(was, wait)
            }
            None => wait,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.run.activity.waits.lock().retain(|(call, ..)| *call != self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::events::Observer;

    const RESTS: Rest = Rest { rests: true, has_seen_all: true, memory_bytes: 0 };

    #[test]
    fn of_several_waits_the_one_that_may_take_longest_is_shown() {
        let run = Arc::new(RunContext::new(RunId(7), "scribe", Millis(1), Observer::nobody()));
        let model = Waiting::begin(&run, CallId(1), Wait::Model, Millis(10));
        let tool = Waiting::begin(&run, CallId(2), Wait::Tool, Millis(20));
        assert_eq!(run.activity.look(&run).waits, None, "it computes");
        run.activity.waits(RESTS);
        assert_eq!(run.activity.look(&run).waits, Some(Wait::Model));
        assert_eq!(tool.becomes(Wait::Person, Millis(30)), Wait::Tool);
        let live = run.activity.look(&run);
        assert_eq!((live.waits, live.since), (Some(Wait::Person), Millis(30)));
        drop((model, tool));
        assert_eq!(run.activity.look(&run).waits, None);
    }

    #[test]
    fn only_a_run_that_waits_for_what_comes_anyway_rests() {
        let run = Arc::new(RunContext::new(RunId(7), "scribe", Millis(1), Observer::nobody()));
        let activity = &run.activity;
        let letter = Waiting::begin(&run, CallId(1), Wait::Letter, Millis(10));
        assert_eq!(activity.rests_since(), None, "it computes");
        activity.waits(RESTS);
        assert_eq!(activity.rests_since(), Some(Millis(10)));
        for wait in [Wait::Host, Wait::Web, Wait::Tool, Wait::Model, Wait::Queue, Wait::Approval] {
            let _other = Waiting::begin(&run, CallId(2), wait, Millis(20));
            assert_eq!((activity.rests_since(), activity.try_quiesce()), (None, None), "{wait:?}");
        }
        assert!(!activity.holds(Waker::noop()), "it goes on as it did");
        assert_eq!(activity.try_quiesce(), None, "it is polled");
        activity.waits(RESTS);
        assert_eq!(activity.try_quiesce(), Some(vec![CallId(1)]));
        assert!(activity.holds(Waker::noop()));
        assert_eq!(activity.try_quiesce(), None, "it is held already");
        drop(letter);
    }

    #[test]
    fn each_holder_holds_a_run_once_and_lets_go_for_itself() {
        let activity = Activity::default();
        assert!(!activity.holds(Waker::noop()));
        assert!(activity.hold(Holder::Relocation, true) && !activity.hold(Holder::Relocation, true));
        assert!(activity.holds(Waker::noop()) && !activity.is_held_by_person(), "nobody has to let it go");
        assert!(activity.hold(Holder::Person, true), "that is news");
        assert!(activity.hold(Holder::Relocation, false) && activity.holds(Waker::noop()), "the person holds it still");
        assert!(activity.hold(Holder::Person, false) && !activity.hold(Holder::Person, false));
        assert!(!activity.holds(Waker::noop()));
    }
}
