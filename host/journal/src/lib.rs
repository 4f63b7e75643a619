//! From entries to batches: collects what happened in all runs and hands it to the store in the order of the kernel's
//! mutations. It never waits for the disk unless asked to, and never decides.
//!
//! **Off the wait path.** [`Journal::append`] encodes into memory and returns. What is there is flushed by whoever needs
//! it durable, or within [`FLUSH_MS`] by a task of its own; all runs share one commit. While one is on its way the next
//! gathers, so that a thousand runs that wait make one batch, not a thousand.
//!
//! **Bounded memory.** Each run has a [`Trail`] that counts what of it is not on disk yet. Over [`PACE_BYTES`] the guest
//! is not polled until the disk has caught up ([`Trail::poll_pace`], before each turn of it); a guest that writes more than
//! [`BACKLOG_MAX_BYTES`] within one slice of fuel is answered `unavailable` by the gate, over [`FLOOD_BYTES`] it is stopped.
//!
//! **A hole is the end.** If a flush fails, the runs whose entries were in it are over: their trail is broken, and the
//! gate lets nothing of them through. Accounts are written again with the next flush, so no bill is lost.

pub mod audit;
pub mod backup;
mod chain;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod history;
pub mod index;
mod known;
pub mod listing;
pub mod log;
mod naming;
mod pace;
pub mod prune;
mod recover;
pub mod report;
mod said;
pub mod segment;
pub mod settle_unknown;
mod trail;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use agentry_kernel::budget::Books;
use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::kernel::RateState;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::ids::HostEpoch;
use agentry_store::rows::parked::OpenRun;
use agentry_store::rows::run::RunRecord;
use agentry_store::{Batch, DoomedContents, FencedStore, Store, StoreError, keys, rows};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, oneshot};

use self::chain::Chain;
pub use self::chain::Tip;
use self::known::Known;
pub use self::naming::{arguments, digest};
use self::pace::GATHER_MAX_BYTES;
pub use self::pace::{BACKLOG_MAX_BYTES, Behind, FLOOD_BYTES, FLUSH_MS, PACE_BYTES};
pub use self::recover::{LOST, Recovered, each_books, payer};
pub use self::trail::Trail;

/// What goes with entries into the same batch.
#[derive(Debug, Default)]
pub struct Extras<'a> {
    /// The books that changed; taken under the kernel's lock, so that the last ones are the newest.
    pub balances: Option<Balances<'a>>,
    /// What rules that count their calls remember now.
    pub rated: Vec<RateState>,
    /// Contents that the entries name.
    pub contents: Vec<Content>,
    /// The run's record as it is now.
    pub record: Option<RunRecord>,
}

impl Extras<'_> {
    /// True if nothing goes with them.
    pub fn is_empty(&self) -> bool {
        let Self { balances, rated, contents, record } = self;
        balances.is_none() && rated.is_empty() && contents.is_empty() && record.is_none()
    }
}

/// Books as a change left them.
#[derive(Clone, Copy, Debug)]
pub struct Balances<'a> {
    /// Whose.
    pub agent: &'a str,
    /// The agent's.
    pub books: Books,
    /// The site's.
    pub site: Books,
}

/// The journal of all runs; cheap to clone.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    /// In which every write of an earlier epoch of this host is refused, and contents can be doomed.
    store: Arc<dyn Store>,
    doomed: Arc<DoomedContents>,
    /// Held by whoever begins a run with the past of another; whoever prunes has it alone.
    past: Arc<RwLock<()>>,
    at: HostEpoch,
    pending: Mutex<Pending>,
    begun: Arc<Notify>,
    chain: Chain,
}

/// What has happened and is not with the store yet.
#[derive(Default)]
struct Pending {
    runs: Vec<(Arc<Trail>, Vec<u8>)>,
    places: HashMap<RunId, usize>,
    books: HashMap<String, Books>,
    rates: HashMap<(String, String), Vec<Millis>>,
    records: HashMap<RunId, RunRecord>,
    /// Runs that began or went on, whatever they have done since: what was filed of them holds no more.
    opened: HashSet<RunId>,
    blobs: Vec<(Arc<Trail>, Content)>,
    known: Known,
    /// Of entries and contents.
    bytes: usize,
    /// Batches that the store has and has not answered.
    on_the_way: usize,
    /// Those who want to know when what is here is durable.
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Journal {
    /// The journal of the home in whose store this is, and what its last host left behind, put in order.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(store: Arc<dyn Store>) -> Result<(Self, Recovered), StoreError> {
        Self::open_as(rows::host::HOME, store, |_| {}).await
    }

    /// That of the host of this name among those that share the store. It takes the host's next epoch: whoever opened it before writes
    /// nothing any more. `told` hears of each tip of its log that is on disk, in order, and must return at once.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub async fn open_as(
        host: &str,
        store: Arc<dyn Store>,
        told: impl Fn(Tip) + Send + 'static,
    ) -> Result<(Self, Recovered), StoreError> {
        let at = rows::host::register(&store, host).await?;
        let store: Arc<dyn Store> = Arc::new(FencedStore::new(store, host, at));
        let recovered = recover::recover(&store, at).await?;
        index::build(&store).await?;
        let chain = Chain::from(recovered.tip, told);
        let doomed = Arc::new(DoomedContents::over(store));
        let (store, pending) = (Arc::clone(&doomed) as _, Mutex::default());
        let (begun, past) = (Arc::default(), Arc::default());
        let journal = Self(Arc::new(Inner { store, doomed, past, at, pending, begun, chain }));
        tokio::spawn(flush_soon(Arc::downgrade(&journal.0), Arc::clone(&journal.0.begun)));
        Ok((journal, recovered))
    }

    /// The store that it stands in. Nothing is written to it any more once a later epoch of this host has begun.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Whoever begins a run with the past of another reads it until that has begun: the past stays so long.
    pub fn past(&self) -> &Arc<RwLock<()>> {
        &self.0.past
    }

    pub(crate) fn doomed(&self) -> &DoomedContents {
        &self.0.doomed
    }

    /// From now on these contents are doomed, and whoever names one writes it anew.
    pub(crate) fn doom(&self, contents: HashSet<Digest>) {
        let mut pending = self.0.pending.lock();
        self.0.doomed.doom(contents);
        pending.known = Known::default();
    }

    /// Which host it is of, and in which of its epochs.
    pub fn at(&self) -> HostEpoch {
        self.0.at
    }

    /// Writes entries down, in memory.
    pub fn append(&self, trail: &Arc<Trail>, entries: &[Entry], extras: Extras<'_>) {
        let mut pending = self.0.pending.lock();
        if trail.is_closed() {
            return;
        }
        let first = pending.is_empty();
        pending.write(trail, entries);
        for content in extras.contents {
            pending.keep(trail, content);
        }
        if let Some(Balances { agent, books, site }) = extras.balances {
            pending.owe(agent, books);
            pending.owe(keys::SITE, site);
        }
        for RateState { agent, rule, times } in extras.rated {
            pending.rates.insert((agent, rule), times);
        }
        if let Some(record) = extras.record {
            if record.status == Status::Running {
                pending.opened.insert(record.id);
            }
            pending.records.insert(record.id, record);
        }
        drop(pending);
        if first {
            self.0.begun.notify_one();
        }
    }

    /// Writes the last of a run that leaves memory: why, and its record. Whatever else happens to it is not written any more.
    pub fn close(&self, trail: &Arc<Trail>, entries: &[Entry], record: RunRecord) {
        self.append(trail, entries, Extras { record: Some(record), ..Extras::default() });
        // Who appends at the same moment is before or behind this under the lock of what is pending.
        let _pending = self.0.pending.lock();
        trail.close();
    }

    /// Waits until all that was appended before is on disk.
    ///
    /// # Errors
    /// When the store cannot be written; when something of this run was lost before, or was not written because the run leaves memory.
    pub async fn durable(&self, trail: &Trail) -> Result<(), StoreError> {
        self.durable_by(self.flush(), trail).await
    }

    /// The same of what had been appended when this flush was asked for.
    ///
    /// # Errors
    /// As [`Self::durable`].
    pub async fn durable_by(&self, flushed: Flushed, trail: &Trail) -> Result<(), StoreError> {
        flushed.await?;
        if trail.is_closed() {
            return Err(StoreError::Closed);
        }
        trail.broken().map_or(Ok(()), Err)
    }

    /// How far the disk is behind.
    pub fn behind(&self) -> Behind {
        let pending = self.0.pending.lock();
        Behind { bytes: pending.bytes, batches: pending.on_the_way }
    }

    /// Hands everything to the store, in order: now, or with others when the commit that is on its way has ended. The
    /// future tells when it is durable; nothing depends on its being polled.
    pub fn flush(&self) -> Flushed {
        Flushed(self.0.flush())
    }

    /// Commits a batch of somebody else together with the entries that tell of it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if one of its expectations did not hold; nothing was written then.
    pub fn commit(
        &self,
        trail: &Arc<Trail>,
        entries: &[Entry],
        batch: Batch,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut bytes = Vec::with_capacity(256);
        segment::extend_as(trail.format(), &mut bytes, trail.run(), entries);
        self.commit_segments(trail, vec![bytes], batch)
    }

    /// The same of segments that are encoded already.
    pub(crate) fn commit_segments(
        &self,
        trail: &Trail,
        segments: Vec<Vec<u8>>,
        mut batch: Batch,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut pending = self.0.pending.lock();
        if trail.is_closed() {
            return Box::pin(std::future::ready(Err(StoreError::Closed)));
        }
        // What came before stands before it, also of this run.
        if !pending.is_empty() {
            self.0.submit(&mut pending);
        }
        let segments = segments.into_iter().map(|bytes| (trail.run(), bytes)).collect();
        let (late, linked) = self.0.chain.link(segments);
        let chain = self.0.chain.clone();
        let told = batch.on_commit.take();
        batch.late = Some(late);
        batch.on_commit = Some(Box::new(move |result| {
            chain.settle(&linked, result);
            if let Some(told) = told {
                told(result);
            }
        }));
        self.0.store.commit(batch)
    }
}

/// Tells when what had been appended is durable.
pub struct Flushed(oneshot::Receiver<Result<(), StoreError>>);

impl Future for Flushed {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or(Err(StoreError::Closed)))
    }
}

impl Inner {
    fn flush(self: &Arc<Self>) -> oneshot::Receiver<Result<(), StoreError>> {
        let (sender, durable) = oneshot::channel();
        let mut pending = self.pending.lock();
        pending.waiting.push(sender);
        if pending.on_the_way == 0 || pending.bytes > GATHER_MAX_BYTES {
            self.submit(&mut pending);
        }
        durable
    }

    fn submit(self: &Arc<Self>, pending: &mut Pending) {
        let (mut batch, segments, sent) = pending.drain(self.at);
        let linked = (!segments.is_empty()).then(|| {
            let (late, linked) = self.chain.link(segments);
            batch.late = Some(late);
            (self.chain.clone(), linked)
        });
        let waiting = std::mem::take(&mut pending.waiting);
        let journal = Arc::downgrade(self);
        pending.on_the_way += 1;
        batch.on_commit = Some(Box::new(move |result| {
            if let Some((chain, linked)) = linked {
                chain.settle(&linked, result);
            }
            sent.trails.iter().for_each(|(trail, bytes)| trail.written(*bytes, result));
            // Before anybody is told: whoever hears of it may close the store, and must not wait for this thread.
            if let Some(journal) = journal.upgrade() {
                journal.landed(result, sent.books, sent.rates);
            }
            for waits in waiting {
                // Who waited may have gone.
                let _ = waits.send(result.clone());
            }
        }));
        // What comes of it is told by `on_commit`.
        drop(self.store.commit(batch));
    }

    /// A batch has been answered: what has gathered meanwhile is sent, if somebody waits for it.
    fn landed(
        self: &Arc<Self>,
        result: &Result<(), StoreError>,
        books: Vec<(String, Books)>,
        rates: Vec<((String, String), Vec<Millis>)>,
    ) {
        let mut pending = self.pending.lock();
        pending.on_the_way -= 1;
        if result.is_err() {
            pending.owe_again(books);
            for (rule, times) in rates {
                pending.rates.entry(rule).or_insert(times);
            }
        }
        if pending.on_the_way == 0 && !pending.waiting.is_empty() {
            self.submit(&mut pending);
        }
    }
}

/// What a batch took along, to be told how it went.
struct Sent {
    trails: Vec<(Arc<Trail>, usize)>,
    books: Vec<(String, Books)>,
    rates: Vec<((String, String), Vec<Millis>)>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
            && self.blobs.is_empty()
            && self.books.is_empty()
            && self.rates.is_empty()
            && self.records.is_empty()
    }

    fn write(&mut self, trail: &Arc<Trail>, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        let place = *self.places.entry(trail.run()).or_insert_with(|| {
            self.runs.push((Arc::clone(trail), Vec::with_capacity(512)));
            self.runs.len() - 1
        });
        let bytes = &mut self.runs[place].1;
        let before = bytes.len();
        segment::extend_as(trail.format(), bytes, trail.run(), entries);
        let written = bytes.len() - before;
        trail.wrote(written);
        self.bytes += written;
    }

    fn keep(&mut self, trail: &Arc<Trail>, content: Content) {
        if self.known.learn(content.digest) {
            trail.wrote(content.bytes.len());
            self.bytes += content.bytes.len();
            self.blobs.push((Arc::clone(trail), content));
        }
    }

    fn owe(&mut self, agent: &str, books: Books) {
        match self.books.get_mut(agent) {
            Some(known) => *known = books,
            None => drop(self.books.insert(agent.to_owned(), books)),
        }
    }

    /// Books whose write failed: the next flush carries them, unless they have changed since.
    fn owe_again(&mut self, all: Vec<(String, Books)>) {
        self.known = Known::default();
        for (agent, books) in all {
            self.books.entry(agent).or_insert(books);
        }
    }

    fn drain(&mut self, at: HostEpoch) -> (Batch, Vec<(RunId, Vec<u8>)>, Sent) {
        let mut batch = Batch::default();
        let mut trails = Vec::with_capacity(self.runs.len() + self.blobs.len());
        self.places.clear();
        self.bytes = 0;
        for (trail, content) in std::mem::take(&mut self.blobs) {
            trails.push((trail, content.bytes.len()));
            batch.put_new(keys::blob(&content.digest), content.bytes);
        }
        let mut segments = Vec::with_capacity(self.runs.len());
        for (trail, bytes) in std::mem::take(&mut self.runs) {
            let run = trail.run();
            trails.push((trail, bytes.len()));
            segments.push((run, bytes));
        }
        let books: Vec<_> = self.books.drain().collect();
        for (agent, books) in &books {
            batch.put(keys::books(at.host, agent), rows::run::encode(books));
        }
        let rates: Vec<_> = self.rates.drain().collect();
        for ((agent, rule), times) in &rates {
            batch.put(keys::rate(at.host, agent, rule), rows::run::encode(times));
        }
        // Before the records: one of a run that is over takes it back.
        let lives = OpenRun { at, parked: None }.encode();
        self.opened.drain().for_each(|run| batch.put(keys::open(run), lives.clone()));
        for (_, record) in self.records.drain() {
            record.write(&mut batch);
        }
        (batch, segments, Sent { trails, books, rates })
    }
}

impl Drop for Inner {
    /// What nobody waited for is handed over; the store writes it before it closes.
    fn drop(&mut self) {
        let pending = self.pending.get_mut();
        if !pending.is_empty() {
            let (mut batch, segments, _) = pending.drain(self.at);
            let (late, linked) = self.chain.link(segments);
            let chain = self.chain.clone();
            batch.late = Some(late);
            batch.on_commit = Some(Box::new(move |result| chain.settle(&linked, result)));
            drop(self.store.commit(batch));
        }
        self.begun.notify_one();
    }
}

/// Flushes what nobody waits for. It ends with the journal, and does not keep it alive.
async fn flush_soon(journal: Weak<Inner>, begun: Arc<Notify>) {
    loop {
        begun.notified().await;
        tokio::time::sleep(Duration::from_millis(FLUSH_MS)).await;
        let Some(strong) = journal.upgrade() else { return };
        let idle = strong.pending.lock().is_empty();
        let durable = (!idle).then(|| strong.flush());
        drop(strong);
        if let Some(durable) = durable {
            // Whoever is concerned is told through its trail.
            let _ = durable.await;
        }
    }
}

#[cfg(test)]
mod tests;
