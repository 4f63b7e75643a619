//! What the gate knows of a run while it runs: who it is, its clock, its deadline, who watches. It decides nothing, and knows nothing of
//! the guest but what that reports.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use agentry_abi::clock::RunClock;
use agentry_abi::port::{Delivery, Next};
use agentry_journal::Trail;
use agentry_journal::report::REFUSALS_KEPT_MAX;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::LABELS_MAX;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::limits::{CONTENT_REMEMBERED_MIN_BYTES, CONTENTS_REMEMBERED_MAX};
use agentry_store::rows::run::RunRecord;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::activity::{Activity, Holder};
use crate::run::acts::Acts;
use crate::run::cause::Began;
use crate::run::events::Observer;
use crate::run::recording::Recording;

/// One run, as everything on the way of its syscalls sees it.
#[derive(Debug)]
pub struct RunContext {
    /// Which run.
    pub id: RunId,
    /// The agent's name.
    pub agent: String,
    /// The time that the guest sees.
    pub clock: RunClock,
    /// Cancelled when the run is stopped or has ended: every act in flight ends soon after.
    pub cancelled: CancellationToken,
    /// Cancelled when the run leaves memory, to go on later by its journal.
    pub(crate) leaves: CancellationToken,
    /// True if it does that to go on at once, in another place.
    moves: AtomicBool,
    /// Held by whoever brings it and those below it there: one at a time.
    pub(crate) relocating: tokio::sync::Mutex<()>,
    /// Its guest took a place that it shared for too long at a time.
    overran: AtomicBool,
    /// Who watches.
    pub observer: Observer,
    /// Its end of the journal.
    pub(crate) trail: Arc<Trail>,
    /// Acts that have begun and are not settled yet.
    pub(crate) acts: Arc<Acts>,
    /// Of these, the calls that reach outside and that the guest dropped after it had learnt something: they go to their own end.
    pub(crate) detached: Arc<Acts>,
    /// Calls whose answer the guest has yet to see.
    pub(crate) unseen: Arc<Acts>,
    /// Calls for letters that the guest dropped and that may have one: it takes no other before that is back.
    pub(crate) going_back: Arc<Acts>,
    /// What started it by itself.
    pub(crate) began: Option<Began>,
    /// How it stands, for people.
    pub(crate) activity: Activity,
    /// What it did before, if it is executed again.
    past: Option<Arc<Recording>>,
    next_call: AtomicU32,
    deadline: OnceLock<Instant>,
    record: OnceLock<RunRecord>,
    /// Where lists have it since the clock was set back.
    listed: Mutex<Option<Millis>>,
    tally: Mutex<Tally>,
    /// The agents above it, if it is below others: the nearest first. The last one pays.
    callers: Vec<String>,
    /// Runs that work for it, until they are over.
    children: Mutex<Vec<Weak<RunContext>>>,
    /// Fuel that its guest gave to children.
    fuel_given: AtomicU64,
    labels: Mutex<Labels>,
    notices: AtomicU32,
    gains: AtomicU32,
    gained: Mutex<Vec<(String, CallId)>>,
    /// Contents that it has paid for, of those that it may send again.
    written: Mutex<HashSet<Digest>>,
}

/// What a run has come to so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Taken from its accounts, all calls together.
    pub spent: Amounts,
    /// The first refusals, at most [`REFUSALS_KEPT_MAX`].
    pub refusals: Vec<Refusal>,
    /// How many there were in all.
    pub refused: u32,
}

impl RunContext {
    /// A run that is about to begin at `now`.
    pub fn new(id: RunId, agent: impl Into<String>, now: Millis, observer: Observer) -> Self {
        Self {
            id,
            agent: agent.into(),
            clock: RunClock::at(now),
            cancelled: CancellationToken::new(),
            leaves: CancellationToken::new(),
            moves: AtomicBool::new(false),
            relocating: tokio::sync::Mutex::default(),
            overran: AtomicBool::new(false),
            observer,
            trail: Arc::new(Trail::new(id)),
            acts: Arc::default(),
            detached: Arc::default(),
            unseen: Arc::default(),
            going_back: Arc::default(),
            began: None,
            activity: Activity::default(),
            past: None,
            callers: Vec::new(),
            children: Mutex::default(),
            fuel_given: AtomicU64::new(0),
            labels: Mutex::default(),
            notices: AtomicU32::new(0),
            gains: AtomicU32::new(0),
            written: Mutex::default(),
            gained: Mutex::default(),
            next_call: AtomicU32::new(1),
            deadline: OnceLock::new(),
            record: OnceLock::new(),
            listed: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// The same; the past that it is given lacks contents, because it comes from an export of an older version.
    #[must_use]
    pub(crate) fn lacking_contents(self) -> Self {
        Self { trail: Arc::new(Trail::lacking(self.id)), ..self }
    }

    /// The same, and it ends when this token is cancelled. The token becomes the run's own: at its end it is cancelled as well.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { cancelled: stop, ..self }
    }

    /// The same below another run: what that one was told may stand in what it asks, and it pays.
    #[must_use]
    pub(crate) fn below(self, parent: &Self) -> Self {
        let callers = std::iter::once(&parent.agent).chain(&parent.callers).cloned().collect();
        Self { callers, labels: Mutex::new(parent.labels()), ..self }
    }

    /// This run works for it.
    pub(crate) fn adopt(&self, child: &Arc<Self>) {
        let mut children = self.children.lock();
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(child));
    }

    /// Those that work for it, some of which may be over.
    pub(crate) fn children(&self) -> Vec<Arc<Self>> {
        self.children.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// The agent on whose books it draws.
    pub(crate) fn payer(&self) -> &str {
        self.callers.last().unwrap_or(&self.agent)
    }

    /// For whom it works, as a person is told behind what it asks; nothing if for itself.
    pub(crate) fn works_for(&self) -> String {
        self.callers.iter().map(|caller| format!(", for {caller}")).collect()
    }

    /// Fuel that its guest gave to children so far.
    pub(crate) fn fuel_given(&self) -> u64 {
        self.fuel_given.load(Ordering::Acquire)
    }

    /// Its guest has so much less.
    pub(crate) fn give_fuel(&self, fuel: u64) {
        self.fuel_given.fetch_add(fuel, Ordering::AcqRel);
    }

    /// The same, started by this.
    #[must_use]
    pub(crate) fn started_by(self, began: Option<Began>) -> Self {
        Self { began, ..self }
    }

    /// The same, executed again: each call gets the answer of then.
    #[must_use]
    pub(crate) fn again(self, past: Arc<Recording>) -> Self {
        Self { past: Some(past), ..self }
    }

    /// What it did before, if it is executed again.
    pub(crate) fn recording(&self) -> Option<&Arc<Recording>> {
        self.past.as_ref()
    }

    /// True if it does again what it did before: its next call stands in its past.
    pub(crate) fn repeats(&self) -> bool {
        self.past.as_ref().is_some_and(|past| !past.is_behind(CallId(self.calls().saturating_add(1))))
    }

    /// When it made this call before; none if the call is new.
    pub(crate) fn began(&self, call: CallId) -> Option<Millis> {
        self.past.as_ref()?.began(call)
    }

    /// Goes on counting from what it took before.
    pub(crate) fn carry(&self, spent: Amounts, refused: u32, labels: &Labels) {
        let mut tally = self.tally.lock();
        (tally.spent, tally.refused) = (spent, refused);
        drop(tally);
        *self.labels.lock() = labels.clone();
    }

    /// When its wall time ends; none before it has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Syscalls that it has made.
    pub fn calls(&self) -> u32 {
        self.next_call.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Ready when its guest may have a turn: nobody holds it, and the disk keeps up with what it causes to be written.
    pub(crate) fn poll_turn(&self, context: &Context<'_>) -> Poll<()> {
        if self.trail.poll_pace(context).is_pending() || self.activity.holds(context.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// What its guest sees next of what waits.
    pub(crate) fn next(&self, rests: bool, waiting: &[Delivery]) -> Next {
        let Some(past) = &self.past else { return Next::First };
        let next = past.next_sight(rests, &|delivery| waiting.contains(&delivery));
        if past.verdict().is_some() {
            self.cancelled.cancel();
        }
        next
    }

    /// Since when it waits for nothing but what comes to it anyway, be it in memory or not; none if it does anything else.
    pub(crate) fn rests_since(&self) -> Option<Millis> {
        self.activity.rests_since().filter(|_| self.has_seen_all())
    }

    /// Holds it if that is so; the calls that it waits for.
    pub(crate) fn try_quiesce(&self) -> Option<Vec<CallId>> {
        let calls = self.activity.try_quiesce()?;
        if self.has_seen_all() {
            return Some(calls);
        }
        self.activity.hold(Holder::Parking, false);
        None
    }

    /// True if each call that its guest has to see to is one that it waits for, and no answer is on its way. A wait in the guest's own
    /// standard library is no call, and nothing would bring it back from that.
    fn has_seen_all(&self) -> bool {
        self.activity.has_seen_all() && self.unseen.count() == self.activity.calls()
    }

    /// It leaves memory to go on at once in another place, or does not after all.
    pub(crate) fn set_moves(&self, moves: bool) {
        self.moves.store(moves, Ordering::SeqCst);
    }

    /// Its guest took a place that it shared for too long at a time.
    pub(crate) fn set_overran(&self) {
        self.overran.store(true, Ordering::SeqCst);
    }

    /// True if it is to have a place of its own.
    pub(crate) fn overran(&self) -> bool {
        self.overran.load(Ordering::SeqCst)
    }

    /// True if it leaves memory to go on at once.
    pub(crate) fn moves(&self) -> bool {
        self.moves.load(Ordering::SeqCst)
    }

    /// The number of the call that it made last; none before the first.
    pub(crate) fn last_call(&self) -> Option<CallId> {
        Some(CallId(self.calls())).filter(|call| call.0 > 0)
    }

    /// What it has come to so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    /// Its record as it was at the start; none before it has begun.
    pub fn record(&self) -> Option<&RunRecord> {
        self.record.get()
    }

    /// The same as it is written from here on, before what has come to pass is put into it.
    pub(crate) fn record_to_write(&self) -> Option<RunRecord> {
        let listed = *self.listed.lock();
        self.record().map(|record| RunRecord { listed: listed.or(record.listed), ..record.clone() })
    }

    /// Lists it by this time if it began later, by a clock that was set back; false if it did not.
    pub(crate) fn list_by(&self, now: Millis) -> bool {
        let mut listed = self.listed.lock();
        let later = self.record().is_some_and(|record| listed.or(record.listed).unwrap_or(record.started) > now);
        if later {
            *listed = Some(now);
        }
        later
    }

    pub(crate) fn set_record(&self, record: RunRecord) {
        // As with the deadline.
        let _ = self.record.set(record);
    }

    pub(crate) fn set_deadline(&self, at: Instant) {
        // A run begins once; if it were begun again, the first deadline stands.
        let _ = self.deadline.set(at);
    }

    /// The next call's number; none once the run has made `max`.
    pub(crate) fn next_call(&self, max: u32) -> Option<CallId> {
        let next = |number: u32| (number <= max).then_some(number + 1);
        self.next_call.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(CallId)
    }

    /// The labels that it holds.
    pub fn labels(&self) -> Labels {
        self.labels.lock().clone()
    }

    /// How often it has gained labels.
    pub(crate) fn gains(&self) -> u32 {
        self.gains.load(Ordering::Acquire)
    }

    /// The call that brought it a label, as far as it did not hold that from its start.
    pub(crate) fn gained_by(&self, label: &str) -> Option<CallId> {
        self.gained.lock().iter().find(|(gained, _)| gained == label).map(|(_, call)| *call)
    }

    /// The kernel gave it these by this call, and took those. A set of labels has a maximum, and so has what is remembered of it.
    pub(crate) fn relabel(&self, call: CallId, labels: &Labels, cleared: &Labels) {
        let mut gained = self.gained.lock();
        gained.retain(|(label, _)| !cleared.has(label));
        for label in labels.iter() {
            if gained.len() < LABELS_MAX && !gained.iter().any(|(known, _)| known == label) {
                gained.push((label.to_owned(), call));
            }
        }
        drop(gained);
        let mut held = self.labels.lock();
        *held = held.and(labels).without(cleared);
        if !labels.is_empty() {
            self.gains.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A person took these off it.
    pub(crate) fn unlabel(&self, taken: &Labels) {
        self.gained.lock().retain(|(label, _)| !taken.has(label));
        let mut held = self.labels.lock();
        *held = held.without(taken);
    }

    /// It tells people one thing more; how many that are.
    pub(crate) fn count_notice(&self) -> u32 {
        self.notices.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Bytes of these contents that were not written for it before: each message of a conversation is stored once, however often it is sent. What
    /// others have stored counts all the same: that it costs nothing would tell of them.
    pub(crate) fn unwritten(&self, contents: &[Content]) -> u64 {
        let written = self.written.lock();
        let new = contents.iter().filter(|content| !written.contains(&content.digest));
        new.fold(0, |sum, content| sum.saturating_add(content.bytes.len() as u64))
    }

    /// They are written for it now. Short ones are not worth remembering, and neither is what comes behind the first so many.
    pub(crate) fn wrote(&self, contents: &[Content]) {
        let long = contents.iter().filter(|content| content.bytes.len() >= CONTENT_REMEMBERED_MIN_BYTES);
        let mut written = self.written.lock();
        let room = CONTENTS_REMEMBERED_MAX.saturating_sub(written.len());
        written.extend(long.map(|content| content.digest).take(room));
    }

    pub(crate) fn add_spent(&self, spent: Amounts) {
        let mut tally = self.tally.lock();
        tally.spent = tally.spent.plus(spent);
    }

    /// Something that it took it did not take after all.
    pub(crate) fn returned(&self, returned: Amounts) {
        let mut tally = self.tally.lock();
        tally.spent = tally.spent.minus(returned);
    }

    pub(crate) fn add_refusal(&self, refusal: &Refusal) {
        let mut tally = self.tally.lock();
        tally.refused = tally.refused.saturating_add(1);
        if tally.refusals.len() < REFUSALS_KEPT_MAX {
            tally.refusals.push(refusal.clone());
        }
    }
}
