//! What a person does to a home from outside of any run: by the host that runs there, or in its place while none does. Both ways give the same
//! answer and the same error. Each act is journaled.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_abi::clock::Clock;
use agentry_drivers::human::Human;
use agentry_journal::index;
use agentry_journal::settle_unknown::{Resolution, Resolved, UnknownCall};
use agentry_journal::{Balances, Extras, Journal, Trail};
use agentry_kernel::budget::{Amounts, Books, Resource};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::{ClockReading, Millis};
use agentry_runtime::config::AgentsConfig;
use agentry_runtime::host::{clock_watch, policy_watch};
use agentry_runtime::triggers::{self, NotTended};
use agentry_store::rows::question::{Answering, Inquiry};
use agentry_store::{Batch, RedbStore, StoreError, disk, keys, rows};

use crate::api::{
    AcceptClock, Discard, DropCause, LookAtClock, LookAtLock, Operation, Requeue, TendTrigger, Unlabel, UnlabelRun,
};
use crate::error::{Kind, OpError};
use crate::ops;
use crate::socket::{self, OverSocket};

/// How long a host may have the store and no socket yet.
const HOST_BEGINS_MAX: Duration = Duration::from_secs(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What can be done to a home where no host runs.
pub trait InItsPlace: OverSocket + Clone {
    /// Does it, on the journal of that home.
    ///
    /// # Errors
    /// As by a host.
    fn in_its_place(self, journal: &Journal) -> impl Future<Output = Result<Self::Answer, OpError>> + Send;
}

/// Has it done, by the host that runs there or in its place.
///
/// # Errors
/// Why it was not done; the same ones either way.
pub async fn act<O: InItsPlace>(home: &Path, operation: O) -> Result<O::Answer, OpError> {
    match hand(home, operation.clone()).await? {
        Hand::Host(answer) => Ok(answer),
        Hand::Ours(journal) => operation.in_its_place(&journal).await,
    }
}

impl InItsPlace for LookAtClock {
    async fn in_its_place(self, journal: &Journal) -> Result<ClockReading, OpError> {
        Ok(clock(journal)?.reading())
    }
}

/// The next host takes back what its books counted in a time that has not come.
impl InItsPlace for AcceptClock {
    async fn in_its_place(self, journal: &Journal) -> Result<ClockReading, OpError> {
        let (clock, store, host) = (clock(journal)?, journal.store(), journal.at().host);
        let before = clock.accept();
        let at = clock.now();
        index::set_back(store, host, at, |_| false).await?;
        clock_watch::settle(store, host, before.host, at).await?;
        let (trail, mut batch) = (Arc::new(Trail::new(RunId::HOST)), Batch::default());
        rows::clock::put(&mut batch, host, at);
        journal.commit(&trail, &[Entry::ClockAccepted { at, was: before.host }], batch).await?;
        Ok(before)
    }
}

impl InItsPlace for Unlabel {
    async fn in_its_place(self, journal: &Journal) -> Result<Labels, OpError> {
        Ok(ops::unlabelled(self, journal, clock(journal)?.now()).await?)
    }
}

/// Its run takes the answer, at once or when it is carried on.
impl InItsPlace for Answering {
    async fn in_its_place(self, journal: &Journal) -> Result<Inquiry, OpError> {
        let human = Human::open(Arc::clone(journal.store()), clock(journal)?).await?;
        Ok(human.answer(&self).await?)
    }
}

impl InItsPlace for Requeue {
    async fn in_its_place(self, journal: &Journal) -> Result<(), OpError> {
        ops::requeued(&**journal.store(), &self.cause).await
    }
}

impl InItsPlace for DropCause {
    async fn in_its_place(self, journal: &Journal) -> Result<(), OpError> {
        ops::dropped(&**journal.store(), &self.cause).await
    }
}

impl InItsPlace for Discard {
    async fn in_its_place(self, journal: &Journal) -> Result<(), OpError> {
        let changes = ops::discarded(journal, &self.letter, clock(journal)?.now()).await?;
        let trail = Arc::new(Trail::new(RunId::HOST));
        let mut site = books_of(journal, keys::SITE)?;
        for (agent, bytes) in changes {
            let freed = Amounts::of(Resource::Storage, bytes.unsigned_abs());
            let mut books = books_of(journal, &agent)?;
            books.day.lower(&freed);
            site.day.lower(&freed);
            let balances = Some(Balances { agent: &agent, books, site });
            journal.append(&trail, &[], Extras { balances, ..Extras::default() });
        }
        journal.durable(&trail).await?;
        Ok(())
    }
}

impl InItsPlace for Resolution {
    async fn in_its_place(self, journal: &Journal) -> Result<Resolved, OpError> {
        let unknown = UnknownCall::find(&**journal.store(), &self)?;
        let (entry, record, returned) = unknown.close(&self, clock(journal)?.now());
        let (mut books, mut site) = (books_of(journal, &record.agent)?, books_of(journal, keys::SITE)?);
        books.take_back(&returned, unknown.since);
        site.take_back(&returned, unknown.since);
        let trail = Arc::new(Trail::new(self.run));
        let balances = Some(Balances { agent: &record.agent, books, site });
        let extras = Extras { balances, record: Some(record.clone()), ..Extras::default() };
        journal.append(&trail, &[entry], extras);
        journal.durable(&trail).await?;
        Ok(Resolved { returned })
    }
}

/// Does it with a trigger of this home, by the host that runs there or in its place.
///
/// # Errors
/// As [`act`].
pub async fn tend(home: &Path, tend: TendTrigger) -> Result<Vec<String>, OpError> {
    match hand(home, tend.clone()).await? {
        Hand::Host(started) => Ok(started),
        Hand::Ours(journal) => {
            let known = AgentsConfig::load(home).map_err(NotTended::from)?;
            let at = clock(&journal)?.calendar();
            Ok(triggers::act(&**journal.store(), &known, &tend.name, &tend.act, at).await?)
        }
    }
}

/// Stops every new effect in this home, now and until it is unlocked. False if it was locked already.
///
/// # Errors
/// When the lock cannot be written, or a host runs there and does not answer: the lock holds then, and bites within two looks.
pub async fn lock(home: &Path, because: &str) -> Result<bool, OpError> {
    let changed = policy_watch::set_lock(home, because).map_err(|why| unwritable(home, &why))?;
    told(home, changed, |at| Entry::Locked { at, because: because.to_owned() }).await?;
    Ok(changed)
}

/// Lets effects go on. False if the home was not locked.
///
/// # Errors
/// As [`lock`].
pub async fn unlock(home: &Path) -> Result<bool, OpError> {
    let changed = policy_watch::remove_lock(home).map_err(|why| unwritable(home, &why))?;
    told(home, changed, |at| Entry::Unlocked { at }).await?;
    Ok(changed)
}

/// Takes labels off a run that goes on; those that it held. Where no host runs, no run goes on.
///
/// # Errors
/// If it does not.
pub fn unlabel_run(home: &Path, unlabel: UnlabelRun) -> Result<Labels, OpError> {
    let run = unlabel.run;
    socket::ask(home, unlabel).map_err(|error| match error.kind {
        Kind::NoHost => OpError::not_running(run),
        _ => error,
    })
}

/// The time as the next host will have it.
pub(crate) fn clock(journal: &Journal) -> Result<Clock, StoreError> {
    clock_watch::of_store(&**journal.store(), journal.at().host)
}

/// The books of an agent or of the site as they are stored: no host has them in memory.
fn books_of(journal: &Journal, owner: &str) -> Result<Books, StoreError> {
    let stored = journal.store().get(&keys::books(journal.at().host, owner))?;
    stored.map_or_else(|| Ok(Books::default()), |bytes| rows::run::books(&bytes))
}

fn unwritable(home: &Path, why: &std::io::Error) -> OpError {
    let home = home.display();
    let text = format!("cannot change the lock of {home}: {why}\nhint: {}", disk::mend(why));
    OpError::new(Kind::Unavailable { retry_ms: None }, text)
}

/// Has the host look, which journals what it sees; or journals it in its place.
async fn told(home: &Path, changed: bool, entry: impl FnOnce(Millis) -> Entry) -> Result<(), OpError> {
    match hand(home, LookAtLock).await? {
        Hand::Ours(journal) if changed => {
            let trail = Arc::new(Trail::new(RunId::HOST));
            journal.append(&trail, &[entry(clock(&journal)?.now())], Extras::default());
            Ok(journal.durable(&trail).await?)
        }
        Hand::Ours(_) | Hand::Host(()) => Ok(()),
    }
}

/// Whose hand did it, or is to do it.
pub(crate) enum Hand<T> {
    Host(T),
    Ours(Journal),
}

pub(crate) async fn hand<O: OverSocket + Clone>(
    home: &Path,
    operation: O,
) -> Result<Hand<<O as Operation>::Answer>, OpError> {
    let begun = Instant::now();
    loop {
        match socket::ask(home, operation.clone()) {
            Err(error) if error.kind == Kind::NoHost => {}
            answered => return Ok(Hand::Host(answered?)),
        }
        match RedbStore::open(home) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < HOST_BEGINS_MAX => tokio::time::sleep(PAUSE).await,
            opened => return Ok(Hand::Ours(Journal::open(Arc::new(opened?)).await?.0)),
        }
    }
}
