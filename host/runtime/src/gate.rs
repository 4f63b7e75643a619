//! The one door: admit → journal → act → settle → journal, for every syscall of every run.
//!
//! It asks the kernel, writes down what was asked and what came of it, and lets one driver act in between. It holds no
//! policy and does no effect of its own. There are four ways through, by what a call does to the world:
//! [`Gate::pass_inner`] for what is answered at once, [`Gate::pass_read`] for short reads of our own store, [`Gate::pass`] for what takes time or reaches outside, and
//! [`Gate::pass_store`] for writes to our own store.

mod again;
mod children;
#[cfg(test)]
pub(crate) mod fixture;
mod kept;
mod life;
mod live;
mod mail;
mod outside;
mod people;
mod read;
mod settle;
mod shown;
mod standing;
mod stored;
mod touches;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::clock::Clock;
use agentry_journal::{Along, FLOOD_BYTES, Journal, Moved, Recovered};
use agentry_kernel::approval::ApprovalId;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{BasisId, Entry, Outcome};
use agentry_kernel::kernel::{Answer, Kernel, Permit, Ticket, Waiter};
use agentry_kernel::limits::CALLS_PER_RUN_MAX;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::keyed_lock::Lanes;
use agentry_store::keys;
use agentry_store::rows::approval::Question;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;

use agentry_abi::driver::{Acted, Told};
use agentry_abi::fault;

pub(crate) use self::again::decode;
use self::again::{Number, Recall};
pub use self::children::Aside;
pub(crate) use self::life::Origin;
pub use self::life::{Ending, Opening};
use self::people::Asked;
use self::standing::Audience;
pub(crate) use self::touches::Touch;
use crate::run::context::RunContext;
use crate::run::events::Event;

/// An encoded answer that stands in the journal itself; a longer one is stored by name.
pub const INLINE_MAX_BYTES: usize = 256;

/// A call and the contents that it names, which are stored if it is admitted.
#[derive(Debug)]
pub struct Asking {
    /// What is decided on.
    pub what: Call,
    /// Its bulk, by name.
    pub contents: Vec<Content>,
    /// What its admission rests on, once it is admitted.
    basis: BasisId,
    /// The part of the run's budget that it wants for a child.
    aside: Option<Arc<Aside>>,
    /// Where it waits for others that change the same thing, once it is admitted.
    lane: Option<(Lanes, String)>,
}

impl From<Call> for Asking {
    fn from(what: Call) -> Self {
        Self::with(what, Vec::new())
    }
}

impl Asking {
    /// A call that names these contents.
    pub fn with(what: Call, contents: Vec<Content>) -> Self {
        Self { what, contents, basis: BasisId::NONE, aside: None, lane: None }
    }

    /// The same, in the lane of this name.
    #[must_use]
    pub(crate) fn in_lane(self, lanes: &Lanes, name: &str) -> Self {
        Self { lane: Some((lanes.clone(), name.to_owned())), ..self }
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
    desk: Mutex<Desk>,
    journal: Journal,
    clock: Clock,
    audience: Audience,
}

/// The kernel and those who wait for it. Behind one lock, never held across an await or an act.
struct Desk {
    kernel: Kernel,
    waiting: HashMap<Ticket, oneshot::Sender<Permit>>,
    /// Calls that wait for people, and what these are asked.
    asked: HashMap<Waiter, oneshot::Sender<()>>,
    questions: BTreeMap<ApprovalId, Question>,
    closed: VecDeque<ApprovalId>,
    /// The host stops: whatever begins or goes on now leaves memory at once.
    leaves: bool,
}

/// How a call goes on once it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
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
        let desk = Mutex::new(Desk {
            kernel,
            waiting: HashMap::new(),
            asked: HashMap::new(),
            questions: BTreeMap::new(),
            closed: VecDeque::new(),
            leaves: false,
        });
        Self(Arc::new(Inner { desk, journal, clock, audience: Audience::default() }))
    }

    /// Reads something off the kernel: balances, models. It must not take long: every call waits meanwhile.
    pub fn kernel<R>(&self, read: impl FnOnce(&Kernel) -> R) -> R {
        read(&self.0.desk.lock().kernel)
    }

    /// Changes what the kernel knows: a new policy.
    pub fn change<R>(&self, change: impl FnOnce(&mut Kernel) -> R) -> R {
        let mut desk = self.0.desk.lock();
        let changed = change(&mut desk.kernel);
        // A new policy closes the questions of the old one.
        self.0.wake(&mut desk);
        changed
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
    pub fn pass_inner<T: Told>(
        &self,
        run: &Arc<RunContext>,
        what: impl Into<Asking>,
        act: impl FnOnce(&Permit) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let gate = &*self.0;
        let asking = what.into();
        let number = match self.recall(run, &asking.what) {
            Recall::Told(again) => return again.at_once(run),
            Recall::Live(number) => number,
        };
        let (call, now) = gate.enter(run, number)?;
        let admitted = gate.admit(run, call, asking, now, Manner::AtOnce);
        let (mut permit, Asking { what, mut contents, basis, .. }) = match admitted {
            Ok((Turn::Now(permit), Some(asking))) => (permit, asking),
            Ok((turn, _)) => {
                gate.give_up(run, turn, now);
                return Err(fault::unavailable("it would have to wait for its turn", Some(1000)));
            }
            Err(refusal) => return Err(fault::refused(&refusal, run.id, call)),
        };
        let result = read::looked_up(run, &mut permit, |permit| Acted::of(act(permit), Amounts::ZERO));
        if run.trail.is_full() {
            contents.clear();
        }
        let outcome = settle::outcome(&result, &mut contents);
        let entry = Entry::Called { call, at: now, what, outcome, basis };
        gate.settle(run, permit, Some(Amounts::ZERO), now, contents, |_| Some(entry));
        result
    }
}

impl Gate {
    /// Writes down what a guest took of an answer that is still being written; nothing of it, when it saw the end.
    pub(crate) fn heard(&self, run: &RunContext, call: CallId, pieces: Vec<u8>) {
        self.0.journal.append(&run.trail, &[Entry::Heard { call, pieces }], Along::default());
    }

    /// Writes down a call that the host cannot take as it is now, for a reason that another host or another moment would not have: so a
    /// run that is executed again gets the same answer. Nothing is decided or done.
    pub fn unfit(&self, run: &Arc<RunContext>, asking: Asking, error: Error) -> Error {
        let number = match self.recall(run, &asking.what) {
            Recall::Told(again) => return again.at_once::<(), Error>(run).err().unwrap_or(error),
            Recall::Live(number) => number,
        };
        let (call, at) = match self.0.enter(run, number) {
            Ok(entered) => entered,
            Err(over) => return over,
        };
        let mut contents = Vec::new();
        let outcome = settle::outcome::<(), Error>(&Err(error.clone()), &mut contents);
        let entry = Entry::Called { call, at, what: asking.what.cut(), outcome, basis: BasisId::NONE };
        self.0.journal.append(&run.trail, &[entry], Along { contents, ..Along::default() });
        error
    }
}

impl Inner {
    /// The call's number and its time: the one moment at which the run's clock moves. It does not move again for a call that was made
    /// before: what the guest saw of it then is what it sees now.
    fn enter(&self, run: &RunContext, number: Number) -> Result<(CallId, Millis), Error> {
        let now = match number {
            Number::Next => run.clock.advance(self.clock.now()),
            Number::Again(_, began) => self.clock.now().max(began),
        };
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
        mut asking: Asking,
        now: Millis,
        manner: Manner,
    ) -> Result<(Turn, Option<Asking>), Box<Refusal>> {
        let intent = manner == Manner::WithIntent;
        let lacks = if intent { self.journal.lacks(&asking.contents) } else { Vec::new() };
        let mut desk = self.desk.lock();
        let answer = desk.kernel.admit(run.id, call, &asking.what, now);
        let answer = desk.set_aside(run, &asking, answer, now);
        if let Some(entry) = desk.kernel.take_basis() {
            self.journal.append(&run.trail, &[*entry], Along::default());
        }
        if let Some(refusal) = desk.kernel.take_observed() {
            let entry = Entry::Foreseen { call, at: now, refusal };
            self.journal.append(&run.trail, &[entry], Along::default());
        }
        let mut rated = desk.kernel.take_rated();
        if !rated.is_empty() && !matches!(&answer, Answer::Permit(_) if intent) {
            let rated = std::mem::take(&mut rated);
            self.journal.append(&run.trail, &[], Along { rated, ..Along::default() });
        }
        let refusal = match answer {
            Answer::Permit(permit) => {
                let basis = permit.basis();
                let moves = *permit.held() != Amounts::ZERO || asking.aside.is_some();
                let moved = desk.books(run).filter(|_| moves);
                if intent {
                    let mut lacks = lacks.into_iter();
                    asking.contents.retain(|_| lacks.next().unwrap_or(true));
                    let entry = Entry::Asked { call, at: now, what: asking.what, held: *permit.held(), basis };
                    let along = Along { moved, rated, contents: asking.contents, record: None };
                    self.journal.append(&run.trail, &[entry], along);
                    return Ok((Turn::Now(permit), None));
                }
                if moved.is_some() {
                    self.journal.append(&run.trail, &[], Along { moved, ..Along::default() });
                }
                return Ok((Turn::Now(permit), Some(Asking { basis, ..asking })));
            }
            Answer::Wait(ticket) => {
                let held = desk.kernel.held_by(ticket);
                let entry = Entry::Queued { call, at: now, what: asking.what.clone(), held };
                self.journal.append(&run.trail, &[entry], Along { moved: desk.books(run), ..Along::default() });
                return Ok((desk.line_up(ticket), Some(asking)));
            }
            Answer::Ask(unasked) if manner == Manner::AtOnce => {
                Box::new(desk.kernel.decline(unasked, "a call that is answered at once waits for nobody", now))
            }
            Answer::Ask(unasked) => match self.question(&mut desk, run, (call, &asking), unasked, now) {
                Ok(turn) => return Ok((turn, Some(asking))),
                Err(refusal) => refusal,
            },
            Answer::Refused(refusal) => Box::new(refusal),
        };
        drop(desk);
        self.refused(run, (call, asking.what), &refusal, now);
        Err(refusal)
    }

    /// Writes a no down, and tells it to who watches.
    fn refused(&self, run: &RunContext, (call, what): (CallId, Call), refusal: &Refusal, at: Millis) {
        run.add_refusal(refusal);
        let mut desk = self.desk.lock();
        let basis = desk.kernel.basis_of_no(run.id);
        let named = desk.kernel.take_basis().map(|entry| *entry);
        let entry = Entry::Refused { call, at, what: what.cut(), refusal: refusal.clone(), basis };
        self.journal.append(&run.trail, &[named.into_iter().collect(), vec![entry]].concat(), Along::default());
        drop(desk);
        if run.observer.watches() {
            run.observer.tell(Event::Refused(Box::new(refusal.clone())));
        }
    }
}

impl Desk {
    /// The books that the run's agent draws on, as they stand, and the site's.
    fn books<'a>(&self, run: &'a RunContext) -> Option<Moved<'a>> {
        self.books_of(run.payer())
    }

    fn books_of<'a>(&self, agent: &'a str) -> Option<Moved<'a>> {
        let books = self.kernel.books(agent)?;
        Some(Moved { agent, books, site: self.kernel.site_books() })
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
