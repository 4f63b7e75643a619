//! Hosts that die after any entry of any journal, and the next ones, which go on from there: behind every prefix of many seeded workloads
//! no account spends more than its limit, all that is held is for something and in the end nothing is, what cannot be undone is never
//! asked for twice, what may be is made again under its key, and what was answered is paid for once. Some runs are stopped, in memory or not,
//! or let go of a call: whatever works for them ends with them and holds nothing.
//!
//! The seeds are set as those of the simulation.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use self::disk::{Disk, Kept};
use self::island::{AGENTS, Made, call, is_outside, made, manifest, policy, repeats, tools};
use super::each_seed;
use super::oracle::{SITE, books};
use super::zoo::{Random, models};
use crate::budget::{Amounts, Limits, Resource};
use crate::call::{Call, CallId, RunId};
use crate::digest::Digest;
use crate::journal::{BasisId, Ended, Entry, Outcome, Started, Status};
use crate::kernel::tracked::Tracked as Kernel;
use crate::kernel::{Afterwards, Answer, Lost, Permit, Ready, Share, Start, Ticket};
use crate::time::Millis;

mod disk;
mod island;
mod stops;

/// Calls that a run makes, and how many of them at once.
const CALLS: u32 = 7;
const AT_ONCE: usize = 3;

/// Hosts that die one after the other, behind each prefix.
const DEATHS: usize = 3;

/// A run in memory.
#[derive(Default)]
struct Going {
    /// What its journal had of it.
    past: u32,
    lost: BTreeMap<CallId, Afterwards>,
    /// Calls that its guest has made.
    made: u32,
    flights: BTreeMap<CallId, Flight>,
}

/// A call on its way.
enum Flight {
    Queued(Ticket),
    /// Its turn has come.
    Turn(Permit),
    Sent(Permit),
    /// A part of the budget is set aside, and the run that is to have it may be named.
    Aside(Permit, Share),
    /// That run goes on.
    Below(Permit),
    /// It has ended and took this.
    Over(Permit, Amounts),
}

/// Of so many steps, one stops a run or lets go of a call.
const STOPS: u64 = 24;

/// One host, from its start to its end.
struct Life {
    random: Random,
    kernel: Kernel,
    disk: Disk,
    going: BTreeMap<RunId, Going>,
    /// What is held for runs that do not go on yet.
    waiting: BTreeMap<RunId, Amounts>,
    /// The disk behind each entry.
    written: Vec<Disk>,
}

impl Life {
    /// The first one, or the next one with what the last one left.
    fn of(random: Random, disk: Disk) -> Self {
        let mut kernel = Kernel::new(policy(), models(), tools());
        let mut waiting = BTreeMap::new();
        let mut kept: BTreeMap<&str, Amounts> = BTreeMap::new();
        for (run, unfinished) in disk.runs.iter().filter_map(|(run, kept)| Some((*run, kept.unfinished()?))) {
            for owner in [disk.payer(run), SITE] {
                let sum = kept.entry(owner).or_default();
                *sum = sum.plus(unfinished.holds());
            }
            waiting.insert(run, unfinished.holds());
        }
        for (owner, books) in &disk.books {
            let kept = kept.get(owner).copied().unwrap_or_default();
            match *owner {
                SITE => kernel.restore_site(*books, &kept),
                agent => kernel.restore(agent, *books, &kept),
            }
        }
        let life = Self { random, kernel, disk, going: BTreeMap::new(), waiting, written: Vec::new() };
        life.check();
        life
    }

    fn id(&mut self) -> RunId {
        self.disk.last += 1;
        RunId(self.disk.last)
    }

    /// What is written goes to the disk with the books as they are.
    fn write(&mut self, run: RunId, entries: impl IntoIterator<Item = Entry>) {
        let kept = self.disk.runs.get_mut(&run).expect("it has a journal");
        kept.entries.extend(entries.into_iter().map(Arc::new));
        for owner in AGENTS.into_iter().chain([SITE]) {
            self.disk.books.extend(books(&self.kernel, owner).map(|books| (owner, books)));
        }
        self.written.push(self.disk.clone());
        self.check();
    }

    fn start_of(&self, agent: &str) -> Start {
        Start { agent: agent.into(), manifest: manifest(agent), signer: None }
    }

    fn begin(&mut self, agent: &'static str) {
        let run = self.id();
        let start = self.start_of(agent);
        if let Ok(allowance) = self.kernel.start(run, &start, self.disk.now) {
            self.opened(run, agent, None, allowance.held());
        }
    }

    fn opened(&mut self, run: RunId, agent: &'static str, above: Option<RunId>, held: Amounts) {
        let started = Started {
            at: self.disk.now,
            agent: agent.into(),
            package: String::new(),
            component: Digest::default(),
            input: Digest::default(),
            seed: 1,
            policy: Digest::default(),
            engine: String::new(),
            held,
        };
        self.disk.runs.insert(run, Kept { agent, above, entries: Vec::new() });
        self.going.insert(run, Going::default());
        self.write(run, [Entry::Started(started)]);
    }

    /// Goes on with a run that an earlier host left.
    fn resume(&mut self, run: RunId, share: Option<Share>) {
        let kept = &self.disk.runs[&run];
        let (agent, past) = (kept.agent, kept.unfinished().expect("it has not ended"));
        let (start, at) = (self.start_of(agent), self.disk.now);
        let (allowance, lost) = self.kernel.resume(run, &start, &past, share, at).expect("nothing has changed");
        assert_eq!(allowance, past.allowance);
        for Lost { call, then, spent } in &lost {
            let open = &past.open[call];
            let again = !open.sent || repeats(&open.what);
            assert_eq!(*then == Afterwards::Again, again, "{:?}", open.what);
            assert!(!open.lost || spent.is_zero(), "it is paid for already");
        }
        let new = lost.iter().filter(|lost| !past.open[&lost.call].lost);
        let unknown: Vec<_> = new.map(|lost| Entry::Unknown { call: lost.call, at, spent: lost.spent }).collect();
        let lost = lost.iter().map(|lost| (lost.call, lost.then)).collect();
        self.going.insert(run, Going { past: past.calls, lost, ..Going::default() });
        self.waiting.remove(&run);
        self.write(run, [Entry::Resumed { at }].into_iter().chain(unknown));
    }

    /// One thing happens; false if all is over.
    fn step(&mut self) -> bool {
        self.disk.now = self.disk.now.plus(self.random.below(40));
        if let Some(orphan) = self.orphan() {
            self.end_absent(orphan);
            return true;
        }
        if self.disk.stops && self.random.below(STOPS) == 0 && self.stop_one() {
            return true;
        }
        let tops = self.waiting.keys().filter(|run| self.disk.runs[run].above.is_none());
        let tops: Vec<RunId> = tops.copied().collect();
        if let Some(at) = self.random.pick(tops.len()).filter(|_| self.going.is_empty() || self.random.below(3) == 0) {
            self.resume(tops[at], None);
            return true;
        }
        let Some(at) = self.random.pick(self.going.len()) else { return false };
        let run = *self.going.keys().nth(at).expect("it was picked within");
        let going = &self.going[&run];
        let more = going.made < CALLS && going.flights.len() < AT_ONCE;
        let moves = |flight: &Flight| !matches!(flight, Flight::Queued(_) | Flight::Below(_));
        let moving: Vec<CallId> =
            going.flights.iter().filter(|(_, flight)| moves(flight)).map(|(call, _)| *call).collect();
        match self.random.pick(moving.len()).filter(|_| !more || self.random.below(2) == 0) {
            Some(at) => self.advance(run, moving[at]),
            None if more => self.make(run),
            None if going.flights.is_empty() => self.finish(run, Status::Done),
            // It waits for a turn or for another run.
            None => {}
        }
        true
    }

    /// The guest makes its next call, or makes it again.
    fn make(&mut self, run: RunId) {
        let depth = self.disk.depth(run);
        let going = self.going.get_mut(&run).expect("it goes on");
        going.made += 1;
        let (number, what) = (CallId(going.made), call(run, going.made, depth));
        match going.lost.get(&number) {
            Some(Afterwards::Interrupted) => {
                let outcome = Outcome::Error { kind: "interrupted".into(), text: String::new(), partial: None };
                self.write(run, [Entry::Answered { call: number, at: self.disk.now, outcome, spent: Amounts::ZERO }]);
            }
            // It stands in the journal with its answer.
            None if number.0 <= going.past => {}
            _ => self.admit(run, number, what),
        }
    }

    fn admit(&mut self, run: RunId, number: CallId, what: Call) {
        let (at, basis) = (self.disk.now, BasisId::NONE);
        let permit = match self.kernel.admit(run, number, &what, at) {
            Answer::Permit(permit) => permit,
            Answer::Wait(ticket) => {
                self.fly(run, number, Flight::Queued(ticket));
                let held = self.kernel.held_by(ticket);
                return self.write(run, [Entry::Queued { call: number, at, what, held }]);
            }
            Answer::Refused(refusal) => {
                return self.write(run, [Entry::Refused { call: number, at, what, refusal, basis }]);
            }
            Answer::Ask(_) => panic!("nobody is asked here"),
        };
        let held = *permit.held();
        match made(&what) {
            Made::Child(delegation) => {
                let given = self.disk.runs[&run].given();
                let again = self.going[&run].lost.contains_key(&number);
                let left = self.kernel.runs[&run].allowance.fuel - given + if again { delegation.fuel } else { 0 };
                match self.kernel.split(run, Limits::NONE.with(Resource::Fuel, delegation.fuel), left, at) {
                    Ok(share) => self.fly(run, number, Flight::Aside(permit, share)),
                    Err(refusal) => {
                        let _ = self.kernel.give_back(permit, at);
                        self.come();
                        return self.write(run, [Entry::Refused { call: number, at, what, refusal, basis }]);
                    }
                }
            }
            Made::Look => {
                let _ = self.kernel.settle(permit, Amounts::ZERO, at);
                self.come();
                return self.write(run, [Entry::Called { call: number, at, what, outcome: well(), basis }]);
            }
            Made::Model | Made::Tool(_) | Made::Sleep => self.fly(run, number, Flight::Sent(permit)),
        }
        self.write(run, [Entry::Asked { call: number, at, what, held, basis }]);
    }

    fn fly(&mut self, run: RunId, call: CallId, flight: Flight) {
        self.going.get_mut(&run).expect("it goes on").flights.insert(call, flight);
    }

    /// Calls whose turn has come: nobody has written that down yet.
    fn come(&mut self) {
        for Ready { ticket, permit } in self.kernel.ready() {
            let going = self.going.get_mut(&permit.run()).expect("whoever waits goes on");
            let before = going.flights.insert(permit.call(), Flight::Turn(permit));
            assert!(matches!(before, Some(Flight::Queued(waited)) if waited == ticket), "it waited for its turn");
        }
    }

    fn advance(&mut self, run: RunId, number: CallId) {
        let flight = self.going.get_mut(&run).expect("it goes on").flights.remove(&number);
        match flight.expect("it is on its way") {
            Flight::Turn(permit) => {
                let (at, what, basis) = (self.disk.now, call(run, number.0, self.disk.depth(run)), BasisId::NONE);
                let held = *permit.held();
                self.fly(run, number, Flight::Sent(permit));
                self.write(run, [Entry::Asked { call: number, at, what, held, basis }]);
            }
            Flight::Sent(permit) => {
                if is_outside(&call(run, number.0, self.disk.depth(run))) {
                    *self.disk.outside.entry((run, number)).or_default() += 1;
                }
                let held = *permit.held();
                let share = self.random.below(101);
                let cost = Amounts::by(|what| held[what].saturating_mul(share) / 100);
                self.answer(run, permit, cost, Amounts::ZERO);
            }
            Flight::Aside(permit, share) => self.below(run, permit, share),
            Flight::Over(permit, below) => self.answer(run, permit, Amounts::ZERO, below),
            waits @ (Flight::Queued(_) | Flight::Below(_)) => self.fly(run, number, waits),
        }
    }

    fn answer(&mut self, run: RunId, permit: Permit, cost: Amounts, below: Amounts) {
        let (call, at) = (permit.call(), self.disk.now);
        let settled = self.kernel.settle(permit, cost, at);
        self.come();
        self.write(run, [Entry::Answered { call, at, outcome: well(), spent: settled.spent.plus(below) }]);
    }

    /// A call of another agent: names the run, and then begins it, goes on with it or takes what it gave.
    fn below(&mut self, run: RunId, permit: Permit, share: Share) {
        let (number, at) = (permit.call(), self.disk.now);
        let spawned = self.disk.runs[&run].entries().find_map(|entry| match entry {
            Entry::Spawned { call, run } if *call == number => Some(*run),
            _ => None,
        });
        let Some(child) = spawned else {
            let child = self.id();
            self.fly(run, number, Flight::Aside(permit, share));
            return self.write(run, [Entry::Spawned { call: number, run: child }]);
        };
        let Call::AgentsCall(delegation) = call(run, number.0, self.disk.depth(run)) else { panic!("it calls nobody") };
        let agent = AGENTS.into_iter().find(|agent| *agent == delegation.agent).expect("it is of the island");
        match self.disk.runs.get(&child).map(|kept| (kept.unfinished().is_some(), kept.entries.last())) {
            None => match self.kernel.start_child(child, &self.start_of(agent), share, at) {
                Ok(allowance) => {
                    self.fly(run, number, Flight::Below(permit));
                    self.opened(child, agent, Some(run), allowance.held());
                }
                Err(_) => self.answer(run, permit, Amounts::ZERO, Amounts::ZERO),
            },
            Some((true, _)) if self.disk.stops && self.random.below(4) == 0 => {
                // Its guest has let go of the call before it went on.
                self.kernel.dissolve(share);
                self.end_absent(child);
                self.answer(run, permit, Amounts::ZERO, Amounts::ZERO);
            }
            Some((true, _)) => {
                self.fly(run, number, Flight::Below(permit));
                self.resume(child, Some(share));
            }
            Some((false, last)) => {
                let Some(Entry::Ended(ended)) = last.map(|last| &**last) else { panic!("it has not ended") };
                let below = divided(&ended.spent);
                self.kernel.dissolve(share);
                self.kernel.remember(run, &below);
                self.answer(run, permit, Amounts::ZERO, below);
            }
        }
    }

    fn finish(&mut self, run: RunId, status: Status) {
        self.going.remove(&run);
        let kept = &self.disk.runs[&run];
        let unfinished = kept.unfinished().expect("it goes on");
        let most = unfinished.allowance.fuel - kept.given();
        let used = Amounts::of(Resource::Fuel, most.min(30)).with(Resource::WallTime, unfinished.wall_ms);
        let (above, at) = (kept.above, self.disk.now);
        let settled = self.kernel.finish(run, used, at);
        let (output, spent) = (Digest::default(), unfinished.spent.plus(settled.spent));
        self.come();
        self.write(run, [Entry::Ended(Ended { at, status, output, spent })]);
        let Some(going) = above.and_then(|above| self.going.get_mut(&above)) else { return };
        let of = |entry: &Entry| matches!(entry, Entry::Spawned { run: child, .. } if *child == run);
        let parent = &self.disk.runs[&above.expect("it has one")];
        let Some(Entry::Spawned { call, .. }) = parent.entries().find(|entry| of(entry)) else {
            panic!("it was named")
        };
        match going.flights.remove(call) {
            Some(Flight::Below(permit)) => drop(going.flights.insert(*call, Flight::Over(permit, divided(&spent)))),
            _ => panic!("its caller waits for it"),
        }
    }

    /// Nobody spends or holds more than may be, and all that is held is for something.
    fn check(&self) {
        self.kernel.slots.assert_sound();
        let look = |whose: &str, id| {
            let (account, limits) = (self.kernel.ledger.account(id), self.kernel.ledger.limits(id));
            for what in Resource::ALL {
                let limit = account.limit(limits, what).unwrap_or(u64::MAX);
                let (spent, held) = (account.spent[what], account.held[what]);
                assert!(spent.saturating_add(held) <= limit, "{whose} has {spent} and {held} of {limit} {what:?}");
            }
        };
        let agents = self.kernel.agents.iter().map(|(agent, books)| (agent.as_str(), *books));
        for (owner, id) in agents.chain([(SITE, self.kernel.site)]) {
            look(owner, id.minute());
            look(owner, id.day());
            let theirs = |run: RunId| owner == SITE || self.disk.payer(run) == owner;
            let running = self.kernel.runs.iter().filter(|(id, run)| theirs(**id) && !run.ended);
            let flights =
                self.going.iter().filter(|(run, _)| theirs(**run)).flat_map(|(_, going)| going.flights.values());
            let out = flights.filter_map(|flight| match flight {
                Flight::Turn(permit) | Flight::Sent(permit) | Flight::Aside(permit, _) => Some(*permit.held()),
                Flight::Below(permit) | Flight::Over(permit, _) => Some(*permit.held()),
                Flight::Queued(_) => None,
            });
            let waiting = self.waiting.iter().filter(|(run, _)| theirs(**run)).map(|(_, held)| *held);
            let all = running.map(|(_, run)| run.held()).chain(out).chain(waiting);
            let held = all.fold(self.kernel.slots.held_by(theirs), Amounts::plus);
            assert_eq!(self.kernel.ledger.books(id).day.held, held, "all that {owner} holds is for something");
        }
        self.kernel.runs.values().for_each(|run| look(&run.agent, run.account));
    }

    /// Lets all come to its end, and looks at what came of it.
    fn end(mut self) -> Vec<Disk> {
        while self.step() {}
        assert!(self.kernel.runs.is_empty() && self.waiting.is_empty(), "all have ended");
        for owner in AGENTS.into_iter().chain([SITE]) {
            let Some(books) = books(&self.kernel, owner) else { continue };
            assert!(books.day.held.is_zero() && books.minute.held.is_zero(), "nothing is held for runs that are over");
            let theirs = self.disk.runs.iter().filter(|(run, _)| owner == SITE || self.disk.payer(**run) == owner);
            let took = theirs.fold(Amounts::ZERO, |sum, (_, kept)| sum.plus(kept.took()));
            assert_eq!(books.day.spent, took, "{owner} paid for each call once");
        }
        for (run, kept) in self.disk.runs.iter().filter(|(_, kept)| !kept.is_stopped()) {
            let depth = self.disk.depth(*run);
            (1..=CALLS).for_each(|number| self.ended_well(*run, kept, CallId(number), depth));
        }
        self.written
    }

    /// What came of one call stands in the journal once, and outside not more often than it may.
    fn ended_well(&self, run: RunId, kept: &Kept, number: CallId, depth: usize) {
        let (mut answers, mut interrupted, mut unknown, asked) = (0, false, 0, kept.asked(number));
        for entry in kept.entries() {
            match entry {
                Entry::Answered { call, outcome, .. } if *call == number => {
                    answers += 1;
                    interrupted |= matches!(outcome, Outcome::Error { .. });
                }
                Entry::Called { call, .. } | Entry::Refused { call, .. } if *call == number => answers += 1,
                Entry::Unknown { call, .. } if *call == number => unknown += 1,
                _ => {}
            }
        }
        assert_eq!(answers, 1, "call {number} of {run} has one answer");
        let what = call(run, number.0, depth);
        let happened = self.disk.outside.get(&(run, number)).copied().unwrap_or(0);
        assert!(happened <= asked, "{what:?} happened {happened} times and was asked for {asked} times");
        assert!(!interrupted || !repeats(&what), "what may be made again is");
        if is_outside(&what) && !repeats(&what) {
            assert!(asked <= 1, "{what:?} was asked for {asked} times");
            assert_eq!(interrupted, asked == 1 && unknown == 1, "nobody knows, and that is said");
        }
    }
}

fn well() -> Outcome {
    Outcome::Inline(vec![])
}

/// What a caller has of the bill of whom it called.
fn divided(spent: &Amounts) -> Amounts {
    spent.with(Resource::WallTime, 0).with(Resource::Memory, 0)
}

/// A workload that is not disturbed, and behind each of its entries a host that dies, and others that die soon after.
fn disturb(seed: u64, stops: bool) {
    let mut life = Life::of(Random(seed), Disk { now: Millis(1_800_000_000_000), stops, ..Disk::default() });
    for agent in [AGENTS[0], AGENTS[seed as usize % AGENTS.len()]] {
        life.begin(agent);
    }
    let written = life.end();
    for (place, disk) in written.iter().enumerate() {
        let (mut random, mut disk) = (Random(seed ^ (place as u64) << 32), disk.clone());
        for _ in 0..DEATHS {
            disk.die(&mut random);
            let next = Life::of(Random(random.next()), disk).end();
            let soon = if random.below(2) == 0 { 3 } else { next.len() };
            let Some(at) = random.pick(next.len().min(soon)) else { break };
            disk = next[at].clone();
        }
    }
}

#[test]
fn behind_every_entry_a_host_may_die_and_the_next_one_goes_on() {
    each_seed(40, |seed| disturb(seed, false));
}

#[test]
fn whatever_works_for_a_run_that_is_stopped_ends_with_it_and_holds_nothing() {
    each_seed(40, |seed| disturb(seed, true));
}
