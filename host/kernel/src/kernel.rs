//! The one place that says yes, no or later: `start`, `admit`, `settle`, `withdraw`, `finish`.
//!
//! Every method takes the time as an argument and returns at once; none panics, whatever a guest passed. What an act brings about beside
//! its answer comes with it, as [`Consequences`].

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::budget::{Amounts, Resource};
use crate::call::{Call, CallId, Class, Durability, Effect, RunId};
use crate::journal::Entry;
use crate::labels::Labels;
use crate::limits::{CALLS_IN_FLIGHT_MAX, CALLS_PER_RUN_MAX};
use crate::model::Model;
use crate::policy::{Policy, Subject};
use crate::refusal::{Code, Refusal};
use crate::time::Millis;
use crate::tool::{Tool, Tools};

mod admission;
mod adopt;
mod answer;
mod approvals;
mod basis;
mod books;
mod consequences;
mod decision;
mod ledger;
mod lock;
mod raise;
mod rates;
mod reasons;
mod registry;
mod resume;
mod runs;
mod set_back;
mod shares;
#[cfg(test)]
mod simulation;
mod slots;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tracked;
mod trials;

pub use adopt::Adopted;
pub(crate) use answer::Permission;
pub use answer::{Answer, Balance, Permit, Ready, Settled, Start, Ticket};
pub use approvals::{Answered, Asked, Closed, How, Unasked, Vote, Waiter};
pub use books::{BalanceLine, Statement};
pub use consequences::Consequences;
pub use rates::RateState;
pub use resume::{Afterwards, Lost};
pub use shares::Share;

pub use lock::Lock;

use admission::{No, Terms};
use approvals::Approvals;
use decision::View;
use ledger::{BooksId, Ledger, Owner};
use rates::Rates;
use runs::{Life, Run};
use slots::{ModelId, Slots};

/// The state that decisions rest on.
#[derive(Debug)]
pub struct Kernel {
    policy: Arc<Policy>,
    slots: Slots,
    tools: Tools,
    lock: Option<Lock>,
    ledger: Ledger,
    rates: Rates,
    /// What follows from the act that is under way; empty between acts.
    follows: Consequences,
    site: BooksId,
    agents: BTreeMap<String, BooksId>,
    runs: BTreeMap<RunId, Run>,
    /// How many runs have begun or gone on here: the number of the last one's life.
    lives: Life,
    approvals: Approvals,
}

impl Kernel {
    /// A kernel that allows what `policy` grants, on these models and with these tools.
    pub fn new(policy: Arc<Policy>, models: Vec<Model>, tools: Vec<Tool>) -> Self {
        let mut ledger = Ledger::default();
        let site = ledger.open_books(Owner::Site, None);
        ledger.limit_books(site, &policy.budget);
        let (slots, tools) = (Slots::new(models), Tools::new(tools));
        let (rates, agents, runs, approvals) =
            (Rates::default(), BTreeMap::new(), BTreeMap::new(), Approvals::default());
        let (lock, follows, lives) = (None, Consequences::default(), Life::default());
        Self { policy, slots, tools, lock, ledger, rates, follows, site, agents, runs, lives, approvals }
    }

    /// Decides on a call. Its worst case is held before it is admitted, so that dropping it is never a way to spend
    /// for free; a call that is refused costs nothing.
    ///
    /// What it rests on, and what files with `mode = "observe"` would have said against it, follow as entries.
    pub fn admit(&mut self, run: RunId, call: CallId, what: &Call, now: Millis) -> (Answer, Consequences) {
        self.admit_storing(run, call, (what, 0), now)
    }

    /// The same of a call with which so many bytes of contents are stored. They are held with the rest, where the call does not say more.
    pub fn admit_storing(
        &mut self,
        run: RunId,
        call: CallId,
        (what, stored): (&Call, u64),
        now: Millis,
    ) -> (Answer, Consequences) {
        let answer = match self.weigh(run, what, stored, now) {
            Ok(mut terms) => {
                let observed = terms.observed.take();
                let answer = self.grant(run, call, what, terms);
                if let Some(no) = observed {
                    let refusal = self.no(run, call, what.name(), no);
                    self.follows.entries.push(Entry::ShadowDenied { call, at: now, refusal });
                }
                answer
            }
            Err(no) => Answer::Refused(self.no(run, call, what.name(), no)),
        };
        (answer, self.follows())
    }

    /// Remembers what an earlier host counted.
    pub fn restore_rate(&mut self, rated: RateState) {
        self.rates.restore(rated);
    }

    /// What [`Kernel::admit`] would say by right: manifest, grant and site. It counts and holds nothing, so a budget, a queue
    /// or a person may still be in the way. On the way to yes it allocates nothing.
    ///
    /// # Errors
    /// The refusal, but for its place in a run.
    #[expect(clippy::result_large_err, reason = "for whoever looks, not on the way of a call")]
    pub fn look(&self, run: RunId, what: &Call, now: Millis) -> Result<(), Refusal> {
        let Some(run) = self.runs.get(&run).filter(|run| !run.ended) else {
            return Err(*reasons::ended("the run is over"));
        };
        let decided = self.view(Some(&self.rates), now).decide(run, what);
        decided.map(|_| ()).map_err(|no| Refusal { agent: run.agent.clone(), wanted: what.name().into(), ..*no })
    }

    /// How far [`Kernel::look`] goes: for whoever compares policies, and asks often.
    pub(crate) fn permission(&self, run: RunId, what: &Call, now: Millis) -> Permission {
        let Some(run) = self.runs.get(&run).filter(|run| !run.ended) else { return Permission::No };
        match self.view(Some(&self.rates), now).decide(run, what) {
            Ok((_, terms)) if terms.require.is_none() => Permission::Yes,
            Err(no) if no.code != Code::NotApproved => Permission::No,
            _ => Permission::Asks,
        }
    }

    /// How many rules a decision on a call tests, its run's grant and the site together: those that could be about it, however
    /// many there are. For whoever measures; nobody decides by it.
    pub fn rules_looked_at(&self, run: RunId, what: &Call) -> usize {
        let subject = Subject::of(what, &self.tools);
        let grant = self.runs.get(&run).and_then(|run| self.policy.grants.get(run.grant?));
        let given = match (grant, &subject) {
            (Some(grant), Subject::Tool { name, .. }) => grant.tools(name).count(),
            (Some(grant), Subject::Http { url, .. }) => grant.http(url.name).count(),
            _ => 0,
        };
        let mut of_site = 0;
        self.policy.rules_about(&subject, |_| of_site += 1);
        given + of_site
    }

    /// Takes what a permitted call cost and gives back the rest of what was held for it. A call that was made counts as
    /// one, whatever came of it. `spent` may exceed what was held: see [`Settled::overrun`].
    ///
    /// The run gains the labels that the permit brings. It holds them from here on: settle before the guest sees the answer.
    pub fn settle(&mut self, permit: Permit, spent: Amounts, now: Millis) -> (Settled, Consequences) {
        let mut spent = spent;
        spent[Resource::ToolCalls] = permit.held[Resource::ToolCalls];
        // Whatever came of it, what it said is written down.
        spent[Resource::Written] = spent[Resource::Written].max(permit.held[Resource::Written]);
        // It may have been made again, as often as was held for.
        let most = permit.held[Resource::LlmCalls];
        spent[Resource::LlmCalls] = spent[Resource::LlmCalls].clamp(most.min(1), most);
        let held = self.holder(&permit).map_or(Labels::NONE, |run| run.labels.clone());
        let (brings, kept_off) = permit.tells();
        let gained = self.holder(&permit).map_or(Labels::NONE, |run| run.gain(&brings));
        let settled = Settled { gained, cleared: kept_off.without(&held), ..self.close(permit, spent, now) };
        (settled, self.follows())
    }

    /// Takes back a permit that nothing was done with, but that so many bytes were written for it: that is all that it costs.
    pub fn forfeit(&mut self, permit: Permit, written: u64, now: Millis) -> (Settled, Consequences) {
        let settled = self.close(permit, Amounts::of(Resource::Written, written), now);
        (settled, self.follows())
    }

    /// Takes back a permit that nothing was done with; it costs nothing.
    pub fn give_back(&mut self, permit: Permit, now: Millis) -> (Settled, Consequences) {
        let settled = self.close(permit, Amounts::ZERO, now);
        (settled, self.follows())
    }

    /// Takes a call out of its queue; it costs nothing. If its turn has already come, its permit is on the way and is
    /// to be given back.
    pub fn withdraw(&mut self, ticket: Ticket, now: Millis) -> Consequences {
        self.take_out(ticket, now);
        self.follows()
    }

    fn take_out(&mut self, ticket: Ticket, now: Millis) {
        if let Some(permit) = self.slots.withdraw(ticket) {
            // It waited, so it has no slot that another could take.
            let _ = self.close(Permit { model: None, ..permit }, Amounts::ZERO, now);
        }
    }

    /// What is held for a call that waits for its turn.
    pub fn held_by(&self, ticket: Ticket) -> Amounts {
        self.slots.held(ticket)
    }

    /// Replaces the policy. Runs go on; a right that is gone is gone at their next call, and so are changed limits.
    pub fn reload(&mut self, policy: Arc<Policy>) -> Consequences {
        self.policy = policy;
        let grants = &self.policy.grants;
        self.rates.keep(|agent, rule| grants.iter().any(|grant| grant.agent == agent && grant.has_rule(rule)));
        self.ledger.limit_books(self.site, &self.policy.budget);
        for run in self.runs.values_mut() {
            run.grant = self.policy.find(&run.agent, &run.manifest, run.signer);
            run.bases.forget();
            if let Some(grant) = run.grant.and_then(|grant| self.policy.grants.get(grant)) {
                self.ledger.set_limits(run.account, run.limits(&self.policy, grant));
                self.ledger.cap_given(run.account, &self.policy.budget.run);
            }
        }
        for (agent, books) in &self.agents {
            if let Some(grant) = self.policy.grants.iter().find(|grant| grant.agent == *agent) {
                self.ledger.limit_books(*books, &grant.budget);
            }
        }
        self.void_questions();
        self.follows()
    }

    /// The labels that a run holds; none if there is no such run.
    pub fn labels(&self, run: RunId) -> Labels {
        self.runs.get(&run).map(|run| run.labels.clone()).unwrap_or_default()
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The model of an alias, granted or not.
    pub fn model(&self, alias: &str) -> Option<&Model> {
        self.slots.find(alias).map(|(_, model)| model)
    }

    /// A tool of the registry, granted or not.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.find(name)
    }

    /// What decisions are made on now.
    fn view<'k>(&'k self, rates: Option<&'k Rates>, now: Millis) -> View<'k> {
        let Self { policy, slots, tools, runs, .. } = self;
        View { policy, slots, tools, rates, runs, now }
    }

    /// Everything short of the permit: rights, room in the queue, budget. Holds the worst case if the answer is yes.
    fn weigh(&mut self, id: RunId, what: &Call, stored: u64, now: Millis) -> Result<Terms, No> {
        let stopped = self.stopped(what);
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.ended) else {
            return Err(reasons::ended("the run is over"));
        };
        if run.calls >= CALLS_PER_RUN_MAX {
            return Err(reasons::ended("the run has made as many calls as one run may make"));
        }
        run.calls += 1;
        if let Some(no) = stopped {
            return Err(no);
        }
        if run.in_flight >= CALLS_IN_FLIGHT_MAX {
            return Err(reasons::busy(
                "too many calls of this run are in flight",
                "the agent awaits some of them first",
            ));
        }
        if self.approvals.is_paused(&run.agent, what, now) {
            return Err(reasons::paused(&run.agent));
        }
        // For as long as the decision takes, which changes nothing.
        let policy = Arc::clone(&self.policy);
        let (slots, tools, rates, runs) = (&self.slots, &self.tools, Some(&self.rates), &self.runs);
        let Some(run) = runs.get(&id) else { return Err(reasons::ended("the run is over")) };
        let (grant, terms) = View { policy: &policy, slots, tools, rates, runs, now }.decide(run, what)?;
        if let Some(required) = terms.require.as_ref().filter(|_| !run.attended) {
            return Err(reasons::nobody_to_ask(required));
        }
        if terms.asks && !run.attended {
            return Err(reasons::nobody_to_answer());
        }
        if terms.model.is_some_and(|model| self.slots.is_full(model)) {
            return Err(reasons::busy("too many calls wait for this model", "try again later"));
        }
        let mut terms = terms;
        terms.worst[Resource::Written] = terms.worst[Resource::Written].max(stored);
        if what.spec().effect != Effect::Inner && terms.worst[Resource::Written] == 0 {
            // What it will be told is written down, and how much that is nobody knows yet.
            let one = Amounts::of(Resource::Written, 1);
            if let Some(lack) = self.ledger.lack(run.account, &one, now) {
                let budget = reasons::budget_of(&self.policy, &run.payer, grant, &lack);
                return Err(reasons::exhausted(budget, &lack, &one));
            }
        }
        if let Err(lack) = self.ledger.hold(run.account, &terms.worst, now) {
            let budget = reasons::budget_of(&self.policy, &run.payer, grant, &lack);
            let no = reasons::exhausted(budget, &lack, &terms.worst);
            let Some(asked) = raise::asked(run, grant) else { return Err(no) };
            let short = self.ledger.shortages(run.account, &terms.worst, now);
            terms.raise = raise::wanted(&self.policy, short, terms.worst, &no);
            if terms.raise.is_none() {
                return Err(no);
            }
            terms.require = Some(admission::meet(terms.require.as_ref(), asked)?);
        }
        let own = terms.rated.then(|| decision::rule_id(grant, terms.ground)).flatten();
        for (agent, rule) in own.iter().chain(&terms.counted) {
            self.rates.count(agent, rule, now);
            self.follows.rated.extend(self.rates.of(agent, rule));
        }
        self.follows.books |= terms.raise.is_none() && !terms.worst.is_zero();
        Ok(terms)
    }

    /// Makes the permit and gives it, keeps it until a slot is free, or until people have said yes.
    fn grant(&mut self, run: RunId, call: CallId, what: &Call, terms: Terms) -> Answer {
        let Terms { worst, model, class, output_tokens_max, require, brings, clears, private, ground, raise, .. } =
            terms;
        let held = if raise.is_some() { Amounts::ZERO } else { worst };
        // Whoever decides has found the run; without one, no life is this permit's, and it closes against nothing.
        let life = self.runs.get(&run).map_or(Life::default(), |run| run.life);
        let (carries, basis) = (self.labels(run), self.rest_on(run, ground));
        let spec = what.spec();
        let at_once = spec.effect == Effect::Inner && spec.durability == Durability::Deferred;
        let in_flight = !at_once || require.is_some() || model.is_some() || !held.is_zero();
        let permit = Permit {
            run,
            life,
            call,
            held,
            model: None,
            output_tokens_max,
            carries,
            brings,
            clears,
            private,
            basis,
            in_flight,
        };
        if in_flight && let Some(run) = self.runs.get_mut(&run) {
            run.in_flight += 1;
        }
        match require {
            Some(required) => {
                let (name, tool) = (what.name().into(), self.tool_of(what));
                Answer::Ask(Unasked { permit, model, class, required, name, tool, raise })
            }
            None => self.place(permit, model, class),
        }
    }

    /// Gives a permit with the slot that it needs, or keeps it until one is free.
    fn place(&mut self, permit: Permit, model: Option<ModelId>, class: Class) -> Answer {
        let permit = Permit { model, ..permit };
        match model {
            Some(model) if !self.slots.take(model) => Answer::Wait(self.slots.wait(model, class, permit)),
            _ => Answer::Permit(permit),
        }
    }

    /// A no, with who asked, for what and where.
    fn no(&self, run: RunId, call: CallId, wanted: &str, mut no: No) -> Refusal {
        no.agent = self.runs.get(&run).map_or_else(|| "?".into(), |run| run.agent.clone());
        no.wanted = wanted.into();
        no.reference = Some((run, call));
        *no
    }

    fn close(&mut self, permit: Permit, spent: Amounts, now: Millis) -> Settled {
        let Permit { run: id, life, held, model, in_flight, .. } = permit;
        self.follows.ready.extend(model.and_then(|model| self.slots.release(model)));
        let Some(run) = self.living(id, life) else {
            // Of another kernel, or of an earlier life of this run, which left its books as they stood: nothing here is held for it.
            return Settled { overrun: spent, ..Settled::NOTHING };
        };
        run.in_flight = run.in_flight.saturating_sub(usize::from(in_flight));
        let account = run.account;
        self.follows.books |= !held.is_zero() || !spent.is_zero();
        let taken = self.ledger.settle(account, &held, &spent, now);
        self.forget(id);
        Settled { spent: taken, overrun: spent.minus(taken), gained: Labels::NONE, cleared: Labels::NONE }
    }

    /// Takes labels off a run because a person says so; those that it held. None if no such run goes on.
    ///
    /// What it has asked for until then carries them still.
    pub fn unlabel(&mut self, run: RunId, labels: &Labels) -> Option<Labels> {
        let run = self.runs.get_mut(&run).filter(|run| !run.ended)?;
        let before = core::mem::take(&mut run.labels);
        run.labels = before.without(labels);
        Some(Labels::of(before.iter().filter(|name| labels.has(name))))
    }

    /// Gives a run labels that what started it carries; those that are new to it.
    pub fn mark(&mut self, run: RunId, labels: &Labels) -> Labels {
        self.runs.get_mut(&run).map_or(Labels::NONE, |run| run.gain(labels))
    }

    /// The run for which something was permitted; none if it has gone, be it that it goes on under the same id.
    fn holder(&mut self, permit: &Permit) -> Option<&mut Run> {
        self.living(permit.run, permit.life)
    }

    /// A run, if it is still in this life.
    fn living(&mut self, id: RunId, life: Life) -> Option<&mut Run> {
        self.runs.get_mut(&id).filter(|run| run.life == life)
    }

    /// Enters a run that begins or goes on, in a life of its own.
    fn enter(&mut self, id: RunId, run: Run) {
        self.lives = self.lives.next();
        self.runs.insert(id, Run { life: self.lives, ..run });
    }
}
