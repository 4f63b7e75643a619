//! People: questions of agents that wait for an answer, for days if need be, and notices. A question lies in the store under its run and its
//! call, so that whoever asks it again, after a stop of the host, finds it, or the answer that was given meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::clock::Clock;
use agentry_abi::driver::Write;
use agentry_abi::fault;
use agentry_kernel::call::{CallId, RunId};
use agentry_store::limits::{HUMAN_LOOK_MS, HUMAN_OPEN_MAX, NOTICES_KEPT_MAX};
use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::{AnswerError, Answering, Inquiry, State};
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, keys, rows};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

/// The driver.
pub struct Human {
    store: Arc<dyn Store>,
    clock: Clock,
    /// Calls of this host that wait, to be woken by an answer.
    waiting: Mutex<HashMap<(RunId, CallId), Arc<Notify>>>,
    /// Questions that are open, and whose: also those whose runs are not in memory.
    open: Mutex<BTreeMap<(RunId, CallId), String>>,
    notices: AtomicUsize,
    answered: Notify,
}

impl Human {
    /// The questions and notices in this store. Closes what nobody waits for any more, and drops questions that are too old to be of use.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(store: Arc<dyn Store>, clock: Clock) -> Result<Self, StoreError> {
        let open = rows::question::recover(&store).await?;
        let notices = AtomicUsize::new(rows::notice::count(&*store)?);
        Ok(Self { store, clock, waiting: Mutex::default(), open: Mutex::new(open), notices, answered: Notify::new() })
    }

    /// Asks, and waits for the answer. `show` is called when the question can be answered. Dropping the future leaves it open; so does
    /// `stopped`, which says that the run itself ends or leaves memory; `cancelled` alone says that nobody wants the answer any more.
    ///
    /// # Errors
    /// `unavailable` if a person declines, if too many questions of the agent are open or the store fails; `timed-out` if nobody answers in
    /// time; `cancelled`.
    pub async fn ask(
        &self,
        asked: Inquiry,
        (cancelled, stopped): (&CancellationToken, &CancellationToken),
        show: impl FnOnce(&Inquiry),
    ) -> Result<String, Error> {
        let place = (asked.run, asked.call);
        let woken = Arc::new(Notify::new());
        self.waiting.lock().insert(place, Arc::clone(&woken));
        let _seat = Seat { human: self, place };
        let mut inquiry = self.begin(asked).await?;
        if inquiry.state == State::Open {
            show(&inquiry);
        }
        loop {
            match &inquiry.state {
                State::Open => {}
                State::Answered { text } => return Ok(text.clone()),
                State::Declined { because } => return Err(fault::unavailable(&declined(because), None)),
                State::Expired => return Err(Error::TimedOut),
                State::Withdrawn | State::Gone => return Err(Error::Cancelled),
            }
            tokio::select! {
                biased;
                () = woken.notified() => {}
                () = self.next_look(&inquiry) => {}
                () = cancelled.cancelled() => {
                    if !stopped.is_cancelled() {
                        self.close(&inquiry, State::Withdrawn).await?;
                    }
                    return Err(Error::Cancelled);
                }
            }
            inquiry = self.look(&inquiry).await?;
        }
    }

    /// The question as it lies in the store, or as it lies there from now on.
    async fn begin(&self, asked: Inquiry) -> Result<Inquiry, Error> {
        let place = (asked.run, asked.call);
        let key = keys::inquiry(asked.run, asked.call);
        if let Some(known) = self.read(&key)?.filter(|known| known.asks_the_same(&asked)) {
            self.open.lock().entry(place).or_insert_with(|| known.agent.clone());
            return Ok(known);
        }
        let mine: Vec<_> =
            self.open.lock().iter().filter(|(_, agent)| **agent == asked.agent).map(|(place, _)| *place).collect();
        let over: Vec<_> = mine.into_iter().filter(|place| !rows::question::goes_on(&*self.store, place.0)).collect();
        {
            // Counted and entered in one step: those who ask at the same moment are counted too.
            let mut open = self.open.lock();
            over.iter().for_each(|place| drop(open.remove(place)));
            if open.values().filter(|agent| **agent == asked.agent).count() >= HUMAN_OPEN_MAX {
                let why =
                    format!("{HUMAN_OPEN_MAX} questions of this agent are open; people answer some of them first");
                return Err(fault::unavailable(&why, None));
            }
            open.insert(place, asked.agent.clone());
        }
        let mut batch = Batch::default();
        batch.put(key, asked.encode());
        self.store.commit(batch).await.map_err(|error| fault::stored(&error))?;
        Ok(asked)
    }

    /// As it stands now: an answer wins over a time that is over.
    async fn look(&self, known: &Inquiry) -> Result<Inquiry, Error> {
        let key = keys::inquiry(known.run, known.call);
        let inquiry = self.read(&key)?.unwrap_or_else(|| known.clone());
        if inquiry.state == State::Open && inquiry.is_over(self.clock.now()) {
            return self.close(&inquiry, State::Expired).await;
        }
        Ok(inquiry)
    }

    /// Closes it, unless somebody answered it at the same moment.
    async fn close(&self, open: &Inquiry, state: State) -> Result<Inquiry, Error> {
        self.open.lock().remove(&(open.run, open.call));
        let closed = Inquiry { state, ..open.clone() };
        let key = keys::inquiry(open.run, open.call);
        let mut batch = Batch::default();
        batch.expect(key.clone(), Expect::Equals(open.encode()));
        batch.put(key.clone(), closed.encode());
        match self.store.commit(batch).await {
            Ok(()) => Ok(closed),
            Err(StoreError::Conflict) => Ok(self.read(&key)?.unwrap_or(closed)),
            Err(error) => Err(fault::stored(&error)),
        }
    }

    /// Takes a person's answer, and wakes who waits for it here.
    ///
    /// # Errors
    /// If it does not count.
    pub async fn answer(&self, answering: &Answering) -> Result<Inquiry, AnswerError> {
        let answered = rows::question::answer(&self.store, answering, self.clock.now()).await?;
        let place = (answered.run, answered.call);
        self.open.lock().remove(&place);
        if let Some(waiting) = self.waiting.lock().get(&place) {
            waiting.notify_one();
        }
        self.answered.notify_waiters();
        Ok(answered)
    }

    /// Tells of the next answer of a person. Ask for it before you look.
    pub fn answered(&self) -> Notified<'_> {
        self.answered.notified()
    }

    /// What is written for a notice, together with the entry of its call. It lies on the storage of `owner` until a newer one takes its place.
    pub fn notice(&self, notice: &Notice, owner: &str) -> Write<()> {
        let mut batch = Batch::default();
        batch.put(keys::notice(notice.at, notice.run, notice.call), notice.encode(owner));
        let kept = self.notices.load(Ordering::Relaxed);
        if kept >= NOTICES_KEPT_MAX {
            // Where there are more, as several hosts can leave them, they become fewer.
            let rows = if kept > NOTICES_KEPT_MAX { 2 } else { 1 };
            let oldest = self.store.scan(&Range::of(keys::NOTICES), Page { rows, bytes: usize::MAX });
            for (oldest, row) in oldest.unwrap_or_default() {
                // What goes is given back to whoever keeps it, once.
                batch.expect(oldest.clone(), Expect::Equals(row));
                batch.remove(oldest);
            }
            self.notices.fetch_sub(rows - 1, Ordering::Relaxed);
        } else {
            self.notices.fetch_add(1, Ordering::Relaxed);
        }
        Ok((batch, ())).into()
    }

    fn read(&self, key: &[u8]) -> Result<Option<Inquiry>, Error> {
        let row = self.store.get(key).map_err(|error| fault::stored(&error))?;
        row.map(|row| Inquiry::decode(&row)).transpose().map_err(|error| fault::stored(&error))
    }

    /// When nobody wakes it: at its end, and by the clock again and again, for a clock can be set.
    async fn next_look(&self, inquiry: &Inquiry) {
        let left = inquiry.expires.map_or(u64::MAX, |expires| expires.since(self.clock.now()));
        tokio::time::sleep(Duration::from_millis(left.clamp(1, HUMAN_LOOK_MS))).await;
    }
}

/// What an agent is told whose question nobody wants to answer.
const DECLINED: &str = "a person declines to answer";

fn declined(because: &str) -> String {
    if because.is_empty() { DECLINED.to_owned() } else { format!("{DECLINED}: {because}") }
}

/// Whether this was told to an agent because a person did not want to answer: then nothing is out of order.
pub fn is_declined(told: &str) -> bool {
    told.starts_with(DECLINED)
}

/// A call that waits, until this is dropped.
struct Seat<'a> {
    human: &'a Human,
    place: (RunId, CallId),
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.human.waiting.lock().remove(&self.place);
    }
}

#[cfg(test)]
mod tests;
