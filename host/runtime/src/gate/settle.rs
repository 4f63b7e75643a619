//! The second half of every way: the true cost is taken, the outcome written down, and the next in the queue let in.

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::fault::{self, Fault};
use agentry_journal::Extras;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::CallId;
use agentry_kernel::journal::{Entry, Outcome};
use agentry_kernel::kernel::{Permit, Settled};
use agentry_kernel::refusal::{Refusal, Rule};
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::rows::run::RunRecord;
use serde::Serialize;

use super::act::Act;
use super::{CallRequest, Inner, Turn, answer};
use crate::run::context::RunContext;
use crate::run::events::Event;

/// A result as the journal has it. Contents are stored only for calls that were done, and what stands by name is added.
pub(super) fn outcome<T: Serialize, E: Fault>(result: &Result<T, E>, contents: &mut Vec<Content>) -> Outcome {
    match result {
        Ok(value) => answer(value, contents),
        Err(error) => {
            let (mut outcome, rest) = fault::outcome(error);
            if let (Outcome::Error { partial, .. }, Some(rest)) = (&mut outcome, rest) {
                let content = Content::of(rest);
                *partial = Some(content.digest);
                contents.push(content);
            }
            outcome
        }
    }
}

/// What a permit comes to.
pub(super) enum Cost {
    /// Its call was made, and cost this.
    Made(Amounts),
    /// Nothing was done, but for so many bytes that were written for it.
    Unmade(u64),
}

/// Bytes of what is stored.
pub(super) fn bytes(contents: &[Content]) -> u64 {
    contents.iter().fold(0, |sum, content| sum.saturating_add(content.bytes.len() as u64))
}

/// Something cost more than an account holds, which is then empty: a provider that counts otherwise than it said.
fn overrun(call: CallId, beyond: &Amounts) -> String {
    let more = Resource::ALL.into_iter().filter(|what| beyond[*what] > 0).map(|what| what.show(beyond[what]));
    format!("call {call} cost {} beyond the budget, which is empty now", more.collect::<Vec<_>>().join(" and "))
}

impl Inner {
    /// Spends the permit, or gives it back. The entry is written under the kernel's lock, so that accounts reach the journal in the order in which
    /// they changed.
    pub(super) fn settle(
        &self,
        run: &RunContext,
        permit: Permit,
        cost: Cost,
        now: Millis,
        contents: Vec<Content>,
        entry: impl FnOnce(Amounts) -> Option<Entry>,
    ) -> Amounts {
        let call = permit.call();
        let settled = self.act(run, now, |act| {
            let rule = permit.clears().map(|(_, rule)| rule.clone());
            let settled = act.ask(|kernel| match cost {
                Cost::Made(spent) => kernel.settle(permit, spent, now),
                Cost::Unmade(written) => kernel.forfeit(permit, written, now),
            });
            act.gained(run, call, &settled, rule, now);
            act.store(contents);
            entry(settled.spent).into_iter().for_each(|entry| act.note(entry));
            settled
        });
        if settled.spent != Amounts::ZERO {
            run.add_spent(settled.spent);
        }
        // Of a run that has left, nothing here was held any more.
        if !settled.overrun.is_zero() && !run.leaves.is_cancelled() {
            run.observer.tell(Event::Log { level: Level::Warn, line: overrun(call, &settled.overrun) });
        }
        settled.spent
    }

    /// What the admin is to know of a call stands in the journal before its answer, whoever watches now.
    pub(super) fn note(&self, run: &RunContext, call: CallId, at: Millis, note: Option<String>) {
        if let Some(note) = note {
            self.journal.append(&run.trail, &[Entry::Noted { call, at, note }], Extras::default());
        }
    }

    /// Ends a call that was answered where it stands and cost nothing. If nothing is to be settled, its entry is all.
    pub(super) fn conclude(&self, run: &RunContext, permit: Permit, entry: Entry, contents: Vec<Content>, now: Millis) {
        if permit.is_spent() {
            return self.journal.append(&run.trail, &[entry], Extras { contents, ..Extras::default() });
        }
        let written = Amounts::of(Resource::Written, bytes(&contents));
        self.settle(run, permit, Cost::Made(written), now, contents, |_| Some(entry));
    }

    /// Why a call whose turn has come may not begin any more.
    pub(super) fn overtaken(&self, permit: &Permit, asking: Option<&CallRequest>) -> Option<Refusal> {
        self.cell.lock().kernel().overtaken(permit, asking.map_or("", |asking| asking.what.name()))
    }

    /// Gives a turn back that nobody will use. It costs nothing.
    pub(super) fn give_up(&self, run: &RunContext, turn: Turn, now: Millis) {
        self.act(run, now, |act| act.give_up(turn, now));
    }
}

impl Act<'_> {
    /// Labels that a run gains stand in its journal before the answer that brings them, and in its record.
    pub(super) fn gained(&mut self, run: &RunContext, call: CallId, settled: &Settled, rule: Option<Rule>, at: Millis) {
        let Settled { gained, cleared, .. } = settled;
        if gained.is_empty() && cleared.is_empty() {
            return;
        }
        run.relabel(call, gained, cleared);
        if !gained.is_empty() {
            self.note(Entry::Labelled { call, at, labels: gained.clone() });
        }
        if let Some(rule) = rule.filter(|_| !cleared.is_empty()) {
            self.note(Entry::Cleared { call, at, labels: cleared.clone(), rule });
        }
        self.record(run.record_to_write().map(|record| RunRecord { labels: run.labels(), ..record }));
    }
}
