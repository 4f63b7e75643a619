//! How a run begins and ends for the kernel: its account, what it is given and what it still holds.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::admission::No;
use super::basis::Bases;
use super::ledger::AccountId;
use super::{Balance, Consequences, Kernel, Settled, Share, Start, reasons};
use crate::budget::Allowance;
use crate::budget::{Amounts, Limits, Period, Resource};
use crate::call::RunId;
use crate::labels::Labels;
use crate::limits::{
    FUEL_RUN_DEFAULT, MEMORY_DEFAULT_BYTES, RUNS_MAX, SHARED_PARTS, WALL_RUN_DEFAULT_MS, WRITTEN_RUN_DEFAULT_BYTES,
};
use crate::manifest::Manifest;
use crate::model::Model;
use crate::pattern::name_fits;
use crate::policy::{Grant, Policy};
use crate::publisher::PublisherKey;
use crate::refusal::Refusal;
use crate::rights::Rights;
use crate::time::Millis;
use crate::tool::Tool;

/// One stay of a run in a kernel: from its start, or from where it goes on, until it ends or leaves. A run that leaves and goes on keeps its id,
/// and what was permitted before is worth nothing to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life(u64);

impl Life {
    pub(super) fn next(self) -> Self {
        // A billion a second would take five centuries.
        Self(self.0 + 1)
    }
}

/// A run, from its start until its last permit is settled.
#[derive(Debug)]
pub(super) struct Run {
    /// Which of its lives this is; set as it enters.
    pub(super) life: Life,
    pub(super) agent: String,
    pub(super) manifest: Arc<Manifest>,
    pub(super) signer: Option<PublisherKey>,
    pub(super) wants: Rights,
    /// Its place in the policy; none once a reload took it away.
    pub(super) grant: Option<usize>,
    pub(super) account: AccountId,
    /// The agent on whose books it draws: its own, or for a child the one of the run at the top.
    pub(super) payer: String,
    /// The run that set aside what it has, if it is a child.
    pub(super) parent: Option<RunId>,
    /// In which of its lives it did.
    pub(super) parent_life: Life,
    /// Shares of it that are out: children, and what is set aside for those that have not started.
    pub(super) shares: usize,
    /// Of the run at the top: those of all runs in its tree.
    pub(super) tree: usize,
    /// What its parent set aside.
    pub(super) share: Limits,
    pub(super) allowance: Allowance,
    /// Fuel that it has given to children, out of its allowance.
    pub(super) fuel_given: u64,
    /// Of that, what an earlier host gave away for calls that are made again: they take no other.
    pub(super) fuel_given_again: u64,
    pub(super) started: Millis,
    /// Those of every answer that it was given.
    pub(super) labels: Labels,
    /// Calls that it made so far, refused ones included.
    pub(super) calls: u32,
    /// Permits that are out and calls that wait.
    pub(super) in_flight: usize,
    pub(super) ended: bool,
    /// What its decisions rested on, as its journal names it.
    pub(super) bases: Bases,
    /// Somebody can be asked on its behalf.
    pub(super) attended: bool,
}

impl Run {
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.in_flight == 0 && self.shares == 0
    }

    /// Adds labels; those that are new to it.
    pub(super) fn gain(&mut self, labels: &Labels) -> Labels {
        if self.labels.has_all(labels) {
            return Labels::NONE;
        }
        let before = core::mem::take(&mut self.labels);
        self.labels = before.and(labels);
        self.labels.without(&before)
    }

    /// Its limits: the tighter of its grant's, the site's and its share; of fuel and wall time what it was given.
    pub(super) fn limits(&self, policy: &Policy, grant: &Grant) -> Limits {
        let given =
            Limits::NONE.with(Resource::Fuel, self.allowance.fuel).with(Resource::WallTime, self.allowance.wall_ms);
        let limits = grant.budget.run.tighter(policy.budget.run).tighter(self.share).tighter(given);
        limits.or(Resource::Written, WRITTEN_RUN_DEFAULT_BYTES)
    }

    /// What a child of it gets at most of what does not divide: it is over with its parent.
    fn left_to_live(&self, now: Millis) -> Limits {
        let wall_ms = self.allowance.wall_ms.saturating_sub(now.since(self.started));
        Limits::NONE.with(Resource::WallTime, wall_ms).with(Resource::Memory, self.allowance.memory_bytes)
    }

    /// What it holds from start to finish.
    pub(super) fn held(&self) -> Amounts {
        let held = self.allowance.held();
        held.minus(Amounts::of(Resource::Fuel, self.fuel_given))
    }
}

impl Kernel {
    /// Starts a run: finds its grant and holds its fuel and its wall time.
    ///
    /// # Errors
    /// A refusal if no grant covers this package, the grant has expired, a day's budget is empty or too much runs.
    pub fn start(&mut self, id: RunId, start: &Start, now: Millis) -> (Result<Allowance, Refusal>, Consequences) {
        let begun = self.begin(id, start, None, now).map_err(|no| worded(no, start));
        (begun, self.follows())
    }

    /// Starts a run below another one, on the part of its budget that was set aside: it never has more. A share whose
    /// child does not start goes back.
    ///
    /// # Errors
    /// As [`Kernel::start`]; and if the share or what its run still has does not hold what the child needs to start.
    pub fn start_child(
        &mut self,
        id: RunId,
        start: &Start,
        share: Share,
        now: Millis,
    ) -> (Result<Allowance, Refusal>, Consequences) {
        let begun = self.begin(id, start, Some(&share), now).map_err(|no| worded(no, start));
        if begun.is_err() {
            self.put_back_share(share);
        }
        (begun, self.follows())
    }

    /// Ends a run: takes the fuel and the wall time that it used and the bytes of its end, gives back the rest, and takes its calls out of all
    /// queues. Permits that are still out are settled as they come in, and then nothing of the run is held.
    pub fn finish(&mut self, id: RunId, used: Amounts, now: Millis) -> (Settled, Consequences) {
        let mut spent = Amounts::ZERO;
        for resource in [Resource::Fuel, Resource::WallTime, Resource::Written] {
            spent[resource] = used[resource];
        }
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.ended) else {
            return (Settled::NOTHING, self.follows());
        };
        run.ended = true;
        let held = run.held();
        let account = run.account;
        let waits = run.in_flight > 0;
        let taken = self.ledger.settle(account, &held, &spent, now);
        if waits {
            for ticket in self.slots.tickets_of(id) {
                self.take_out(ticket, now);
            }
            self.forgo_all(id, now);
        }
        self.forget(id);
        self.follows.books = true;
        let settled = Settled { spent: taken, overrun: spent.minus(taken), ..Settled::NOTHING };
        (settled, self.follows())
    }

    /// Every limit that binds a run; none if there is no such run. What is left of its own it is told exactly, of what it shares with others
    /// in twentieths, rounded down: by an exact one, what another run does could be told from here.
    pub fn balances(&mut self, id: RunId, now: Millis) -> Vec<Balance> {
        let Some(run) = self.runs.get(&id) else { return Vec::new() };
        let mut balances = Vec::new();
        let given = [
            (Resource::Fuel, run.allowance.fuel, run.allowance.fuel),
            (Resource::WallTime, run.allowance.wall_ms, run.allowance.wall_ms.saturating_sub(now.since(run.started))),
            (Resource::Memory, run.allowance.memory_bytes, run.allowance.memory_bytes),
        ];
        balances.extend(given.map(|(what, limit, left)| Balance { what, left, limit, refills_in_s: None }));
        let own = run.account;
        let mut next = Some(own);
        while let Some(id) = next {
            self.ledger.refill(id, now);
            let (account, limits) = (self.ledger.account(id), self.ledger.limits(id));
            for what in Resource::ALL {
                let refills_in_s = account.refills_in_s(now).filter(|_| !what.is_level());
                let given = account.period == Period::Ever && given.iter().any(|(resource, ..)| *resource == what);
                if let (Some(limit), Some(left), false) =
                    (account.limit(limits, what), account.left(limits, what), given || what == Resource::Written)
                {
                    let left = if id == own { left } else { coarse(left, limit) };
                    balances.push(Balance { what, left, limit, refills_in_s });
                }
            }
            next = self.ledger.above(id);
        }
        balances
    }

    /// The agent on whose books a run draws: its own, or for a child the one of the run at the top.
    pub fn payer(&self, id: RunId) -> Option<&str> {
        self.runs.get(&id).map(|run| run.payer.as_str())
    }

    /// The models that a run may ask: those that its package asks for and its grant gives, by alias.
    pub fn models(&self, id: RunId) -> Vec<&Model> {
        let Some(run) = self.runs.get(&id).filter(|run| !run.ended) else { return Vec::new() };
        let grant = run.grant.and_then(|grant| self.policy.grants.get(grant));
        let (Some(wanted), Some(right)) = (&run.wants.llm, grant.and_then(|grant| grant.rights.llm.as_ref())) else {
            return Vec::new();
        };
        self.slots.models().filter(|model| wanted.allows(&model.alias) && right.allows(&model.alias)).collect()
    }

    /// The tools that a run may call: those of the registry that its package asks for and its grant gives, by name.
    pub fn tools(&self, id: RunId) -> Vec<&Tool> {
        let Some(run) = self.runs.get(&id).filter(|run| !run.ended) else { return Vec::new() };
        let Some(grant) = run.grant.and_then(|grant| self.policy.grants.get(grant)) else { return Vec::new() };
        let fits = |rights: &Rights, tool: &Tool| rights.tools.iter().any(|right| name_fits(&right.tool, &tool.name));
        self.tools.iter().filter(|tool| fits(&run.wants, tool) && fits(&grant.rights, tool)).collect()
    }

    pub(super) fn begin(
        &mut self,
        id: RunId,
        start: &Start,
        share: Option<&Share>,
        now: Millis,
    ) -> Result<Allowance, No> {
        let (mut run, policy) = self.newcomer(id, start, share, now)?;
        let account = run.account;
        let equipped = match run.grant.and_then(|grant| policy.grants.get(grant)) {
            Some(grant) => self.equip(&mut run, grant, now),
            None => Err(reasons::no_grant(&policy, start)),
        };
        if let Err(no) = equipped {
            if share.is_none() {
                self.ledger.close(account);
            }
            return Err(no);
        }
        let allowance = run.allowance;
        self.enter(id, run);
        self.follows.books = true;
        Ok(allowance)
    }

    /// A run that may be here, with an account of its own or of its share, and nothing yet.
    pub(super) fn newcomer(
        &mut self,
        id: RunId,
        start: &Start,
        share: Option<&Share>,
        now: Millis,
    ) -> Result<(Run, Arc<Policy>), No> {
        if self.runs.len() >= RUNS_MAX {
            return Err(reasons::busy("as many agents run as this host can hold", "wait for one of them to end"));
        }
        if let Some(lock) = &self.lock {
            return Err(reasons::locked(lock));
        }
        if self.runs.contains_key(&id) {
            return Err(reasons::busy("a run of this id is not over yet", "start it with another id"));
        }
        let policy = Arc::clone(&self.policy);
        let found = policy.find(&start.agent, &start.manifest, start.signer);
        let Some(grant) = found.and_then(|found| policy.grants.get(found)) else {
            return Err(reasons::no_grant(&policy, start));
        };
        if grant.expires.is_some_and(|end| now >= end) {
            return Err(reasons::expired(grant));
        }
        let (above, limits) = match share {
            Some(share) => {
                let above = self.runs.get(&share.run).filter(|above| !above.ended && above.life == share.life);
                let Some(above) = above else {
                    return Err(reasons::ended("the run that set this aside is over"));
                };
                // What a parent was told may stand in what it asks its child.
                let above_it = (share.run, above.payer.clone(), above.labels.clone(), above.attended);
                (Some(above_it), share.limits.tighter(above.left_to_live(now)))
            }
            None => (None, Limits::NONE),
        };
        let account = match share {
            Some(share) => share.account,
            None => {
                let books = self.agent(&start.agent);
                self.ledger.open(books, Limits::NONE)
            }
        };
        let run = Run {
            life: Life::default(),
            agent: start.agent.clone(),
            manifest: Arc::clone(&start.manifest),
            signer: start.signer,
            wants: start.manifest.rights(),
            grant: found,
            account,
            payer: above.as_ref().map_or(&start.agent, |(_, payer, ..)| payer).clone(),
            parent: above.as_ref().map(|(parent, ..)| *parent),
            parent_life: share.map_or(Life::default(), |share| share.life),
            shares: 0,
            tree: 0,
            share: limits,
            allowance: Allowance::NOTHING,
            fuel_given: 0,
            fuel_given_again: 0,
            started: now,
            attended: above.as_ref().is_some_and(|(.., attended)| *attended),
            labels: above.map_or(Labels::NONE, |(_, _, labels, _)| labels),
            calls: 0,
            in_flight: 0,
            ended: false,
            bases: Bases::default(),
        };
        Ok((run, policy))
    }

    /// Gives a run its fuel, wall time and memory, and holds the first two on all its accounts: its own limits, or what
    /// is left above where that is less.
    fn equip(&mut self, run: &mut Run, grant: &Grant, now: Millis) -> Result<(), No> {
        let policy = Arc::clone(&self.policy);
        let limits = grant.budget.run.tighter(policy.budget.run).tighter(run.share);
        self.ledger.set_limits(run.account, limits);
        let mut given = |what: Resource, default: u64| {
            let limit = limits.get(what).unwrap_or(default);
            let given = self.ledger.left(run.account, what, now).map_or(limit, |left| left.min(limit));
            if given > 0 {
                return Ok(given);
            }
            let one = Amounts::of(what, 1);
            let lack = self.ledger.lack(run.account, &one, now);
            Err(lack.map_or_else(
                || reasons::ended("nothing is given to this run"),
                |lack| reasons::exhausted(reasons::budget_of(&policy, &run.payer, grant, &lack), &lack, &one),
            ))
        };
        run.allowance = Allowance {
            fuel: given(Resource::Fuel, FUEL_RUN_DEFAULT)?,
            wall_ms: given(Resource::WallTime, WALL_RUN_DEFAULT_MS)?,
            memory_bytes: limits.get(Resource::Memory).unwrap_or(MEMORY_DEFAULT_BYTES),
        };
        self.ledger.set_limits(run.account, run.limits(&policy, grant));
        let held = run.allowance.held();
        self.ledger
            .hold(run.account, &held, now)
            .map_err(|lack| reasons::exhausted(reasons::budget_of(&policy, &run.payer, grant, &lack), &lack, &held))
    }

    /// Forgets a run that is over and of which nothing is out, and then perhaps the run above it.
    pub(super) fn forget(&mut self, id: RunId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(run) = self.runs.get(&id).filter(|run| run.is_gone()) else { return };
            let life = run.parent_life;
            (next, _) = (run.parent, self.ledger.close(run.account));
            self.runs.remove(&id);
            if let Some(above) = next {
                self.detach(above, life);
            }
        }
    }
}

/// In twentieths of the limit, rounded down.
fn coarse(left: u64, limit: u64) -> u64 {
    let step = limit.div_ceil(SHARED_PARTS).max(1);
    left / step * step
}

impl Allowance {
    /// Fuel and wall time, as they are held from start to finish. Memory is a cap and never used up.
    pub fn held(&self) -> Amounts {
        Amounts::of(Resource::Fuel, self.fuel).with(Resource::WallTime, self.wall_ms)
    }
}

pub(super) fn worded(mut no: No, start: &Start) -> Refusal {
    no.agent.clone_from(&start.agent);
    no.wanted = "run".into();
    *no
}
