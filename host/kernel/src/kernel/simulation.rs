//! The kernel under thousands of seeds: runs that start, ask, wait, cancel, overspend, end and crash, while days pass, clocks
//! go back and policies change. After every step no account stands above its limit and nothing is lost or made twice.
//!
//! `AGENTRY_SIMULATION_SEEDS` sets how many seeds; a failure names its seed and `AGENTRY_SIMULATION_FIRST` begins there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Answer, Kernel, Permit, Ready, Settled, Start, Ticket};
use crate::budget::{Account, Amounts, Resource};
use crate::call::{Call, CallId, Class, Completion, RunId};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::model::{Model, Price};
use crate::policy::{Policy, Source};
use crate::time::Millis;
use crate::tool::Tool;

const AGENTS: [&str; 3] = ["ant", "bee", "cat"];
const STEPS: usize = 150;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// SplitMix64, by Steele, Lea and Flood (OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn pick(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len as u64) as usize)
    }
}

struct World {
    random: Random,
    now: Millis,
    kernel: Kernel,
    runs: Vec<RunId>,
    agent_of: BTreeMap<RunId, &'static str>,
    permits: Vec<Permit>,
    waiting: BTreeSet<Ticket>,
    made: BTreeSet<(RunId, CallId)>,
    last: u32,
    /// What each account had spent and held after the last step.
    sums: BTreeMap<String, Amounts>,
}

/// Policies that a reload chooses from: usual, tight, and one in which an agent has no right at all.
fn policy(kind: u64) -> Arc<Policy> {
    let (run, day) = if kind == 1 { ("0.02", "0.05") } else { ("0.10", "0.30") };
    let grants: Vec<_> = AGENTS.iter().skip(usize::from(kind == 2)).map(|agent| {
        let text = format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nllm = {{ models = [\"*\"], class = \"interactive\" }}\n\
             allow = [{{ id = \"a/b\", tool = \"*\" }}]\n[budget]\nusd_run = \"{run}\"\nusd_day = \"{day}\"\n\
             tokens_run = 4000\ntokens_day = 9000\nllm_calls_day = 40\ntool_calls_run = 5\nfuel_run = 1000\n\
             fuel_day = 2500\nwall_run = \"60s\"\nwall_day = \"150s\"\n"
        );
        (format!("{agent}.toml"), text)
    }).collect();
    let sources: Vec<_> = grants.iter().map(|(file, text)| Source { file, text }).collect();
    Arc::new(Policy::parse(&sources, Digest::default()).expect("the policy of the simulation is whole"))
}

fn tools() -> Vec<Tool> {
    vec![Tool { name: "t".into(), ..Tool::default() }]
}

fn models() -> Vec<Model> {
    let price = Price { input: 3_000_000, output: 15_000_000, ..Price::default() };
    let cloud = Model {
        alias: "cloud".into(),
        price: Some(price),
        context_tokens: 8000,
        output_tokens_max: 1000,
        slots: 2,
        local: false,
    };
    let local = Model { alias: "local".into(), price: None, slots: 1, local: true, ..cloud.clone() };
    let unpriced = Model { alias: "unpriced".into(), price: None, ..cloud.clone() };
    vec![cloud, local, unpriced]
}

fn manifest(agent: &str) -> Arc<Manifest> {
    let text = format!(
        "format = 1\nname = \"zoo:{agent}\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n\
         [wants]\nllm = {{ models = [\"*\"], why = \"w\" }}\ntools = [{{ tool = \"*\", why = \"w\" }}]\n"
    );
    Arc::new(Manifest::parse_toml(&text).expect("the manifest of the simulation is whole"))
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now: Millis(1_000 * 24 * HOUR_MS),
            kernel: Kernel::new(policy(0), models(), tools()),
            runs: Vec::new(),
            agent_of: BTreeMap::new(),
            permits: Vec::new(),
            waiting: BTreeSet::new(),
            made: BTreeSet::new(),
            last: 0,
            sums: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..10 => self.start(),
            10..50 => self.admit(),
            50..70 => self.settle(),
            70..76 => self.give_back(),
            76..84 => self.withdraw(),
            84..90 => self.finish(),
            90..93 => self.now = Millis(self.now.0 + self.random.below(30 * HOUR_MS)),
            93..95 => self.now = Millis(self.now.0 - self.random.below(30 * HOUR_MS)),
            95..98 => self.reload(),
            98 => self.crash(),
            _ => self.now = Millis(self.now.0 + self.random.below(1000)),
        }
        self.check();
    }

    fn start(&mut self) {
        let agent = AGENTS[self.random.below(AGENTS.len() as u64) as usize];
        self.last += 1;
        let id = RunId(u64::from(self.last));
        if self.kernel.start(id, &Start { agent: agent.into(), manifest: manifest(agent) }, self.now).is_ok() {
            self.runs.push(id);
            self.agent_of.insert(id, agent);
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
        let Some(run) = self.random.pick(self.runs.len()).map(|at| self.runs[at]) else { return };
        let call = self.ask();
        self.last += 1;
        let before = self.refilled(self.agent_of[&run]);
        match self.kernel.admit(run, CallId(self.last), &call, self.now) {
            Answer::Permit(permit) => self.take(permit),
            Answer::Wait(ticket) => assert!(self.waiting.insert(ticket), "a ticket is given once"),
            Answer::Ask(_) => panic!("no rule of these policies asks people"),
            Answer::Refused(no) => {
                assert_eq!(before, self.refilled(self.agent_of[&run]), "a refusal costs nothing: {no}");
                assert!(no.reference.is_some() && !no.because.is_empty());
            }
        }
    }

    fn refilled(&self, agent: &str) -> Option<Account> {
        let mut account = *self.kernel.account(agent)?;
        account.refill(self.now);
        Some(account)
    }

    fn take(&mut self, permit: Permit) {
        assert!(self.made.insert((permit.run(), permit.call())), "a call gets one permit");
        self.permits.push(permit);
    }

    fn come(&mut self, ready: Vec<Ready>) {
        for Ready { ticket, permit } in ready {
            assert!(self.waiting.remove(&ticket), "only who waits gets a turn, and once");
            self.take(permit);
        }
    }

    fn settle(&mut self) {
        let Some(at) = self.random.pick(self.permits.len()) else { return };
        let permit = self.permits.swap_remove(at);
        let mut cost = Amounts::ZERO;
        for what in [Resource::Usd, Resource::Tokens] {
            cost[what] = match self.random.below(20) {
                0 => u64::MAX,
                1..4 => permit.held()[what].saturating_mul(2),
                _ => self.random.below(permit.held()[what].saturating_add(1)),
            };
        }
        let Settled { spent, overrun, ready, .. } = self.kernel.settle(permit, cost, self.now);
        for what in [Resource::Usd, Resource::Tokens] {
            assert_eq!(spent[what].checked_add(overrun[what]), Some(cost[what]), "the whole cost is reported");
        }
        self.come(ready);
    }

    fn give_back(&mut self) {
        let Some(at) = self.random.pick(self.permits.len()) else { return };
        let permit = self.permits.swap_remove(at);
        let ready = self.kernel.give_back(permit, self.now).ready;
        self.come(ready);
    }

    fn withdraw(&mut self) {
        let Some(at) = self.random.pick(self.waiting.len()) else { return };
        let ticket = *self.waiting.iter().nth(at).expect("it was picked within");
        self.waiting.remove(&ticket);
        let ready = self.kernel.withdraw(ticket, self.now);
        self.come(ready);
    }

    fn finish(&mut self) {
        let Some(at) = self.random.pick(self.runs.len()) else { return };
        let run = self.runs.swap_remove(at);
        for ticket in self.kernel.slots.tickets_of(run) {
            self.waiting.remove(&ticket);
        }
        let used =
            Amounts::of(Resource::Fuel, self.random.below(1500)).with(Resource::WallTime, self.random.below(90_000));
        let ready = self.kernel.finish(run, used, self.now).ready;
        self.come(ready);
    }

    fn reload(&mut self) {
        let kind = self.random.below(3);
        self.kernel.reload(policy(kind));
    }

    /// The host dies and starts again: what was held is gone, and no run goes on.
    fn crash(&mut self) {
        let old = core::mem::replace(&mut self.kernel, Kernel::new(policy(0), models(), tools()));
        self.permits.clear();
        self.runs.clear();
        self.waiting.clear();
        self.made.clear();
        for agent in AGENTS {
            let (Some(account), Some(books)) = (old.account(agent), old.books(agent)) else { continue };
            self.kernel.restore(agent, books);
            let now = self.kernel.account(agent).expect("it was restored");
            assert_eq!(
                (now.spent, now.held),
                (account.spent.plus(account.held), Amounts::ZERO),
                "a crash refunds nothing"
            );
        }
        self.sums.retain(|name, _| AGENTS.contains(&name.as_str()));
    }

    fn check(&mut self) {
        self.kernel.slots.assert_sound();
        let agents = self.kernel.agents.iter().map(|(name, id)| (name.clone(), id.day()));
        let runs = self.kernel.runs.iter().map(|(id, run)| (id.to_string(), run.account));
        for (name, id) in agents.chain(runs) {
            let (account, limits) = (self.kernel.ledger.account(id), self.kernel.ledger.limits(id));
            let before = self.sums.get(&name).copied().unwrap_or_default();
            let mut sums = Amounts::ZERO;
            for what in Resource::ALL {
                sums[what] = account.spent[what].checked_add(account.held[what]).expect("no sum is rounded");
                let limit = limits.get(what).unwrap_or(u64::MAX);
                // A reload may have set a limit below what was spent already; then nothing may be added to it.
                assert!(sums[what] <= limit.max(before[what]), "{name} stands above its limit of {what:?}");
            }
            self.sums.insert(name, sums);
        }
        for (name, id) in &self.kernel.agents {
            assert_eq!(
                self.kernel.ledger.account(id.day()).held,
                self.held_by(name),
                "all that {name} holds is for something"
            );
        }
    }

    fn held_by(&self, agent: &str) -> Amounts {
        let theirs = |run: RunId| self.kernel.runs.get(&run).is_some_and(|run| run.agent == agent);
        let out = self.permits.iter().filter(|permit| theirs(permit.run())).map(|permit| *permit.held());
        let running = self.kernel.runs.values().filter(|run| run.agent == agent && !run.ended);
        let all = out.chain(running.map(|run| run.allowance.held()));
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
        assert!(self.kernel.runs.is_empty(), "a run that ended is forgotten");
        for agent in AGENTS {
            assert!(self.kernel.account(agent).is_none_or(|account| account.held.is_zero()), "all is given back");
        }
    }
}

#[test]
fn no_interleaving_brings_an_account_above_its_limit() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("AGENTRY_SIMULATION_FIRST").unwrap_or(0);
    for seed in first..first + number("AGENTRY_SIMULATION_SEEDS").unwrap_or(2000) {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.end();
        });
        assert!(outcome.is_ok(), "AGENTRY_SIMULATION_FIRST={seed} shows it again");
    }
}
