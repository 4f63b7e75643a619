//! The one door: admit → journal → act → settle → journal, for every syscall of every run.
//!
//! It asks the kernel, writes down what was asked and what came of it, and lets one driver act in between. It holds no
//! policy and does no effect of its own. There are four ways through, by what a call does to the world:
//! [`Gate::call_now`] for what is answered at once, [`Gate::pass_read`] for short reads of our own store, [`Gate::pass`] for what takes time or reaches outside, and
//! [`Gate::pass_store`] for writes to our own store.

mod absent;
mod act;
mod again;
mod answer;
mod change_feed;
mod children;
mod clock;
pub mod counters;
#[cfg(test)]
pub(crate) mod fixture;
mod in_flight;
mod kept;
mod life;
mod live;
mod mail;
mod outside;
mod people;
mod read;
mod reload;
mod settle;
pub mod shown;
mod stored;

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::clock::Clock;
use agentry_abi::driver::{Completed, Recordable};
use agentry_abi::fault;
use agentry_journal::report::REFUSALS_KEPT_MAX;
use agentry_journal::{Extras, FLOOD_BYTES, Journal, Recovered};
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{BasisId, Entry, Outcome};
use agentry_kernel::kernel::{Answer, Balance, Kernel, Permit, Statement, Ticket};
use agentry_kernel::limits::CALLS_PER_RUN_MAX;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::keyed_mutex::KeyedMutex;
use agentry_store::keys;
use agentry_store::limits::REFUSED_ARGUMENTS_MAX_BYTES;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;

use self::act::{Act, KernelCell};
pub(crate) use self::again::decode;
use self::again::{Number, Recall};
pub use self::answer::Begun;
pub(crate) use self::answer::{Given, Later, Unseen};
pub(crate) use self::change_feed::Change;
pub use self::children::Reservation;
use self::counters::Counters;
pub(crate) use self::life::Origin;
pub use self::life::{Ending, Opening};
pub use self::outside::LentPermit;
use self::people::Asked;
use self::reload::Audience;
pub use self::reload::Reloadable;
use crate::run::context::RunContext;
use crate::run::events::Event;

/// An encoded answer that stands in the journal itself; a longer one is stored by name.
pub const INLINE_MAX_BYTES: usize = 256;

/// A call and the contents that it names, which are stored if it is admitted.
#[derive(Debug)]
pub struct CallRequest {
    /// What is decided on.
    pub what: Call,
    /// Its bulk, by name.
    pub contents: Vec<Content>,
    /// What its admission rests on, once it is admitted.
    basis: BasisId,
    /// The part of the run's budget that it wants for a child.
    aside: Option<Arc<Reservation>>,
    /// Where it waits for others that change the same thing, once it is admitted.
    lock: Option<(KeyedMutex, String)>,
}

impl From<Call> for CallRequest {
    fn from(what: Call) -> Self {
        Self::with(what, Vec::new())
    }
}

impl CallRequest {
    /// A call that names these contents.
    pub fn with(what: Call, contents: Vec<Content>) -> Self {
        Self { what, contents, basis: BasisId::NONE, aside: None, lock: None }
    }

    /// The same, under the lock of this name.
    #[must_use]
    pub(crate) fn under_lock(self, locks: &KeyedMutex, name: &str) -> Self {
        Self { lock: Some((locks.clone(), name.to_owned())), ..self }
    }
}

/// The door; cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

struct Inner {
    cell: Mutex<KernelCell>,
    journal: Journal,
    clock: Clock,
    audience: Audience,
    counters: Counters,
}

/// How a call goes on once it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JournalMode {
    /// It is answered where it stands, and cannot wait.
    AtOnce,
    /// It may wait, and is written down when it is done.
    Whole,
    /// It may wait, and is written down before it is done.
    WithIntent,
}

/// An admitted call: at once, when its turn comes, or when people have answered.
enum Turn {
    Now(Permit),
    Later(Ticket, oneshot::Receiver<Permit>),
    People(Asked),
}

impl Gate {
    /// A door before this kernel, which learns what its agents have spent before.
    pub fn new(mut kernel: Kernel, journal: Journal, clock: Clock, recovered: &Recovered) -> Self {
        for (agent, books) in &recovered.books {
            match agent.as_str() {
                keys::SITE => kernel.restore_site(*books, &books.day.held),
                agent => kernel.restore(agent, *books, &books.day.held),
            }
        }
        recovered.rates.iter().for_each(|rated| kernel.restore_rate(rated.clone()));
        // What a host counted whose clock was ahead. It is written down with what comes next.
        let _ = kernel.set_back(clock.now());
        let cell = Mutex::new(KernelCell::new(kernel));
        let (audience, counters) = (Audience::default(), Counters::default());
        Self(Arc::new(Inner { cell, journal, clock, audience, counters }))
    }

    /// Reads something off the kernel: models, rights. It must not take long: every call waits meanwhile.
    pub fn kernel<R>(&self, read: impl FnOnce(&Kernel) -> R) -> R {
        read(self.0.cell.lock().kernel())
    }

    /// What is left of every limit that binds a run.
    pub(crate) fn balances(&self, run: &RunContext) -> Vec<Balance> {
        let now = self.0.time(run.clock.now());
        self.0.cell.lock().balances(run.id, now)
    }

    /// The books of the site and of all agents, as people read them.
    pub fn statements(&self) -> Vec<Statement> {
        let now = self.0.clock.now();
        self.0.cell.lock().statements(now)
    }

    /// The journal behind it.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// Where it takes the time from.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Decides, does and writes down in one step what is answered out of memory or by a short read. It waits for
    /// nothing, the disk included.
    ///
    /// # Errors
    /// What the kernel refuses, what `act` fails with; `unavailable` if `act` panics or the journal cannot keep up.
    pub fn call_now<T: Recordable>(
        &self,
        run: &Arc<RunContext>,
        what: impl Into<CallRequest>,
        act: impl FnOnce(&Permit) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.call_at(run, what, None, act)
    }

    /// The same of a call that was made at this time already, if one is given.
    ///
    /// # Errors
    /// As of [`Gate::call_now`].
    pub(crate) fn call_at<T: Recordable>(
        &self,
        run: &Arc<RunContext>,
        what: impl Into<CallRequest>,
        at: Option<Millis>,
        act: impl FnOnce(&Permit) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let gate = &*self.0;
        let asking = what.into();
        let number = match self.recall(run, &asking.what) {
            Recall::Recordable(again) => return again.at_once(run),
            Recall::Live(number) => number,
        };
        let (call, now) = gate.enter_at(run, number, at)?;
        let admitted = gate.admit(run, call, asking, now, JournalMode::AtOnce);
        let (mut permit, CallRequest { what, mut contents, basis, .. }) = match admitted {
            Ok((Turn::Now(permit), Some(asking))) => (permit, asking),
            Ok((turn, _)) => {
                gate.give_up(run, turn, now);
                return Err(fault::unavailable("it would have to wait for its turn", Some(1000)));
            }
            Err(refusal) => return Err(fault::refused(&refusal, run.id, call)),
        };
        let result = read::looked_up(run, &mut permit, |permit| Completed::of(act(permit), Amounts::ZERO));
        if run.trail.is_full() {
            contents.clear();
        }
        let outcome = settle::outcome(&result, &mut contents);
        let entry = Entry::Called { call, at: now, what, outcome, basis };
        gate.conclude(run, permit, entry, contents, now);
        result
    }
}

impl Gate {
    /// Writes down what a guest took of an answer that is still being written; nothing of it, when it saw the end.
    pub(crate) fn stream_progress(&self, run: &RunContext, call: CallId, pieces: Vec<u8>) {
        self.0.journal.append(&run.trail, &[Entry::Heard { call, pieces }], Extras::default());
    }

    /// Writes down a call that the host cannot take as it is now, for a reason that another host or another moment would not have: so a
    /// run that is executed again gets the same answer. Nothing is decided or done.
    pub fn reject(&self, run: &Arc<RunContext>, asking: CallRequest, error: Error) -> Error {
        let number = match self.recall(run, &asking.what) {
            Recall::Recordable(again) => return again.at_once::<(), Error>(run).err().unwrap_or(error),
            Recall::Live(number) => number,
        };
        let (call, at) = match self.0.enter(run, number) {
            Ok(entered) => entered,
            Err(over) => return over,
        };
        let mut contents = Vec::new();
        let outcome = settle::outcome::<(), Error>(&Err(error.clone()), &mut contents);
        let entry = Entry::Called { call, at, what: asking.what.cut(), outcome, basis: BasisId::NONE };
        self.0.journal.append(&run.trail, &[entry], Extras { contents, ..Extras::default() });
        error
    }
}

impl Inner {
    /// The call's number and its time: the one moment at which the run's clock moves. It does not move again for a call that was made
    /// before: what the guest saw of it then is what it sees now.
    fn enter(&self, run: &RunContext, number: Number) -> Result<(CallId, Millis), Error> {
        self.enter_at(run, number, None)
    }

    /// The same of one whose time is known already, if it is.
    fn enter_at(&self, run: &RunContext, number: Number, at: Option<Millis>) -> Result<(CallId, Millis), Error> {
        let now = self.time(match number {
            Number::Next => run.clock.advance(at.unwrap_or_else(|| self.clock.now())),
            Number::Again(_, began) => self.clock.now().max(began),
        });
        if run.trail.is_broken() {
            run.cancelled.cancel();
            return Err(fault::unavailable("this run cannot be written down any more: the host's disk failed", None));
        }
        if run.trail.backlog() > FLOOD_BYTES {
            run.cancelled.cancel();
            return Err(fault::unavailable("this run says more at once than can be written down", None));
        }
        let call = match number {
            Number::Next => run.next_call(CALLS_PER_RUN_MAX),
            Number::Again(call, _) => Some(call),
        };
        if let Some(call) = call {
            return Ok((call, now));
        }
        run.cancelled.cancel();
        Err(fault::unavailable(&format!("a run makes at most {CALLS_PER_RUN_MAX} calls"), None))
    }

    /// Asks the kernel and writes its answer down. With an intent, a permit is written down as asked for, and nothing
    /// comes back; else `asking` does, for the entry that tells of the call when it is done.
    fn admit(
        &self,
        run: &RunContext,
        call: CallId,
        asking: CallRequest,
        now: Millis,
        mode: JournalMode,
    ) -> Result<(Turn, Option<CallRequest>), Box<Refusal>> {
        let intent = mode == JournalMode::WithIntent;
        let admitted = self.act(run, now, |act| {
            let stored = run.unwritten(&asking.contents);
            let answer = act.ask(|kernel| kernel.admit_storing(run.id, call, (&asking.what, stored), now));
            let refusal = match act.set_aside(run, &asking, answer, now) {
                Answer::Permit(permit) if intent => {
                    run.wrote(&asking.contents);
                    act.intend((call, now), asking, &permit);
                    return Ok((Turn::Now(permit), None));
                }
                Answer::Permit(permit) => {
                    let basis = permit.basis();
                    return Ok((Turn::Now(permit), Some(CallRequest { basis, ..asking })));
                }
                Answer::Wait(ticket) => {
                    let held = act.kernel().held_by(ticket);
                    act.note(Entry::Queued { call, at: now, what: asking.what.clone(), held });
                    return Ok((act.line_up(ticket), Some(asking)));
                }
                Answer::Ask(unasked) if mode == JournalMode::AtOnce => {
                    act.ask(|kernel| kernel.decline(unasked, "a call that is answered at once waits for nobody", now))
                }
                Answer::Ask(unasked) => match self.question(act, run, (call, &asking), unasked, now) {
                    Ok(turn) => return Ok((turn, Some(asking))),
                    Err(refusal) => *refusal,
                },
                Answer::Refused(refusal) => refusal,
            };
            act.refuse(run, (call, asking), &refusal, now);
            Err(Box::new(refusal))
        });
        admitted.inspect_err(|refusal| told_no(run, refusal))
    }
}

impl Act<'_> {
    /// Writes down that an admitted call is about to be made, with its contents.
    fn intend(&mut self, (call, at): (CallId, Millis), asking: CallRequest, permit: &Permit) {
        let CallRequest { what, contents, .. } = asking;
        self.store(contents);
        self.note(Entry::Asked { call, at, what, held: *permit.held(), basis: permit.basis() });
    }

    /// Writes a no down. Arguments of tools are kept, so that a person can see what was refused; not so many and not so long that an agent
    /// fills the disk with what it may not do.
    fn refuse(&mut self, run: &RunContext, (call, asking): (CallId, CallRequest), refusal: &Refusal, at: Millis) {
        let CallRequest { what, contents, .. } = asking;
        let bytes: usize = contents.iter().map(|content| content.bytes.len()).sum();
        let few = bytes <= REFUSED_ARGUMENTS_MAX_BYTES && (run.tally().refused as usize) < REFUSALS_KEPT_MAX;
        if few && matches!(what, Call::ToolsCall { .. }) && !run.trail.is_full() {
            self.store(contents);
        }
        let basis = self.ask(|kernel| kernel.basis_of_no(run.id));
        self.note(Entry::Refused { call, at, what: what.cut(), refusal: refusal.clone(), basis });
    }
}

/// Counts a no, and tells it to who watches.
fn told_no(run: &RunContext, refusal: &Refusal) {
    run.add_refusal(refusal);
    if run.observer.watches() {
        run.observer.tell(Event::Refused(Box::new(refusal.clone())));
    }
}

/// What went well, encoded for the journal; a long answer goes to the contents.
fn answer<T: Serialize>(value: &T, contents: &mut Vec<Content>) -> Outcome {
    let encoded = postcard::to_allocvec(value).expect("answers are plain data, and memory grows");
    if encoded.len() <= INLINE_MAX_BYTES {
        return Outcome::Inline(encoded);
    }
    let bytes = encoded.len() as u64;
    let content = Content::of(encoded);
    let outcome = Outcome::Stored { content: content.digest, bytes };
    contents.push(content);
    outcome
}

#[cfg(test)]
mod tests;
