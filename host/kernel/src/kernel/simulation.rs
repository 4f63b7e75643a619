//! The kernel under thousands of seeds: runs and their children start, ask, keep, wait, cancel, overspend, end and crash, while
//! minutes and days pass, clocks go forward and back and policies change. After every step no account stands above its
//! limit, nothing is lost or made twice, and a host that died there would leave accounts that are right.
//!
//! `AGENTRY_SIMULATION_SEEDS` sets how many seeds; a failure names its seed and `AGENTRY_SIMULATION_FIRST` begins there.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::oracle::{Oracle, Whose, books, owners};
pub(super) use self::zoo::Random;
use self::zoo::{AGENTS, manifest, models, policy, tools};
use super::ledger::AccountId;
use super::tracked::Tracked as Kernel;
use super::{Answer, Permit, Ready, Settled, Share, Start, Ticket};
use crate::budget::{Amounts, Books, Limits, Resource};
use crate::call::{Call, CallId, Class, Completion, RunId};
use crate::digest::Digest;
use crate::time::Millis;

mod lives;
mod oracle;
mod people;
mod zoo;

const STEPS: usize = 150;
const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 60 * 60 * SECOND_MS;
const ROWS: u64 = 6;

struct Scenario {
    random: Random,
    now: Millis,
    kernel: Kernel,
    runs: Vec<RunId>,
    shares: Vec<Share>,
    permits: Vec<Given>,
    waiting: BTreeSet<Ticket>,
    asking: Vec<people::Asking>,
    made: BTreeSet<(RunId, CallId)>,
    last: u32,
    oracle: Oracle,
}

/// A permit that is out.
struct Given {
    permit: Permit,
    /// True once its intent is durable and its effect may have happened.
    begun: bool,
    /// The entry that it writes and the size of it, if that is what it is for.
    row: Option<(u64, u64)>,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now: Millis(1_000 * 24 * HOUR_MS),
            kernel: Kernel::new(policy(0), models(), tools()),
            runs: Vec::new(),
            shares: Vec::new(),
            permits: Vec::new(),
            waiting: BTreeSet::new(),
            asking: Vec::new(),
            made: BTreeSet::new(),
            last: 0,
            oracle: Oracle::default(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..8 => self.start(),
            8..13 => self.split(),
            13..17 => self.start_child(),
            17..45 => self.admit(),
            45..53 => self.put(),
            53..55 => self.delete(),
            55..60 => self.begin(),
            60..72 => self.settle(),
            72..74 => self.give_back(),
            74..78 => self.answer(),
            78..81 => self.withdraw(),
            81..86 => self.finish(),
            86..88 => self.flush(),
            88..91 => self.now = self.now.plus(self.random.below(90 * SECOND_MS)),
            91..93 => self.now = self.now.plus(self.random.below(30 * HOUR_MS)),
            93..95 => self.now = Millis(self.now.0 - self.random.below(30 * HOUR_MS)),
            95..98 => self.kernel.reload(policy(self.random.below(3))),
            98 => self.crash(),
            _ => self.now = self.now.plus(self.random.below(SECOND_MS)),
        }
        self.check();
    }

    fn id(&mut self) -> RunId {
        self.last += 1;
        RunId(u64::from(self.last))
    }

    fn start(&mut self) {
        let (id, agent) = (self.id(), self.random.agent());
        if self
            .kernel
            .start(id, &Start { agent: agent.into(), manifest: manifest(agent), signer: None }, self.now)
            .is_ok()
        {
            if self.random.below(2) == 0 {
                self.kernel.attend(id);
            }
            self.runs.push(id);
        }
    }

    fn split(&mut self) {
        let Some(run) = self.pick_run() else { return };
        let mut share = Limits::NONE.with(Resource::Fuel, self.random.below(600));
        for (what, most) in
            [(Resource::Usd, 40_000), (Resource::Tokens, 3000), (Resource::ToolCalls, 3), (Resource::WallTime, 40_000)]
        {
            if self.random.below(2) == 0 {
                share = share.with(what, self.random.below(most));
            }
        }
        let before = self.held_of(run);
        match self.kernel.split(run, share, self.random.below(1200), self.now) {
            Ok(share) => self.shares.push(share),
            Err(no) => assert_eq!(before, self.held_of(run), "what is refused sets nothing aside: {no}"),
        }
    }

    fn start_child(&mut self) {
        let Some(at) = self.random.pick(self.shares.len()) else { return };
        let share = self.shares.swap_remove(at);
        if self.random.below(4) == 0 {
            return self.kernel.dissolve(share);
        }
        let (id, agent, above) = (self.id(), self.random.agent(), share.run);
        let start = Start { agent: agent.into(), manifest: manifest(agent), signer: None };
        if let Ok(child) = self.kernel.start_child(id, &start, share, self.now) {
            let parent = self.kernel.runs.get(&above).expect("a parent stays while it has children").allowance;
            assert!(child.fuel <= parent.fuel && child.wall_ms <= parent.wall_ms);
            assert!(child.memory_bytes <= parent.memory_bytes);
            self.runs.push(id);
        }
    }

    fn ask(&mut self) -> Call {
        if self.random.below(5) == 0 {
            return Call::ToolsCall { name: "t".into(), arguments: Digest::default(), value: Arc::default() };
        }
        let model = ["cloud", "cloud", "local", "unpriced", "nowhere"][self.random.below(5) as usize];
        let huge = self.random.below(50) == 0;
        Call::LlmComplete(Completion {
            model: model.into(),
            messages: Vec::new(),
            settings: Digest::default(),
            input_tokens_max: if huge { u64::MAX } else { self.random.below(1500) },
            output_tokens_max: (self.random.below(3) > 0).then(|| self.random.below(800)),
            class: [Class::System, Class::Interactive, Class::Normal, Class::Batch][self.random.below(4) as usize],
            local_only: self.random.below(8) == 0,
            microusd_max: (self.random.below(4) == 0).then(|| self.random.below(30_000)),
        })
    }

    fn admit(&mut self) {
        let Some(run) = self.pick_run() else { return };
        let call = self.ask();
        self.call(run, &call, None);
    }

    /// Writes an entry: it takes as much as it is larger than the agent's own one before.
    fn put(&mut self) {
        let Some(run) = self.pick_run() else { return };
        let (row, bytes) = (self.random.below(ROWS), self.random.below(600_000));
        let mine = self.oracle.rows.get(&row).filter(|(author, _)| *author == self.payer(run)).map_or(0, |row| row.1);
        let call = Call::MemoryPut {
            namespace: "n".into(),
            key: "k".into(),
            content: Digest::default(),
            bytes,
            grows: bytes.saturating_sub(mine),
        };
        self.call(run, &call, Some((row, bytes)));
    }

    fn call(&mut self, run: RunId, call: &Call, row: Option<(u64, u64)>) {
        self.last += 1;
        let payer = self.payer(run);
        let before = self.refilled(payer);
        match self.kernel.admit(run, CallId(self.last), call, self.now) {
            Answer::Permit(permit) => self.take(permit, row),
            Answer::Wait(ticket) => assert!(self.waiting.insert(ticket), "a ticket is given once"),
            Answer::Ask(unasked) => self.question(run, unasked, call, row),
            Answer::Refused(no) => {
                assert_eq!(before, self.refilled(payer), "a refusal costs nothing: {no}");
                assert!(no.reference.is_some() && !no.because.is_empty());
            }
        }
    }

    fn delete(&mut self) {
        let row = self.random.below(ROWS);
        if let Some((author, bytes)) = self.oracle.rows.remove(&row) {
            self.flush();
            self.kernel.free(author, &Amounts::of(Resource::Storage, bytes));
        }
    }

    fn take(&mut self, permit: Permit, row: Option<(u64, u64)>) {
        assert!(self.made.insert((permit.run(), permit.call())), "a call gets one permit");
        self.permits.push(Given { permit, begun: false, row });
    }

    fn come(&mut self) {
        for Ready { ticket, permit } in self.kernel.ready() {
            assert!(self.waiting.remove(&ticket), "only who waits gets a turn, and once");
            self.take(permit, None);
        }
    }

    /// An effect begins when what is held for it is durable.
    fn begin(&mut self) {
        if let Some(at) = self.random.pick(self.permits.len()) {
            self.permits[at].begun = true;
            self.flush();
        }
    }

    fn flush(&mut self) {
        let begun = self.permits.iter().filter(|given| given.begun);
        let begun = begun.map(|given| (self.payer(given.permit.run()), *given.permit.held())).collect();
        self.oracle.flush(&self.kernel, begun);
    }

    fn settle(&mut self) {
        let Some(at) = self.random.pick(self.permits.len()) else { return };
        if !self.permits[at].begun {
            self.permits[at].begun = true;
            self.flush();
        }
        let Given { permit, row, .. } = self.permits.swap_remove(at);
        let mut cost = Amounts::ZERO;
        for what in [Resource::Usd, Resource::Tokens] {
            cost[what] = match self.random.below(20) {
                0 => u64::MAX,
                1..4 => permit.held()[what].saturating_mul(2),
                _ => self.random.below(permit.held()[what].saturating_add(1)),
            };
        }
        if let Some((row, bytes)) = row {
            let Some(grown) = self.write(&permit, row, bytes) else { return self.return_permit(permit) };
            cost[Resource::Storage] = grown;
        }
        let (run, held) = (permit.run(), *permit.held());
        let (chain, payer) = (self.chain(run), self.payer(run));
        let Settled { spent, overrun, .. } = self.kernel.settle(permit, cost, self.now);
        for what in [Resource::Usd, Resource::Tokens] {
            assert_eq!(spent[what].checked_add(overrun[what]), Some(cost[what]), "the whole cost is reported");
        }
        cost[Resource::ToolCalls] = held[Resource::ToolCalls];
        cost[Resource::Written] = held[Resource::Written];
        cost[Resource::LlmCalls] =
            cost[Resource::LlmCalls].clamp(held[Resource::LlmCalls].min(1), held[Resource::LlmCalls]);
        self.oracle.settled(&self.kernel, &chain, payer, &cost.min(held));
        self.come();
    }

    /// The entry is written, if it did not change so much meanwhile that more would be kept than is held.
    fn write(&mut self, permit: &Permit, row: u64, bytes: u64) -> Option<u64> {
        let author = self.payer(permit.run());
        let before = self.oracle.rows.get(&row).copied();
        let mine = before.filter(|(of, _)| *of == author).map_or(0, |(_, bytes)| bytes);
        if bytes.saturating_sub(mine) > permit.held()[Resource::Storage] {
            return None;
        }
        self.oracle.rows.insert(row, (author, bytes));
        let freed = |bytes| Amounts::of(Resource::Storage, bytes);
        match before {
            Some((of, bytes)) if of != author => self.kernel.free(of, &freed(bytes)),
            _ => self.kernel.free(author, &freed(mine.saturating_sub(bytes))),
        }
        Some(bytes.saturating_sub(mine))
    }

    fn give_back(&mut self) {
        let Some(at) = self.random.pick(self.permits.len()) else { return };
        if !self.permits[at].begun {
            let permit = self.permits.swap_remove(at).permit;
            self.return_permit(permit);
        }
    }

    fn return_permit(&mut self, permit: Permit) {
        let _ = self.kernel.give_back(permit, self.now);
        self.come();
    }

    fn withdraw(&mut self) {
        let Some(at) = self.random.pick(self.waiting.len()) else { return };
        let ticket = *self.waiting.iter().nth(at).expect("it was picked within");
        self.waiting.remove(&ticket);
        self.kernel.withdraw(ticket, self.now);
        self.come();
    }

    fn finish(&mut self) {
        let Some(at) = self.random.pick(self.runs.len()) else { return };
        let run = self.runs.swap_remove(at);
        for ticket in self.kernel.slots.tickets_of(run) {
            self.waiting.remove(&ticket);
        }
        self.forget_questions(run);
        let used =
            Amounts::of(Resource::Fuel, self.random.below(1500)).with(Resource::WallTime, self.random.below(90_000));
        let _ = self.kernel.finish(run, used, self.now);
        self.come();
    }

    /// The host dies and starts again on what is on disk, and no run goes on.
    fn crash(&mut self) {
        self.kernel = Kernel::new(policy(0), models(), tools());
        self.permits.clear();
        self.shares.clear();
        self.runs.clear();
        self.asking.clear();
        self.waiting.clear();
        self.made.clear();
        for (owner, books) in self.oracle.crash() {
            match owner {
                oracle::SITE => self.kernel.restore_site(books, &Amounts::ZERO),
                agent => self.kernel.restore(agent, books, &Amounts::ZERO),
            }
        }
        self.oracle.restarted(&self.kernel);
    }

    fn check(&mut self) {
        self.kernel.slots.assert_sound();
        self.oracle.check_crash();
        let kernel = &self.kernel;
        self.oracle.forget_runs(|run| kernel.runs.contains_key(&run));
        let mut look = |whose: Whose, id: AccountId| {
            let (account, limits) = (kernel.ledger.account(id), kernel.ledger.limits(id));
            let limit = |what| account.limit(limits, what).unwrap_or(u64::MAX);
            self.oracle.check(whose, account.period, &account.spent, &account.held, limit);
        };
        look(Whose::Minute(oracle::SITE), kernel.site.minute());
        look(Whose::Day(oracle::SITE), kernel.site.day());
        for agent in AGENTS {
            if let Some(id) = kernel.agents.get(agent) {
                look(Whose::Minute(agent), id.minute());
                look(Whose::Day(agent), id.day());
            }
        }
        kernel.runs.iter().for_each(|(id, run)| look(Whose::Run(*id), run.account));
        self.check_leaves();
        self.check_site();
        for owner in owners() {
            let Some(books) = books(&self.kernel, owner) else { continue };
            let held = self.held_by(owner);
            assert_eq!((books.minute.held, books.day.held), (held, held), "all that {owner} holds is for something");
            assert_eq!(books.day.spent[Resource::Storage], self.oracle.kept(owner), "what {owner} keeps is a fact");
        }
    }

    /// What a run holds whose children are gone is for its own calls, and what it has until its end.
    fn check_leaves(&self) {
        for (id, run) in self.kernel.runs.iter().filter(|(_, run)| run.shares == 0) {
            let mine = |run: RunId| run == *id;
            let out = self.permits.iter().filter(|given| mine(given.permit.run())).map(|given| *given.permit.held());
            let given = if run.ended { Amounts::ZERO } else { run.held() };
            let held = out.fold(self.kernel.slots.held_by(mine), Amounts::plus).plus(given);
            assert_eq!(self.kernel.ledger.account(run.account).held, held, "what {id} set aside comes back");
        }
    }

    /// The run and all above it.
    fn chain(&self, run: RunId) -> Vec<RunId> {
        core::iter::successors(Some(run), |run| self.kernel.runs.get(run)?.parent).collect()
    }

    /// On whose books a run draws.
    fn payer(&self, run: RunId) -> &'static str {
        let payer = &self.kernel.runs.get(&run).expect("a run stays while something of it is out").payer;
        AGENTS.into_iter().find(|agent| agent == payer).expect("it is one of the zoo")
    }

    fn pick_run(&mut self) -> Option<RunId> {
        self.random.pick(self.runs.len()).map(|at| self.runs[at])
    }

    fn refilled(&self, agent: &str) -> Option<(Amounts, Amounts, Amounts)> {
        let mut books = self.kernel.books(agent)?;
        books.minute.refill(self.now);
        books.day.refill(self.now);
        Some((books.minute.spent, books.day.spent, books.day.held))
    }

    fn held_of(&self, run: RunId) -> Option<Amounts> {
        Some(self.kernel.ledger.account(self.kernel.runs.get(&run)?.account).held)
    }

    fn held_by(&self, owner: &str) -> Amounts {
        let theirs =
            |run: RunId| owner == oracle::SITE || self.kernel.runs.get(&run).is_some_and(|run| run.payer == owner);
        let out = self.permits.iter().filter(|given| theirs(given.permit.run())).map(|given| *given.permit.held());
        let running = self.kernel.runs.iter().filter(|(id, run)| theirs(**id) && !run.ended);
        let all = out.chain(running.map(|(_, run)| run.held()));
        all.fold(self.kernel.slots.held_by(theirs), Amounts::plus)
    }

    /// Lets everything come to its end; then nobody waits and nothing is held.
    fn end(&mut self) {
        while !self.permits.is_empty() {
            self.settle();
            self.check();
        }
        assert!(self.waiting.is_empty(), "nobody waits for ever");
        while !self.runs.is_empty() {
            self.finish();
            self.check();
        }
        while let Some(share) = self.shares.pop() {
            self.kernel.dissolve(share);
        }
        assert!(self.kernel.runs.is_empty(), "a run that ended is forgotten");
        for owner in owners() {
            assert!(books(&self.kernel, owner).is_none_or(|books| books.day.held.is_zero()), "all is given back");
        }
        assert_eq!(self.oracle.overspent, 0);
    }
}

/// Runs a simulation under so many seeds, unless somebody wants others.
fn each_seed(many: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("AGENTRY_SIMULATION_FIRST").unwrap_or(0);
    for seed in first..first + number("AGENTRY_SIMULATION_SEEDS").unwrap_or(many) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "AGENTRY_SIMULATION_FIRST={seed} shows it again");
    }
}

#[test]
fn no_interleaving_brings_an_account_above_its_limit() {
    each_seed(2000, |seed| {
        let mut scenario = Scenario::new(seed);
        (0..STEPS).for_each(|_| scenario.step());
        scenario.end();
    });
}
