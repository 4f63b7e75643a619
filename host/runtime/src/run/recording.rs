//! What a run did before, as its journal has it: the answers that it is given again, in the order in which it saw them, and the first
//! place at which it does something else. A run that goes on lives behind it. It does nothing and asks nobody.

mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use agentry_abi::port::{Delivery, Next};
use agentry_journal::digest;
use agentry_kernel::approval::ApprovalId;
use agentry_kernel::budget::Resource;
use agentry_kernel::call::{Call, CallId, Delegation, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Ended, Entry, Outcome, Started, Status};
use agentry_kernel::kernel::{Afterwards, Lost};
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::{Store, StoreError, keys};
use parking_lot::Mutex;

pub use self::verdict::Difference;
pub(crate) use self::verdict::Verdict;
use super::end::End;

/// The past of one run.
pub(crate) struct Recording {
    store: Arc<dyn Store>,
    started: Started,
    calls: BTreeMap<CallId, Recorded>,
    /// What the guest saw of calls that it could have several of, in order.
    seen: Vec<SeenDelivery>,
    ended: Option<Ended>,
    /// The runs that calls began below this one.
    spawned: BTreeMap<CallId, RunId>,
    /// What people were asked last about a call, and until when.
    questioned: BTreeMap<CallId, (ApprovalId, Millis)>,
    /// Calls that the guest let go of.
    dropped: BTreeSet<CallId>,
    /// Where pieces of an answer were heard for the last time, and whether these were the end of it.
    heard: BTreeMap<CallId, RecordedPieces>,
    /// What becomes of calls without an answer, if the run goes on; none if it is only executed again.
    lost: OnceLock<BTreeMap<CallId, Afterwards>>,
    at: Mutex<Cursor>,
    verdict: OnceLock<Verdict>,
}

/// How far the run has come again.
#[derive(Debug, Default)]
struct Cursor {
    seen: usize,
    pieces: Option<(CallId, Vec<u8>)>,
}

/// What the guest took of an answer while it was written.
#[derive(Clone, Copy, Debug, Default)]
struct RecordedPieces {
    /// The place of the last of it among all that was seen.
    last: usize,
    /// It took something.
    some: bool,
    /// It saw that there is no more.
    whole: bool,
}

#[derive(Debug)]
struct SeenDelivery {
    delivery: Delivery,
    pieces: Vec<u8>,
}

/// One call of the past.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    what: Call,
    /// The clock as the call began.
    began: Millis,
    /// The clock as its answer came.
    until: Millis,
    pub(crate) given: Option<RecordedAnswer>,
    pub(crate) delivery: Delivered,
    /// True if the kernel had said yes, or asked people.
    asked: bool,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) enum RecordedAnswer {
    Outcome(Outcome),
    Refusal(Box<Refusal>),
}

/// What the guest saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The answer, where it stood.
    AtOnce,
    /// The answer, later.
    Seen,
    /// Nothing: it let go of it, or the run was over before.
    Never,
    /// Nothing yet: the run goes on, and sees it when all that it saw before is behind it.
    Unseen,
}

/// What a call is to a run that has a past.
pub(crate) enum Step<'a> {
    /// It stands there, with what came of it.
    Recordable(Box<Recorded>),
    /// It has no answer, and it is made again as when it was asked.
    Again(Millis),
    /// It has no answer, and nobody knows whether it happened.
    Interrupted(&'a Recorded),
    /// It is new.
    New,
    /// The run has come to a verdict.
    Over,
}

impl Recording {
    /// The past that these entries tell of.
    ///
    /// # Errors
    /// When they do not begin as a run does.
    pub(crate) fn of(store: Arc<dyn Store>, entries: Vec<Entry>) -> Result<Self, StoreError> {
        let mut entries = entries.into_iter();
        let Some(Entry::Started(started)) = entries.next() else {
            return Err(StoreError::Damaged { why: "a run's journal that does not begin with its start".to_owned() });
        };
        let (calls, seen, at) = (BTreeMap::new(), Vec::new(), Mutex::default());
        let (spawned, questioned, dropped, heard) =
            (BTreeMap::new(), BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let (ended, lost, verdict) = (None, OnceLock::new(), OnceLock::new());
        let mut past =
            Self { store, started, calls, seen, ended, spawned, questioned, dropped, heard, lost, at, verdict };
        for entry in entries {
            if let Entry::Questioned { call, id, expires, .. } = &entry {
                past.questioned.insert(*call, (*id, *expires));
            }
            // It may stand before the entry that tells of the call.
            if let Entry::Observed { call, dropped: true } = entry {
                past.dropped.insert(call);
            } else {
                past.add(entry);
            }
        }
        for call in &past.dropped {
            if let Some(recorded) = past.calls.get_mut(call).filter(|recorded| !recorded.what.spec().blocks) {
                recorded.delivery = Delivered::Never;
            }
        }
        Ok(past)
    }

    /// The run goes on behind it. What the kernel says of the calls without an answer holds, but for an answer of which
    /// the guest has heard a part: it was paid for, and the guest is told of the break with what it heard.
    pub(crate) fn go_on(&self, lost: &[Lost]) {
        let afterwards = |lost: &Lost| match self.heard.get(&lost.call) {
            Some(heard) if heard.some => Afterwards::Interrupted,
            _ => lost.then,
        };
        // A run goes on once in a host's memory.
        let _ = self.lost.set(lost.iter().map(|lost| (lost.call, afterwards(lost))).collect());
    }

    /// True if the run goes on behind it.
    pub(crate) fn goes_on(&self) -> bool {
        self.lost.get().is_some()
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Asked { call, at, what, .. }
            | Entry::Questioned { call, at, what, .. }
            | Entry::Queued { call, at, what, .. } => {
                // A call that waited for people or for its turn is asked for a second time, and so is one that was lost with its host.
                let fate = if what.spec().blocks { Delivered::AtOnce } else { Delivered::Never };
                let recorded = Recorded { what, began: at, until: at, given: None, delivery: fate, asked: true };
                self.calls.entry(call).or_insert(recorded);
            }
            Entry::Called { call, at, what, outcome, .. } => {
                self.give(call, at, what, RecordedAnswer::Outcome(outcome))
            }
            Entry::Refused { call, at, what, refusal, .. } => {
                self.give(call, at, what, RecordedAnswer::Refusal(Box::new(refusal)))
            }
            Entry::Answered { call, at, outcome, .. } => {
                if let Some(recorded) = self.calls.get_mut(&call) {
                    (recorded.until, recorded.given) = (at, Some(RecordedAnswer::Outcome(outcome)));
                }
            }
            Entry::Spawned { call, run } => drop(self.spawned.insert(call, run)),
            Entry::Observed { call, .. } => self.observed(call),
            Entry::Heard { call, pieces } => {
                let heard = self.heard.entry(call).or_default();
                (heard.last, heard.whole) = (self.seen.len(), pieces.is_empty());
                heard.some |= !pieces.is_empty();
                self.seen.push(SeenDelivery { delivery: Delivery::Pieces(call), pieces });
            }
            Entry::Ended(ended) => self.ended = Some(ended),
            // No run of this home works for it, and nobody of this home was asked for it.
            Entry::Imported { .. } => (self.spawned, self.questioned) = (BTreeMap::new(), BTreeMap::new()),
            // Labels and the policy are the kernel's to know, and the host's own entries are of no run.
            _ => {}
        }
    }

    /// A call that has no intent in the journal, or whose intent was to ask people.
    fn give(&mut self, call: CallId, at: Millis, what: Call, given: RecordedAnswer) {
        let known = self.calls.get(&call);
        let (began, delivery) = known.map_or((at, Delivered::AtOnce), |known| (known.began, known.delivery));
        let recorded = Recorded { what, began, until: at, given: Some(given), delivery, asked: known.is_some() };
        self.calls.insert(call, recorded);
    }

    fn observed(&mut self, call: CallId) {
        let Some(recorded) = self.calls.get_mut(&call).filter(|recorded| !recorded.what.spec().blocks) else { return };
        recorded.delivery = Delivered::Seen;
        self.seen.push(SeenDelivery { delivery: Delivery::Answer(call), pieces: Vec::new() });
    }

    /// How the run began.
    pub(crate) fn started(&self) -> &Started {
        &self.started
    }

    /// How it ended; none if it did not.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// How many calls it made.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.keys().next_back().map_or(0, |call| call.0)
    }

    /// All that it asked for.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().map(|recorded| &recorded.what)
    }

    /// The run that this call began below this one.
    pub(crate) fn spawned(&self, call: CallId) -> Option<RunId> {
        self.spawned.get(&call).copied()
    }

    /// The runs that it began below it.
    pub(crate) fn all_spawned(&self) -> Vec<RunId> {
        self.spawned.values().copied().collect()
    }

    /// The fuel that it gave away by this call, if the guest did not name it then.
    pub(crate) fn gave(&self, call: CallId) -> Option<u64> {
        let Call::AgentsCall(Delegation { share, fuel, .. }) = &self.calls.get(&call)?.what else { return None };
        share.iter().all(|(what, _)| *what != Resource::Fuel).then_some(*fuel)
    }

    /// Whether this call ran another agent; none if it is not of the past.
    pub(crate) fn delegated(&self, call: CallId) -> Option<bool> {
        self.calls.get(&call).map(|recorded| matches!(recorded.what, Call::AgentsCall(_)))
    }

    /// What people were asked last about this call, and until when.
    pub(crate) fn questioned(&self, call: CallId) -> Option<(ApprovalId, Millis)> {
        self.questioned.get(&call).copied()
    }

    /// Whether the kernel had said yes to this call, or asked people about it.
    pub(crate) fn was_asked(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|recorded| recorded.asked)
    }

    /// A content that it names.
    pub(crate) fn content(&self, name: &Digest) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Damaged { why: format!("the content {name} of a run is missing") };
        self.store.get(&keys::blob(name))?.ok_or_else(missing)
    }

    /// True if a call of this number was not made before, and the run goes on with it.
    pub(crate) fn is_behind(&self, call: CallId) -> bool {
        self.goes_on() && call.0 > self.calls()
    }

    /// What the call of this number is, if it is the one that the guest makes now; else the run has come to a verdict.
    pub(crate) fn recall(&self, call: CallId, what: &Call) -> Step<'_> {
        if self.is_behind(call) {
            return Step::New;
        }
        let Some(recorded) = self.calls.get(&call) else {
            if self.was_cut() && call.0 > self.calls() {
                self.conclude(Verdict::Cut);
            } else {
                self.differs(Some(call), "not made".to_owned(), told(what));
            }
            return Step::Over;
        };
        if !what.repeats(&recorded.what) && what.clone().cut() != recorded.what {
            self.differs(Some(call), told(&recorded.what), told(what));
            return Step::Over;
        }
        let Some(lost) = self.lost.get().filter(|_| !self.dropped.contains(&call)) else {
            return Step::Recordable(Box::new(recorded.clone()));
        };
        match (&recorded.given, lost.get(&call)) {
            (Some(_), _) if recorded.delivery == Delivered::Never => {
                Step::Recordable(Box::new(Recorded { delivery: Delivered::Unseen, ..recorded.clone() }))
            }
            (Some(_), _) => Step::Recordable(Box::new(recorded.clone())),
            (None, Some(Afterwards::Interrupted)) => Step::Interrupted(recorded),
            (None, _) => Step::Again(recorded.began),
        }
    }

    /// When this call was made before; none if it is new.
    pub(crate) fn began(&self, call: CallId) -> Option<Millis> {
        self.calls.get(&call).map(|recorded| recorded.began)
    }

    /// What the guest saw next, if it can see it now; else a run that rests has come to a verdict.
    pub(crate) fn next_sight(&self, rests: bool, waits: &dyn Fn(Delivery) -> bool) -> Next {
        let mut place = self.at.lock();
        let Some(next) = self.seen.get(place.seen) else {
            drop(place);
            if self.goes_on() {
                return Next::First;
            }
            if rests && self.was_cut() {
                self.conclude(Verdict::Cut);
            } else if rests {
                self.differs(None, "went on".to_owned(), "waits for what never came".to_owned());
            }
            return Next::Nothing;
        };
        let (Delivery::Answer(call) | Delivery::Pieces(call)) = next.delivery;
        if waits(next.delivery) {
            place.seen += 1;
            if matches!(next.delivery, Delivery::Pieces(_)) {
                place.pieces = Some((call, next.pieces.clone()));
            }
            return Next::This(next.delivery);
        }
        drop(place);
        if rests {
            self.differs(Some(call), "waited for".to_owned(), "not".to_owned());
        }
        Next::Nothing
    }

    /// The pieces that the guest sees with what was let through last.
    pub(crate) fn pieces(&self) -> Vec<u8> {
        self.at.lock().pieces.take().map(|(_, pieces)| pieces).unwrap_or_default()
    }

    /// True if what the guest hears next of this call is what it heard before.
    pub(crate) fn still_hears(&self, call: CallId) -> bool {
        if !self.goes_on() {
            return true;
        }
        let place = self.at.lock();
        let waits = place.pieces.as_ref().is_some_and(|(of, _)| *of == call);
        waits || self.heard.get(&call).is_some_and(|heard| heard.last >= place.seen)
    }

    /// All that the guest heard of this call, encoded, in order.
    pub(crate) fn heard(&self, call: CallId) -> impl Iterator<Item = &[u8]> {
        let pieces =
            self.seen.iter().filter(move |seen| seen.delivery == Delivery::Pieces(call) && !seen.pieces.is_empty());
        pieces.map(|seen| seen.pieces.as_slice())
    }

    /// The answer of which the guest has yet to hear the rest, and whether it heard a part; none if it is not so.
    pub(crate) fn unheard(&self, call: CallId) -> Option<(&Outcome, bool)> {
        let heard = self.heard.get(&call).copied().unwrap_or_default();
        match self.calls.get(&call)?.given.as_ref()? {
            RecordedAnswer::Outcome(outcome) if self.goes_on() && !heard.whole => Some((outcome, heard.some)),
            _ => None,
        }
    }

    /// The run has ended after so many calls: if it made more before, it does not do what it did.
    pub(crate) fn fell_short(&self, made: u32) {
        if made < self.calls() {
            let call = CallId(made + 1);
            let recorded =
                self.calls.get(&call).map_or_else(|| "made".to_owned(), |recorded| self::told(&recorded.what));
            self.differs(Some(call), recorded, "not made".to_owned());
        }
    }

    /// Compares the end.
    pub(crate) fn close(&self, made: u32, status: Status, output: Digest, told: &str) {
        if self.was_cut() {
            return self.conclude(Verdict::Cut);
        }
        let Some(ended) = &self.ended else { return };
        if made < self.calls() {
            return self.fell_short(made);
        }
        if (ended.status, ended.output) != (status, output) {
            let before = self.content(&ended.output).unwrap_or_default();
            let before = short(&String::from_utf8_lossy(&before));
            let (then, now) = (verdict::word(ended.status), verdict::word(status));
            self.differs(None, format!("{then} with {before}"), format!("{now} with {}", short(told)));
        }
    }

    /// What came of it; none if all is as it was.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.get()
    }

    pub(crate) fn unreadable(&self, error: StoreError) {
        self.conclude(Verdict::Unreadable(error));
    }

    pub(crate) fn differs(&self, call: Option<CallId>, recorded: String, now: String) {
        self.conclude(Verdict::Differs(Difference { call, recorded, now }));
    }

    fn conclude(&self, verdict: Verdict) {
        // The first one is the reason; later ones follow from it.
        let _ = self.verdict.set(verdict);
    }

    /// True if it was ended from outside, by time, by a person or by a crash: where, no execution can tell.
    pub(crate) fn was_cut(&self) -> bool {
        let Some(ended) = &self.ended else { return true };
        let late = || End::timed_out(self.started.held[Resource::WallTime]).bytes();
        ended.status == Status::Stopped || ended.output == digest(&late())
    }
}

impl Recorded {
    /// The same, with what comes of it now: the guest sees it when all that it saw before is behind it.
    pub(crate) fn answered(&self, outcome: Outcome, at: Millis) -> Self {
        Self { given: Some(RecordedAnswer::Outcome(outcome)), until: at, delivery: Delivered::Unseen, ..self.clone() }
    }

    /// The clock as the call began, and as its answer came.
    pub(crate) fn times(&self) -> (Millis, Millis) {
        (self.began, self.until)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} calls)", self.calls.len())
    }
}

/// A call as a person reads it. Its arguments tell it from another one.
fn told(call: &Call) -> String {
    short(&match call {
        Call::ToolsCall { name, arguments, .. } => format!("tools.call {name} with arguments {arguments}"),
        Call::LlmComplete(ask) | Call::LlmStream(ask) => {
            format!("{} of {} messages, {}", call.name(), ask.messages.len(), ask.settings)
        }
        Call::LogEvent { line, .. } => format!("log.event {line}"),
        Call::MemoryPut { namespace, key, content, .. } => format!("memory.put {namespace} {key} {content}"),
        Call::MemoryGet { namespace, key } | Call::MemoryDelete { namespace, key } => {
            format!("{} {namespace} {key}", call.name())
        }
        Call::FilesWrite { place, content, .. } => format!("files.write {}:{} {content}", place.root, place.path),
        Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) | Call::FilesDelete(place) => {
            format!("{} {}:{}", call.name(), place.root, place.path)
        }
        Call::Fetch(fetch) => format!("http.fetch {} {} {}", fetch.method, fetch.url, fetch.content),
        Call::TimersSleep { ms } => format!("timers.sleep {ms} ms"),
        Call::AgentsCall(delegation) => format!("agents.call {} with {}", delegation.agent, delegation.input),
        Call::AgentsSend(post) => format!("agents.send {} {}", post.agent, post.content),
        Call::AgentsReply { letter, post } => format!("agents.reply {letter} {}", post.content),
        Call::LlmEmbed { model, bytes } => format!("llm.embed {model}, {bytes} bytes"),
        Call::LlmCountTokens { model } => format!("llm.count-tokens {model}"),
        Call::MemoryList { namespace, prefix } => format!("memory.list {namespace} {prefix}*"),
        Call::Memory { function, namespace } => format!("{function} {namespace}"),
        Call::HttpFetch { method, url } => format!("http.fetch {method} {url}"),
        Call::HumanAsk { question, .. } => format!("human.ask {question}"),
        Call::HumanNotify { text } => format!("human.notify {text}"),
        Call::AgentsFind { provides } => format!("agents.find {provides}"),
        Call::AgentsReceive { timeout_ms: Some(ms) } => format!("agents.receive within {ms} ms"),
        Call::LlmModels | Call::ToolsList | Call::AgentsReceive { timeout_ms: None } => call.name().to_owned(),
        Call::TimersNow | Call::TimersDeadline | Call::BudgetRemaining | Call::BudgetSplit => call.name().to_owned(),
        Call::Context(_) | Call::Agents(_) | Call::Human(_) => call.name().to_owned(),
    })
}

fn short(text: &str) -> String {
    agentry_kernel::text::cut(text.to_owned(), 200)
}

#[cfg(test)]
mod tests;
