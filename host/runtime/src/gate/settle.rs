//! The second half of every way: the true cost is taken, the outcome written down, and the next in the queue let in.

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::fault::{self, Fault};
use agentry_journal::Along;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::CallId;
use agentry_kernel::journal::{Entry, Outcome};
use agentry_kernel::kernel::{Permit, Ready};
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::{Refusal, Rule};
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::rows::run::RunRecord;
use serde::Serialize;

use super::{Asking, Desk, Inner, Turn, answer};
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

/// Something cost more than an account holds, which is then empty: a provider that counts otherwise than it said.
fn overrun(call: CallId, beyond: &Amounts) -> String {
    let more = Resource::ALL.into_iter().filter(|what| beyond[*what] > 0).map(|what| what.show(beyond[what]));
    format!("call {call} cost {} beyond the budget, which is empty now", more.collect::<Vec<_>>().join(" and "))
}

impl Inner {
    /// Spends the permit; without `cost`, nothing was done and it is given back. The entry is written under the kernel's lock, so that accounts reach the journal in the
    /// order in which they changed.
    pub(super) fn settle(
        &self,
        run: &RunContext,
        permit: Permit,
        cost: Option<Amounts>,
        now: Millis,
        contents: Vec<Content>,
        entry: impl FnOnce(Amounts) -> Option<Entry>,
    ) -> Amounts {
        let moved = *permit.held() != Amounts::ZERO || cost.is_some_and(|cost| cost != Amounts::ZERO);
        let call = permit.call();
        let contents = self.journal.missing(contents);
        let rule = permit.clears().map(|(_, rule)| rule.clone());
        let mut desk = self.desk.lock();
        let settled = match cost {
            Some(spent) => desk.kernel.settle(permit, spent, now),
            None => desk.kernel.give_back(permit, now),
        };
        desk.let_in(settled.ready, now);
        let moved = desk.books(run).filter(|_| moved);
        let record = self.gained(run, call, (&settled.gained, &settled.cleared), rule, now);
        let along = Along { moved, contents, record, rated: Vec::new() };
        self.journal.append(&run.trail, entry(settled.spent).as_slice(), along);
        drop(desk);
        if settled.spent != Amounts::ZERO {
            run.add_spent(settled.spent);
        }
        if !settled.overrun.is_zero() {
            run.observer.tell(Event::Log { level: Level::Warn, line: overrun(call, &settled.overrun) });
        }
        settled.spent
    }

    /// What the admin is to know of a call stands in the journal before its answer, whoever watches now.
    pub(super) fn note(&self, run: &RunContext, call: CallId, at: Millis, note: Option<String>) {
        if let Some(note) = note {
            self.journal.append(&run.trail, &[Entry::Noted { call, at, note }], Along::default());
        }
    }

    /// Labels that a run gains stand in its journal before the answer that brings them, and in its record.
    fn gained(
        &self,
        run: &RunContext,
        call: CallId,
        (gained, cleared): (&Labels, &Labels),
        rule: Option<Rule>,
        at: Millis,
    ) -> Option<RunRecord> {
        if gained.is_empty() && cleared.is_empty() {
            return None;
        }
        run.relabel(call, gained, cleared);
        let labelled = (!gained.is_empty()).then(|| Entry::Labelled { call, at, labels: gained.clone() });
        let rule = rule.filter(|_| !cleared.is_empty());
        let cleared = rule.map(|rule| Entry::Cleared { call, at, labels: cleared.clone(), rule });
        let entries: Vec<_> = labelled.into_iter().chain(cleared).collect();
        self.journal.append(&run.trail, &entries, Along::default());
        run.record().map(|record| RunRecord { labels: run.labels(), ..record.clone() })
    }

    /// Why a call whose turn has come may not begin any more.
    pub(super) fn overtaken(&self, permit: &Permit, asking: Option<&Asking>) -> Option<Refusal> {
        self.desk.lock().kernel.overtaken(permit, asking.map_or("", |asking| asking.what.name()))
    }

    /// Gives a turn back that nobody will use. It costs nothing.
    pub(super) fn give_up(&self, run: &RunContext, turn: Turn, now: Millis) {
        let mut desk = self.desk.lock();
        let ready = match turn {
            Turn::People(asked) => return self.forgo(&mut desk, asked.waiter, now),
            Turn::Now(permit) => desk.kernel.give_back(permit, now).ready,
            Turn::Later(ticket, mut receiver) => match desk.waiting.remove(&ticket) {
                Some(_) => desk.kernel.withdraw(ticket, now),
                // Its turn came in the same moment.
                None => match receiver.try_recv() {
                    Ok(permit) => desk.kernel.give_back(permit, now).ready,
                    Err(_) => return,
                },
            },
        };
        desk.let_in(ready, now);
        let along = Along { moved: desk.books(run), ..Along::default() };
        self.journal.append(&run.trail, &[], along);
    }
}

impl Desk {
    /// Hands permits to those who wait for them. Whoever has gone away gives its turn to the next.
    pub(super) fn let_in(&mut self, ready: Vec<Ready>, now: Millis) {
        let mut queue = ready;
        while let Some(Ready { ticket, permit }) = queue.pop() {
            let unclaimed = match self.waiting.remove(&ticket) {
                Some(sender) => sender.send(permit).err(),
                None => Some(permit),
            };
            if let Some(permit) = unclaimed {
                queue.extend(self.kernel.give_back(permit, now).ready);
            }
        }
    }
}
