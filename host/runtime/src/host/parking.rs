//! Runs that rest: which of those that wait leave memory, how they are filed, and what brings them back: time, letters, people. It looks at
//! what stands in the store, so that a run comes back in whichever epoch of its host serves then; it never touches a run of another host.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_journal::{Journal, log, payer};
use agentry_kernel::call::{CallId, RunId, Wait};
use agentry_kernel::journal::{Status, Unfinished, Wake};
use agentry_kernel::time::Millis;
use agentry_store::ids::HostEpoch;
use agentry_store::limits::{IDLE_LOOK_MS, IDLE_QUARTERS, WAKE_LOOK_MS};
use agentry_store::rows::parked::{OpenRun, ParkedRun};
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, keys, rows, scan_all};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::config::Idle;
use crate::gate::Gate;
use crate::host::services::Services;
use crate::run_queue::RunOutcome;

/// Of its time, a host spends one part in so many on looking at those that wait.
const SWEEP_SHARE: u32 = 50;

/// How often it is tried to file a run that something happens to at the same moment.
const TRIES_MAX: usize = 8;

/// The runs of a host that serves and that are not only in memory or only in the store.
pub struct Parking {
    idle: Mutex<Idle>,
    state: Mutex<State>,
    /// Rung when there may be something to do.
    bell: Notify,
}

#[derive(Default)]
struct State {
    /// Those that are being filed or brought back, or go on after that: nobody else brings them back.
    going: HashSet<RunId>,
    /// Those that people want stopped, and why.
    stopped: HashMap<RunId, String>,
    /// Those that could not go on when they came back, and why.
    stranded: BTreeMap<RunId, String>,
    /// They are to be tried again.
    again: bool,
    /// Who hears of the end of one that was ordered.
    ends: HashMap<RunId, oneshot::Sender<RunOutcome>>,
}

impl Parking {
    pub(crate) fn new(idle: Idle) -> Self {
        Self { idle: Mutex::new(idle), state: Mutex::default(), bell: Notify::new() }
    }

    /// From now on runs leave memory by this.
    pub(super) fn set_idle(&self, idle: Idle) {
        *self.idle.lock() = idle;
    }

    /// From now on nobody else brings it back; false if somebody does already.
    pub(super) fn take(&self, run: RunId) -> bool {
        self.state.lock().going.insert(run)
    }

    /// It has ended, or rests again.
    pub(super) fn release(&self, run: RunId) {
        self.state.lock().going.remove(&run);
        self.bell.notify_one();
    }

    /// What brings runs back has changed otherwise than by one of them.
    pub(super) fn look_again(&self) {
        self.bell.notify_one();
    }

    /// It could not go on, for this reason, or has gone on.
    pub(super) fn strand(&self, run: RunId, why: Option<String>) {
        let mut state = self.state.lock();
        match why {
            Some(why) => drop(state.stranded.insert(run, why)),
            None => drop(state.stranded.remove(&run)),
        }
    }

    /// Those that could not go on when they came back, and why; they are tried again when what agents may do, or which there are, has changed.
    pub fn stranded(&self) -> Vec<(RunId, String)> {
        self.state.lock().stranded.clone().into_iter().collect()
    }

    /// It has.
    pub(super) fn try_again(&self) {
        self.state.lock().again = true;
        self.bell.notify_one();
    }

    /// A person wants a run stopped that is not in memory; it comes back for that.
    pub fn stop(&self, run: RunId, because: String) {
        self.state.lock().stopped.insert(run, because);
        self.bell.notify_one();
    }

    /// Why a person wants it stopped; none if nobody does.
    pub(super) fn stopped(&self, run: RunId) -> Option<String> {
        self.state.lock().stopped.remove(&run)
    }

    /// Tells `over` when the run has ended, on this host.
    pub(super) fn at_end(&self, run: RunId, over: oneshot::Sender<RunOutcome>) {
        if !over.is_closed() {
            self.state.lock().ends.insert(run, over);
        }
    }

    /// It has ended.
    pub(super) fn ended(&self, run: RunId) {
        if let Some(over) = self.state.lock().ends.remove(&run) {
            // Nobody need listen.
            let _ = over.send(Ok(run));
        }
    }

    /// The host stops: nobody hears any more.
    pub(super) fn close(&self) {
        self.state.lock().ends.clear();
    }

    /// Lets those leave memory that have waited for long, or for less while there is little room; the longest first.
    fn sweep(&self, gate: &Gate, runs_max: usize) {
        let mut resting = gate.resting();
        if resting.is_empty() {
            return;
        }
        resting.sort_unstable_by_key(|(run, since, _)| (*since, *run));
        let (mut runs, mut bytes) = gate.load();
        let (now, idle) = (gate.clock().now(), *self.idle.lock());
        for (run, since, its) in resting {
            let waited = now.since(since);
            let crowded = runs * 4 > runs_max * IDLE_QUARTERS || bytes > idle.memory_bytes;
            let long = waited >= idle.after_ms || (crowded && waited >= IDLE_LOOK_MS);
            if long && gate.rest(run) {
                (runs, bytes) = (runs.saturating_sub(1), bytes.saturating_sub(its));
            }
        }
    }
}

/// Looks at those that wait, again and again, until it is dropped; with so many of them that a look takes long, less often.
pub(super) async fn sweep(services: Arc<Services>) {
    loop {
        let begun = Instant::now();
        services.parking.sweep(&services.drivers.gate, services.agents.runs_max());
        tokio::time::sleep(Duration::from_millis(IDLE_LOOK_MS).max(begun.elapsed() * SWEEP_SHARE)).await;
    }
}

/// Gives those that come back, each once, until it is dropped.
pub(super) async fn wake(services: Arc<Services>, back: mpsc::Sender<RunId>) {
    let letters = services.drivers.mail.any_arrival();
    let journal = services.drivers.gate.journal();
    let waker = Waker { services: &services, store: &**journal.store(), at: journal.at(), back };
    loop {
        // Before the look: what comes behind it is heard of.
        let (mut letter, mut answer) = (pin!(letters.notified()), pin!(services.drivers.human.answered()));
        letter.as_mut().enable();
        answer.as_mut().enable();
        let next = match waker.look().await {
            Ok(next) => next,
            Err(Stop::Over) => return,
            Err(Stop::Store(error)) => {
                services.policy_watch.alarm(format!("runs that rest do not come back: {error}"));
                None
            }
        };
        let now = services.drivers.gate.clock().now();
        let ms = next.map_or(WAKE_LOOK_MS, |at| at.since(now)).min(WAKE_LOOK_MS);
        tokio::select! {
            () = &mut letter => {}
            () = &mut answer => {}
            () = services.parking.bell.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        }
    }
}

struct Waker<'a> {
    services: &'a Services,
    store: &'a dyn Store,
    at: HostEpoch,
    back: mpsc::Sender<RunId>,
}

enum Stop {
    /// Nobody takes any more.
    Over,
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Waker<'_> {
    /// Brings back all whose time it is, for whom a letter has come, whom a person wants stopped and who may be able to go on now; when the next one's time comes.
    async fn look(&self) -> Result<Option<Millis>, Stop> {
        let back: Vec<_> = {
            let mut state = self.services.parking.state.lock();
            let again = std::mem::take(&mut state.again);
            let stranded = state.stranded.keys().filter(|_| again);
            state.stopped.keys().chain(stranded).copied().collect()
        };
        for run in back {
            if self.services.parking.take(run) {
                self.send(run).await?;
                continue;
            }
            // A try that is under way began before the change: once more when that has come to its end. A stop waits by itself.
            let mut state = self.services.parking.state.lock();
            state.again |= state.stranded.contains_key(&run) && !state.stopped.contains_key(&run);
        }
        self.letters().await?;
        self.due().await
    }

    async fn due(&self) -> Result<Option<Millis>, Stop> {
        let now = self.services.drivers.gate.clock().now();
        for row in scan_all(self.store, Range::of(keys::WAKES)) {
            let (key, _) = row?;
            let (Some(at), Some(run)) = (keys::wakes_at(&key), keys::number(&key).map(RunId)) else { continue };
            if at > now {
                return Ok(Some(at));
            }
            self.bring(run, &key).await?;
        }
        Ok(None)
    }

    /// For each agent, so many of those that wait for its letters as there are letters.
    async fn letters(&self) -> Result<(), Stop> {
        let mut range = Range::of(keys::READERS);
        loop {
            let rows = self.store.scan(&range, Page { rows: 1, bytes: 1 })?;
            let Some(agent) = rows.first().and_then(|(key, _)| keys::reader_of(key)) else { return Ok(()) };
            let readers = Range::of(&keys::readers(&agent));
            range.from.clone_from(&readers.to);
            let letters = self.store.scan(&Range::of(&keys::letters(&agent)), Page::PART)?.len();
            if letters == 0 {
                continue;
            }
            for (key, _) in self.store.scan(&readers, Page { rows: letters, ..Page::PART })? {
                if let Some(run) = keys::number(&key).map(RunId) {
                    self.bring(run, &key).await?;
                }
            }
        }
    }

    /// Brings a run back that rests. A place of one that does not is one that a host left behind which was killed; one that another host has
    /// comes back there.
    async fn bring(&self, run: RunId, place: &[u8]) -> Result<(), Stop> {
        if !self.services.parking.take(run) {
            return Ok(());
        }
        let open = OpenRun::of(self.store, run)?;
        let elsewhere = open.as_ref().is_some_and(|open| open.at.host != self.at.host);
        if !elsewhere && open.and_then(|open| open.parked).is_some_and(|rest| rest.wake.is_some()) {
            return self.send(run).await;
        }
        let mut batch = Batch::default();
        batch.remove(place.to_vec());
        let removed = if elsewhere { Ok(()) } else { self.store.commit(batch).await };
        self.services.parking.state.lock().going.remove(&run);
        Ok(removed?)
    }

    async fn send(&self, run: RunId) -> Result<(), Stop> {
        self.back.send(run).await.map_err(|_| Stop::Over)
    }
}

/// Files a run as it stands now that it has left memory or ended; `before` is how it was filed last.
pub(super) async fn file(journal: &Journal, run: RunId, before: Option<&ParkedRun>) -> Result<(), StoreError> {
    let (store, at) = (journal.store(), journal.at());
    for _ in 0..TRIES_MAX {
        match store.commit(Filing::of(&**store, at, run, before)?).await {
            Err(StoreError::Conflict) => {}
            filed => return filed,
        }
    }
    Err(StoreError::Conflict)
}

/// Files a run that could not go on: nothing brings it back but the next host.
pub(super) async fn park(journal: &Journal, run: RunId, before: &ParkedRun) -> Result<(), StoreError> {
    let (store, key, mut batch) = (journal.store(), keys::open(run), Batch::default());
    let row =
        store.get(&key)?.filter(|row| OpenRun::decode(row).is_ok_and(|open| open.parked.as_ref() == Some(before)));
    batch.expect(key.clone(), Expect::Equals(row.ok_or(StoreError::Conflict)?));
    before.places(run).into_iter().for_each(|place| batch.remove(place));
    batch.put(key, ParkedRun { wake: None, readers: Vec::new(), ..before.clone() }.encode(journal.at()));
    store.commit(batch).await
}

/// What is written of a run and those below it.
struct Filing<'a> {
    store: &'a dyn Store,
    at: HostEpoch,
    payer: String,
    readers: Vec<String>,
    batch: Batch,
}

impl<'a> Filing<'a> {
    fn of(store: &'a dyn Store, at: HostEpoch, run: RunId, before: Option<&ParkedRun>) -> Result<Batch, StoreError> {
        let mut batch = Batch::default();
        before.into_iter().flat_map(|before| before.places(run)).for_each(|place| batch.remove(place));
        let Some(record) = rows::run::of(store, run)?.filter(|record| record.status == Status::Suspended) else {
            return Ok(batch);
        };
        let mut filing = Self { store, at, payer: payer(store, &record)?, readers: Vec::new(), batch };
        let Some((run, mut rest)) = filing.look(&record)? else { return Ok(filing.batch) };
        filing.readers.sort_unstable();
        filing.readers.dedup();
        rest.readers = std::mem::take(&mut filing.readers);
        if rest.wake.is_none() {
            rest.readers.clear();
        }
        for place in rest.places(run) {
            filing.batch.put(place, Vec::new());
        }
        filing.put(run, rest)?;
        Ok(filing.batch)
    }

    /// What a run holds, and what brings it back together with those below it; none if its journal does not say.
    fn look(&mut self, record: &RunRecord) -> Result<Option<(RunId, ParkedRun)>, StoreError> {
        let entries = log::entries(self.store, record.id)?;
        let Some(unfinished) = Unfinished::of(&entries) else { return Ok(None) };
        let mut wake = unfinished.wake();
        let at_once = |wake: Option<Wake>| wake.map(|wake| Wake { at: Millis(0), ..wake });
        for (call, open) in unfinished.waits() {
            match open.what.spec().wait {
                Wait::Letter => self.readers.push(record.agent.clone()),
                Wait::Person if self.is_unanswered(record.id, call)? => {}
                Wait::Person => wake = at_once(wake),
                Wait::Agent => {
                    let below = unfinished.below.get(&call).map_or(Ok(None), |run| rows::run::of(self.store, *run))?;
                    let below = below.filter(|below| below.status == Status::Suspended);
                    let rest = below.map_or(Ok(None), |below| self.look(&below))?;
                    wake = match (wake, &rest) {
                        (Some(wake), Some((_, ParkedRun { wake: Some(below), .. }))) => Some(wake.or(*below)),
                        (wake, None) => at_once(wake),
                        _ => None,
                    };
                    if let Some((run, rest)) = rest {
                        // It goes on with the one above it.
                        self.put(run, ParkedRun { wake: None, ..rest })?;
                    }
                }
                Wait::Sleep | Wait::Host | Wait::Web | Wait::Tool | Wait::Model | Wait::Queue | Wait::Approval => {}
            }
        }
        let (payer, holds) = (self.payer.clone(), unfinished.holds());
        Ok(Some((record.id, ParkedRun { payer, holds, wake, readers: Vec::new() })))
    }

    /// Whether a question waits for its answer. What is written holds only while it does.
    fn is_unanswered(&mut self, run: RunId, call: CallId) -> Result<bool, StoreError> {
        let key = keys::inquiry(run, call);
        let Some(row) = self.store.get(&key)? else { return Ok(false) };
        let open = rows::question::is_open(&row)?;
        self.batch.expect(key, Expect::Equals(row));
        Ok(open)
    }

    /// Holds only while the run is as it is found, and this host's; one that ended meanwhile is not.
    fn put(&mut self, run: RunId, rest: ParkedRun) -> Result<(), StoreError> {
        let (key, ours) = (keys::open(run), |open: OpenRun| open.at.host == self.at.host);
        let found = self.store.get(&key)?.filter(|row| OpenRun::decode(row).is_ok_and(ours));
        let lives = OpenRun { at: self.at, parked: None };
        self.batch.expect(key.clone(), Expect::Equals(found.unwrap_or_else(|| lives.encode())));
        self.batch.put(key, rest.encode(self.at));
        Ok(())
    }
}
