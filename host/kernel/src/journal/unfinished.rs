//! What a run that has not ended has behind it and still holds, read off its journal: all that the kernel needs to go on with it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::borrow::Borrow;

use super::Entry;
use crate::budget::Allowance;
use crate::budget::{Amounts, Resource, Window};
use crate::call::{Call, CallId, Effect, RunId, Wait};
use crate::labels::{Labels, UNTRUSTED};
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// A run between its first entry and its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Fuel, wall time and memory that it was given at its start.
    pub allowance: Allowance,
    /// Taken from its account by its calls.
    pub spent: Amounts,
    /// What people added to its own budget.
    pub given: Amounts,
    /// The labels that it holds.
    pub labels: Labels,
    /// Calls that it has made.
    pub calls: u32,
    /// How many of them were refused.
    pub refused: u32,
    /// Wall time that it has used, in milliseconds. When no host had it, none passed for it.
    pub wall_ms: u64,
    /// Calls that have no answer.
    pub open: BTreeMap<CallId, Open>,
    /// The runs below it, by the call that runs them.
    pub below: BTreeMap<CallId, RunId>,
    /// Since when it rests, and the calls that it waits for; none if its host lost it.
    pub rests: Option<(Millis, Vec<CallId>)>,
    /// Fuel of its allowance that it gave away for runs below it, by the call that runs them. It does not come back.
    pub gave: BTreeMap<CallId, u64>,
    /// True if all of it came out of a file and this home has given it nothing yet: it holds nothing, and nothing that it says of money,
    /// time or rights counts.
    pub imported: bool,
    /// Since when a host has it, and the last that is known of it.
    stretch: (Millis, Millis),
    /// Labels of all that it was told, whoever took them off or kept them off.
    gained: Labels,
}

/// What brings a run back that rests. Nothing else can come of its open calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The time: of its first deadline, if nothing comes before.
    pub at: Millis,
    /// A letter.
    pub letter: bool,
    /// A person's answer.
    pub person: bool,
}

impl Wake {
    /// What comes first of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { at: self.at.min(other.at), letter: self.letter || other.letter, person: self.person || other.person }
    }
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What was asked.
    pub what: Call,
    /// When, for the last time.
    pub at: Millis,
    /// When for the first time: one that a host lost is asked again.
    pub began: Millis,
    /// What is held for it.
    pub held: Amounts,
    /// False if it waited for its turn or for people: then nothing can have come of it.
    pub sent: bool,
    /// True if a host that went on with the run has written already that it was lost, and stopped before the guest was told what becomes
    /// of it. What was held for it is spent.
    pub lost: bool,
}

impl Unfinished {
    /// What these entries tell; none if they do not begin as a run does, or the run has ended.
    pub fn of<E: Borrow<Entry>>(entries: impl IntoIterator<Item = E>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let first = entries.next()?;
        let Entry::Started(started) = first.borrow() else { return None };
        let mut run = Self {
            allowance: Allowance::of(&started.held),
            spent: Amounts::ZERO,
            given: Amounts::ZERO,
            labels: Labels::NONE,
            calls: 0,
            refused: 0,
            wall_ms: 0,
            open: BTreeMap::new(),
            below: BTreeMap::new(),
            rests: None,
            gave: BTreeMap::new(),
            imported: false,
            stretch: (started.at, started.at),
            gained: Labels::NONE,
        };
        for entry in entries {
            if matches!(entry.borrow(), Entry::Ended(_)) {
                return None;
            }
            run.add(entry.borrow());
        }
        run.rest();
        Some(run)
    }

    /// What it holds on the books of whoever pays for it: its wall time, the fuel that it did not give away, and what is held for its open
    /// calls. What it gave away is held by whoever has it.
    pub fn holds(&self) -> Amounts {
        let given = Amounts::of(Resource::Fuel, self.fuel_given());
        self.open.values().fold(self.allowance.held().minus(given), |sum, open| sum.plus(open.held))
    }

    /// Fuel of its allowance that it gave away.
    pub fn fuel_given(&self) -> u64 {
        self.gave.values().fold(0, |sum, fuel| sum.saturating_add(*fuel))
    }

    /// Of that, the part for calls that have no answer: made again, they take no other.
    pub fn fuel_given_again(&self) -> u64 {
        let open = self.gave.iter().filter(|(call, _)| self.open.contains_key(call));
        open.fold(0, |sum, (_, fuel)| sum.saturating_add(*fuel))
    }

    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Asked { call, at, what, held, .. } => self.opens(*call, *at, what, *held, true),
            Entry::Questioned { call, at, what, held, .. } | Entry::Queued { call, at, what, held } => {
                self.opens(*call, *at, what, *held, false);
            }
            Entry::Called { call, at, what, outcome, .. } => {
                // It cost nothing else.
                let spec = what.spec();
                // What is answered out of memory is written down as well, and counted nowhere: it is bounded by what there is to say.
                let told = if spec.effect == Effect::Inner { 0 } else { outcome.stored_bytes() };
                let written = spec.writes.saturating_add(told);
                self.answered(*call, *at, Amounts::of(Resource::Written, written));
            }
            Entry::Answered { call, at, spent, .. } => self.answered(*call, *at, *spent),
            Entry::Unknown { call, at, spent } => self.lost(*call, *at, *spent),
            Entry::Refused { call, at, .. } => {
                self.refused = self.refused.saturating_add(1);
                self.answered(*call, *at, Amounts::ZERO);
            }
            Entry::Resolved { returned, .. } => self.spent = self.spent.minus(*returned),
            Entry::Raised { raised, .. } => {
                for short in raised.iter().filter(|short| short.window == Window::Run) {
                    self.given = self.given.plus(Amounts::of(short.what, short.more));
                }
            }
            Entry::Labelled { labels, .. } => {
                self.labels = self.labels.and(labels);
                self.gained = self.gained.and(labels);
            }
            Entry::Cleared { labels, .. } => self.gained = self.gained.and(labels),
            Entry::Imported { at, .. } => self.came_out_of_a_file(*at),
            Entry::Adopted { at, held, labels } => self.adopted(*at, held, labels),
            Entry::Unlabelled { labels, .. } => self.labels = self.labels.without(labels),
            Entry::Spawned { call, run } => drop(self.below.insert(*call, *run)),
            Entry::Rested { at, calls } => {
                self.stretch.1 = self.stretch.1.max(*at);
                self.rests = Some((*at, calls.clone()));
            }
            Entry::Resumed { at } => {
                self.wakes(*at);
                self.rest();
                self.stretch = (*at, *at);
            }
            // What the guest saw, and what decisions rest on, cost nothing and hold nothing.
            _ => {}
        }
    }

    /// All so far is what somebody says. Which calls have no answer, and what the run says that it has read, is taken from it; what it had,
    /// spent and holds is not, nor which runs work for it, nor who took labels off.
    fn came_out_of_a_file(&mut self, at: Millis) {
        for open in self.open.values_mut() {
            (open.held, open.lost) = (Amounts::ZERO, false);
        }
        *self = Self {
            allowance: Allowance::NOTHING,
            spent: Amounts::ZERO,
            given: Amounts::ZERO,
            labels: self.gained.and(&self.labels).and(&Labels::of([UNTRUSTED])),
            calls: self.calls,
            refused: self.refused,
            wall_ms: 0,
            open: core::mem::take(&mut self.open),
            below: BTreeMap::new(),
            rests: None,
            gave: BTreeMap::new(),
            imported: true,
            stretch: (at, at),
            gained: self.gained.clone(),
        };
    }

    fn adopted(&mut self, at: Millis, held: &Amounts, labels: &Labels) {
        self.allowance = Allowance::of(held);
        self.labels = self.labels.and(labels);
        self.imported = false;
        self.stretch = (at, at);
    }

    /// What brings it back, if it rests: the first of its own deadlines, or of what its calls wait for. The runs below it have their own.
    pub fn wake(&self) -> Option<Wake> {
        let (rests, calls) = self.rests.as_ref()?;
        let end = rests.plus(self.allowance.wall_ms.saturating_sub(self.wall_ms));
        let all = Wake { at: end, letter: false, person: false };
        Some(calls.iter().fold(all, |all, call| {
            let Some(open) = self.open.get(call) else { return Wake { at: *rests, ..all } };
            let spec = open.what.spec();
            // One that began in a time that has not come, because a clock was ahead, waits from here on.
            let at = spec.timeout_ms.map_or(end, |ms| open.began.min(*rests).plus(ms));
            all.or(match spec.wait {
                Wait::Sleep => Wake { at, ..all },
                Wait::Letter => Wake { at, letter: true, ..all },
                Wait::Person => Wake { at, person: true, ..all },
                Wait::Host | Wait::Web | Wait::Tool | Wait::Model | Wait::Queue | Wait::Agent | Wait::Approval => all,
            })
        }))
    }

    /// The calls that it waits for, if it rests, as far as they have no answer.
    pub fn waits(&self) -> impl Iterator<Item = (CallId, &Open)> {
        let calls = self.rests.iter().flat_map(|(_, calls)| calls);
        calls.filter_map(|call| self.open.get(call).map(|open| (*call, open)))
    }

    /// It goes on at this time: that in which it rested passed for it.
    pub fn goes_on(&mut self, at: Millis) {
        self.wakes(at);
        self.rest();
    }

    fn wakes(&mut self, at: Millis) {
        if self.rests.take().is_some() {
            self.stretch.1 = self.stretch.1.max(at);
        }
    }

    fn opens(&mut self, call: CallId, at: Millis, what: &Call, held: Amounts, sent: bool) {
        self.made(call, at);
        if let Call::AgentsCall(delegation) = what {
            self.gave.insert(call, delegation.fuel);
        }
        // A call that waited for its turn or for people is asked for a second time when that has come: then it holds this.
        let began = self.open.get(&call).map_or(at, |open| open.began);
        self.open.insert(call, Open { what: what.clone(), at, began, held, sent, lost: false });
    }

    fn lost(&mut self, call: CallId, at: Millis, spent: Amounts) {
        self.made(call, at);
        if let Some(open) = self.open.get_mut(&call) {
            (open.held, open.lost) = (Amounts::ZERO, true);
        }
        self.spent = self.spent.plus(spent);
    }

    fn answered(&mut self, call: CallId, at: Millis, spent: Amounts) {
        self.made(call, at);
        self.open.remove(&call);
        self.spent = self.spent.plus(spent);
    }

    fn made(&mut self, call: CallId, at: Millis) {
        self.calls = self.calls.max(call.0);
        self.stretch.1 = self.stretch.1.max(at);
    }

    /// No host has it any more, or a new one does: what passed since one had it is used.
    fn rest(&mut self) {
        let (from, to) = self.stretch;
        self.wall_ms = self.wall_ms.saturating_add(to.since(from));
        self.stretch = (to, to);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::call::Delegation;
    use crate::digest::Digest;
    use crate::journal::{BasisId, Outcome, Started};

    fn started() -> Entry {
        Entry::Started(Started {
            at: Millis(100),
            agent: "scribe".into(),
            package: String::new(),
            component: Digest::default(),
            input: Digest::default(),
            seed: 1,
            policy: Digest::default(),
            engine: String::new(),
            held: Amounts::of(Resource::Fuel, 1000).with(Resource::WallTime, 500).with(Resource::Memory, 64),
        })
    }

    fn asked(call: u32, at: u64, usd: u64) -> Entry {
        let held = Amounts::of(Resource::Usd, usd);
        Entry::Asked { call: CallId(call), at: Millis(at), what: Call::TimersNow, held, basis: BasisId::NONE }
    }

    fn answered(call: u32, at: u64, usd: u64) -> Entry {
        let outcome = Outcome::Inline(Vec::new());
        Entry::Answered { call: CallId(call), at: Millis(at), outcome, spent: Amounts::of(Resource::Usd, usd) }
    }

    #[test]
    fn what_is_held_and_spent_stands_in_the_journal() {
        let run = Unfinished::of(&[started(), asked(1, 110, 50), asked(2, 120, 70), answered(1, 150, 20)]).unwrap();
        assert_eq!(run.spent, Amounts::of(Resource::Usd, 20));
        let holds = Amounts::of(Resource::Fuel, 1000).with(Resource::WallTime, 500).with(Resource::Usd, 70);
        assert_eq!((run.holds(), run.calls, run.wall_ms), (holds, 2, 50));
        assert!(run.open[&CallId(2)].sent);
    }

    #[test]
    fn what_a_run_had_written_is_counted_off_its_journal() {
        let called =
            |what, outcome| Entry::Called { call: CallId(1), at: Millis(110), what, outcome, basis: BasisId::NONE };
        let put = Call::MemoryPut {
            namespace: "team/board".into(),
            key: "k".into(),
            content: Digest::default(),
            bytes: 7,
            grows: 0,
        };
        let told = Outcome::Stored { content: Digest::default(), bytes: 300 };
        let inline = Outcome::Inline(vec![1]);
        let entries = [started(), called(put, inline), called(Call::ToolsList, told)];
        assert_eq!(Unfinished::of(&entries).unwrap().spent, Amounts::of(Resource::Written, 7));
    }

    #[test]
    fn a_call_that_nobody_knows_of_is_spent_until_a_person_says_otherwise() {
        let (call, at, usd) = (CallId(1), Millis(900), Amounts::of(Resource::Usd, 50));
        let mut entries =
            vec![started(), asked(1, 110, 50), Entry::Resumed { at }, Entry::Unknown { call, at, spent: usd }];
        let run = Unfinished::of(&entries).unwrap();
        assert_eq!((run.spent, run.holds()), (usd, run.allowance.held()));
        assert!(run.open[&call].lost && run.open[&call].sent, "the guest has yet to be told");
        assert_eq!(run.wall_ms, 10, "no time passed while no host had it");
        entries.push(Entry::Resolved { call, at, happened: false, returned: usd, because: String::new() });
        assert_eq!(Unfinished::of(&entries).unwrap().spent, Amounts::ZERO);
    }

    #[test]
    fn time_goes_on_for_a_run_that_rests_and_the_first_of_what_it_waits_for_brings_it_back() {
        let open = |call: u32, at: u64, what: Call| Entry::Asked {
            call: CallId(call),
            at: Millis(at),
            what,
            held: Amounts::ZERO,
            basis: BasisId::NONE,
        };
        let question = Call::HumanAsk { question: Digest::default(), expires_ms: None };
        let mut entries = vec![
            started(),
            open(1, 110, Call::TimersSleep { ms: 900 }),
            open(2, 120, Call::AgentsReceive { timeout_ms: Some(300) }),
            open(3, 130, question),
        ];
        assert_eq!(Unfinished::of(&entries).unwrap().wake(), None, "its host lost it");
        entries.push(Entry::Rested { at: Millis(150), calls: vec![CallId(1), CallId(2), CallId(3)] });
        let rests = Unfinished::of(&entries).unwrap();
        assert_eq!(rests.wake(), Some(Wake { at: Millis(420), letter: true, person: true }));
        let mut woken = rests.clone();
        woken.goes_on(Millis(400));
        assert_eq!((rests.wall_ms, woken.wall_ms, woken.rests), (50, 300, None));
        entries.push(Entry::Resumed { at: Millis(400) });
        let (call, at) = (CallId(1), Millis(400));
        entries.push(Entry::Unknown { call, at, spent: Amounts::ZERO });
        // One that is asked again is over when it would have been.
        entries.push(open(1, 405, Call::TimersSleep { ms: 200 }));
        entries.push(answered(2, 410, 0));
        entries.push(answered(3, 410, 0));
        assert_eq!(Unfinished::of(&entries).unwrap().wall_ms, 310);
        entries.push(Entry::Rested { at: Millis(410), calls: vec![CallId(1)] });
        let again = Unfinished::of(&entries).unwrap();
        assert_eq!(again.wake(), Some(Wake { at: Millis(310), letter: false, person: false }));
        // An answer that it has not seen is there at once.
        let calls = vec![CallId(1), CallId(2)];
        let answered =
            [started(), open(1, 110, Call::TimersSleep { ms: 9000 }), Entry::Rested { at: Millis(150), calls }];
        assert_eq!(Unfinished::of(&answered).unwrap().wake().map(|wake| wake.at), Some(Millis(150)));
        // Without a call that ends before, its wall time ends it.
        let sleeps = [
            started(),
            open(1, 110, Call::TimersSleep { ms: 9000 }),
            Entry::Rested { at: Millis(150), calls: vec![CallId(1)] },
        ];
        assert_eq!(Unfinished::of(&sleeps).unwrap().wake().map(|wake| wake.at), Some(Millis(600)));
    }

    #[test]
    fn fuel_that_was_given_away_is_held_by_whoever_has_it() {
        let called = |call: u32, fuel: u64| {
            let what =
                Call::AgentsCall(Delegation { agent: "clerk".into(), input: Digest::default(), share: vec![], fuel });
            let (call, at, held, basis) = (CallId(call), Millis(110), Amounts::ZERO, BasisId::NONE);
            Entry::Asked { call, at, what, held, basis }
        };
        let run = Unfinished::of(&[started(), called(1, 300), answered(1, 120, 0), called(2, 200), called(2, 200)]);
        let run = run.unwrap();
        assert_eq!((run.fuel_given(), run.fuel_given_again(), run.holds()[Resource::Fuel]), (500, 200, 500));
    }

    #[test]
    fn a_run_that_has_ended_or_never_began_is_not_unfinished() {
        assert_eq!(Unfinished::of::<Entry>([]), None);
        assert_eq!(Unfinished::of(&[asked(1, 1, 1)]), None);
        let ended = super::super::Ended {
            at: Millis(200),
            status: super::super::Status::Done,
            output: Digest::default(),
            spent: Amounts::ZERO,
        };
        assert_eq!(Unfinished::of(&[started(), Entry::Ended(ended)]), None);
    }
}
