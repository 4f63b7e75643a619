//! How a run begins and ends for the kernel: its account, what it is given and what it still holds.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::admission::No;
use super::ledger::AccountId;
use super::{Allowance, Balance, Kernel, Settled, Start, reasons};
use crate::budget::{Account, Amounts, Limits, Resource};
use crate::call::RunId;
use crate::labels::Labels;
use crate::limits::{FUEL_RUN_DEFAULT, MEMORY_DEFAULT_BYTES, RUNS_MAX, WALL_RUN_DEFAULT_MS};
use crate::manifest::Manifest;
use crate::model::Model;
use crate::policy::Grant;
use crate::refusal::Refusal;
use crate::rights::Rights;
use crate::time::Millis;

/// A run, from its start until its last permit is settled.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) agent: String,
    pub(super) manifest: Arc<Manifest>,
    pub(super) wants: Rights,
    /// Its place in the policy; none once a reload took it away.
    pub(super) grant: Option<usize>,
    pub(super) account: AccountId,
    pub(super) allowance: Allowance,
    pub(super) started: Millis,
    /// Those of every answer that it was given.
    pub(super) labels: Labels,
    /// Calls that it made so far, refused ones included.
    pub(super) calls: u32,
    /// Permits that are out and calls that wait.
    pub(super) in_flight: usize,
    pub(super) ended: bool,
}

impl Run {
    pub(super) fn is_gone(&self) -> bool {
        self.ended && self.in_flight == 0
    }
}

impl Kernel {
    /// Starts a run: finds its grant and holds its fuel and its wall time.
    ///
    /// # Errors
    /// A refusal if no grant covers this package, the grant has expired, a day's budget is empty or too much runs.
    #[expect(clippy::result_large_err, reason = "once a run, and it goes to a person whole")]
    pub fn start(&mut self, id: RunId, start: &Start, now: Millis) -> Result<Allowance, Refusal> {
        self.begin(id, start, now).map_err(|mut no| {
            no.agent.clone_from(&start.agent);
            no.wanted = "run".into();
            *no
        })
    }

    /// Ends a run: takes the fuel and the wall time that it used, gives back the rest, and takes its calls out of all
    /// queues. Permits that are still out are settled as they come in, and then nothing of the run is held.
    pub fn finish(&mut self, id: RunId, used: Amounts, now: Millis) -> Settled {
        let mut spent = Amounts::ZERO;
        for resource in [Resource::Fuel, Resource::WallTime] {
            spent[resource] = used[resource];
        }
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.ended) else {
            return Settled { spent: Amounts::ZERO, overrun: Amounts::ZERO, gained: Labels::NONE, ready: Vec::new() };
        };
        run.ended = true;
        let held = run.allowance.held();
        let account = run.account;
        let waits = run.in_flight > 0;
        let taken = self.ledger.settle(account, &held, &spent, now);
        if waits {
            for ticket in self.slots.tickets_of(id) {
                self.withdraw(ticket, now);
            }
        }
        if self.runs.get(&id).is_some_and(Run::is_gone) {
            self.ledger.close(account);
            self.runs.remove(&id);
        }
        Settled { spent: taken, overrun: spent.minus(taken), gained: Labels::NONE, ready: Vec::new() }
    }

    /// Every limit that binds a run; none if there is no such run.
    pub fn balances(&mut self, id: RunId, now: Millis) -> Vec<Balance> {
        let Some(run) = self.runs.get(&id) else { return Vec::new() };
        let mut balances = Vec::new();
        let given = [
            (Resource::Fuel, run.allowance.fuel, run.allowance.fuel),
            (Resource::WallTime, run.allowance.wall_ms, run.allowance.wall_ms.saturating_sub(now.since(run.started))),
            (Resource::Memory, run.allowance.memory_bytes, run.allowance.memory_bytes),
        ];
        balances.extend(given.map(|(what, limit, left)| Balance { what, left, limit, refills_in_s: None }));
        let chain = [Some(run.account), self.agents.get(&run.agent).copied()];
        for id in chain.into_iter().flatten() {
            self.ledger.account_mut(id).refill(now);
            let (account, limits) = (self.ledger.account(id), self.ledger.limits(id));
            let refills_in_s = account.refills_in_s(now);
            for what in Resource::ALL {
                let given = refills_in_s.is_none() && given.iter().any(|(resource, ..)| *resource == what);
                if let (Some(limit), false) = (limits.get(what), given) {
                    let left = account.left(limits, what).unwrap_or(limit);
                    balances.push(Balance { what, left, limit, refills_in_s });
                }
            }
        }
        balances
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

    fn begin(&mut self, id: RunId, start: &Start, now: Millis) -> Result<Allowance, No> {
        if self.runs.len() >= RUNS_MAX {
            return Err(reasons::busy("as many agents run as this host can hold", "wait for one of them to end"));
        }
        if self.runs.contains_key(&id) {
            return Err(reasons::busy("a run of this id is not over yet", "start it with another id"));
        }
        let policy = Arc::clone(&self.policy);
        let found = policy.find(&start.agent, &start.manifest);
        let Some(grant) = found.and_then(|found| policy.grants.get(found)) else {
            return Err(reasons::no_grant(&policy, &start.agent, &start.manifest));
        };
        if grant.expires.is_some_and(|end| now >= end) {
            return Err(reasons::expired(grant));
        }
        let agent = self.agent(&start.agent, grant, now);
        let allowance = self.allowance(agent, grant, now)?;
        let limits = limits_of_run(grant, &allowance);
        let account = self.ledger.open(Some(agent), Account::default(), limits);
        let held = allowance.held();
        if let Err(lack) = self.ledger.hold(account, &held, now) {
            self.ledger.close(account);
            return Err(reasons::exhausted(grant, &lack, &held));
        }
        let run = Run {
            agent: start.agent.clone(),
            manifest: Arc::clone(&start.manifest),
            wants: start.manifest.rights(),
            grant: found,
            account,
            allowance,
            started: now,
            labels: Labels::NONE,
            calls: 0,
            in_flight: 0,
            ended: false,
        };
        self.runs.insert(id, run);
        Ok(allowance)
    }

    /// The agent's account of the day, opened at its first run.
    fn agent(&mut self, name: &str, grant: &Grant, now: Millis) -> AccountId {
        let id = match self.agents.get(name) {
            Some(id) => *id,
            None => {
                let id = self.ledger.open(None, Account::daily(now), grant.day);
                self.agents.insert(name.into(), id);
                id
            }
        };
        self.ledger.set_limits(id, grant.day);
        self.ledger.account_mut(id).day.get_or_insert(now.day());
        id
    }

    /// What a run is given: its own limits, or what is left of the day where that is less.
    fn allowance(&mut self, agent: AccountId, grant: &Grant, now: Millis) -> Result<Allowance, No> {
        let mut given = |what: Resource, default: u64| {
            let limit = grant.run.get(what).unwrap_or(default);
            let given = self.ledger.left(agent, what, now).map_or(limit, |left| left.min(limit));
            if given > 0 {
                return Ok(given);
            }
            let refills_in_s = if limit == 0 { None } else { self.ledger.account(agent).refills_in_s(now) };
            Err(reasons::empty(grant, what, refills_in_s))
        };
        Ok(Allowance {
            fuel: given(Resource::Fuel, FUEL_RUN_DEFAULT)?,
            wall_ms: given(Resource::WallTime, WALL_RUN_DEFAULT_MS)?,
            memory_bytes: grant.run.get(Resource::Memory).unwrap_or(MEMORY_DEFAULT_BYTES),
        })
    }
}

impl Allowance {
    /// Fuel and wall time, as they are held from start to finish. Memory is a cap and never used up.
    pub fn held(&self) -> Amounts {
        Amounts::of(Resource::Fuel, self.fuel).with(Resource::WallTime, self.wall_ms)
    }
}

/// A run's limits: its grant's, but of fuel and wall time no more than it was given.
pub(super) fn limits_of_run(grant: &Grant, allowance: &Allowance) -> Limits {
    grant.run.with(Resource::Fuel, allowance.fuel).with(Resource::WallTime, allowance.wall_ms)
}
