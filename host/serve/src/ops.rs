//! How a running host does each operation: it reads and passes on; what may be done is decided where it is done. Faces call it, and know no
//! other way to a host.

mod status;
mod triggers;

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_drivers::files::Marks;
use agentry_drivers::mail;
use agentry_drivers::memory::Memory;
use agentry_journal::settle_unknown::{Resolution, Resolved};
use agentry_journal::{Journal, Trail};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::kernel::Statement;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::{ClockReading, Millis};
use agentry_runtime::approvals::{Said, Saying};
use agentry_runtime::host::clock_watch;
use agentry_runtime::host::services::Services;
use agentry_store::limits::{AGENTS_HELD_MAX, CONTROL_PAGE_MAX_BYTES, CONTROL_PAGE_MAX_ROWS};
use agentry_store::rows::cause::{self, PendingCause};
use agentry_store::rows::question::{Answering, Inquiry};
use agentry_store::{Batch, Key, Page, Range, Store, StoreError, Value, rows};

use crate::api::{
    AcceptClock, Budget, Discard, DropCause, Get, GetEach, Going, Has, Hold, HoldAgent, Labelled, LiveRuns,
    LookAtClock, LookAtLock, Operation, Paused, Requeue, Scan, Stop, Unlabel, UnlabelRun,
};
use crate::error::OpError;

/// How often a change is tried that runs get in the way of.
const TRIES_MAX: usize = 16;

/// What a running host can do.
pub trait ByHost: Operation + Sized {
    /// Does it.
    ///
    /// # Errors
    /// Why it was not done; then nothing was.
    fn by_host(self, host: &Arc<Services>) -> impl Future<Output = Result<Self::Answer, OpError>> + Send;
}

impl ByHost for Get {
    async fn by_host(self, host: &Arc<Services>) -> Result<Option<Value>, OpError> {
        read(host, move |store| store.get(&self.key)).await
    }
}

impl ByHost for GetEach {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<Option<Value>>, OpError> {
        read(host, move |store| {
            let (mut values, mut bytes) = (Vec::new(), 0usize);
            for key in self.keys.iter().take(CONTROL_PAGE_MAX_ROWS) {
                let value = store.get(key)?;
                bytes = bytes.saturating_add(value.as_ref().map_or(0, Vec::len));
                if !values.is_empty() && bytes > CONTROL_PAGE_MAX_BYTES {
                    break;
                }
                values.push(value);
            }
            Ok(values)
        })
        .await
    }
}

impl ByHost for Has {
    async fn by_host(self, host: &Arc<Services>) -> Result<bool, OpError> {
        read(host, move |store| store.has(&self.key)).await
    }
}

impl ByHost for Scan {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<(Key, Value)>, OpError> {
        let Self { from, to, reverse, rows } = self;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(CONTROL_PAGE_MAX_ROWS);
        let page = Page { rows, bytes: CONTROL_PAGE_MAX_BYTES };
        read(host, move |store| store.scan(&Range { from, to, reverse }, page)).await
    }
}

impl ByHost for Paused {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<(String, Millis)>, OpError> {
        Ok(host.drivers.gate.paused())
    }
}

impl ByHost for Saying {
    async fn by_host(self, host: &Arc<Services>) -> Result<Said, OpError> {
        Ok(host.people.say(&host.drivers.gate, self).await?)
    }
}

impl ByHost for Answering {
    async fn by_host(self, host: &Arc<Services>) -> Result<Inquiry, OpError> {
        Ok(host.drivers.human.answer(&self).await?)
    }
}

impl ByHost for Resolution {
    async fn by_host(self, host: &Arc<Services>) -> Result<Resolved, OpError> {
        Ok(host.drivers.gate.resolve(&self).await?)
    }
}

impl ByHost for Budget {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<Statement>, OpError> {
        Ok(host.drivers.gate.statements())
    }
}

impl ByHost for LookAtLock {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        host.policy_watch.look_at_lock(&host.drivers.gate);
        Ok(host.drivers.gate.journal().flush().await?)
    }
}

impl ByHost for LookAtClock {
    async fn by_host(self, host: &Arc<Services>) -> Result<ClockReading, OpError> {
        Ok(host.drivers.gate.clock().reading())
    }
}

impl ByHost for AcceptClock {
    async fn by_host(self, host: &Arc<Services>) -> Result<ClockReading, OpError> {
        Ok(clock_watch::accept(host).await?)
    }
}

impl ByHost for Unlabel {
    async fn by_host(self, host: &Arc<Services>) -> Result<Labels, OpError> {
        Ok(unlabelled(self, host.drivers.gate.journal(), host.drivers.gate.clock().now()).await?)
    }
}

impl ByHost for UnlabelRun {
    async fn by_host(self, host: &Arc<Services>) -> Result<Labels, OpError> {
        let taken = host.drivers.gate.unlabel(self.run, &self.labels, &self.because).await?;
        taken.ok_or_else(|| OpError::not_running(self.run))
    }
}

impl ByHost for LiveRuns {
    async fn by_host(self, host: &Arc<Services>) -> Result<Going, OpError> {
        let (runs, held) = (host.drivers.gate.live(), host.drivers.gate.held());
        Ok(Going { runs, held, stranded: host.parking.stranded() })
    }
}

impl ByHost for Stop {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        let Self { run, because } = self;
        if host.drivers.gate.stop(run, because.as_deref()) {
            return Ok(());
        }
        // One that left memory while it waits is stopped where it would be brought back.
        if !host.run_queue.is_open() || !is_suspended(&**host.drivers.gate.journal().store(), run) {
            return Err(OpError::not_here(run));
        }
        host.parking.stop(run, because.unwrap_or_default());
        Ok(())
    }
}

impl ByHost for Hold {
    async fn by_host(self, host: &Arc<Services>) -> Result<bool, OpError> {
        host.drivers.gate.hold(self.run, self.hold).ok_or_else(|| OpError::not_here(self.run))
    }
}

impl ByHost for HoldAgent {
    async fn by_host(self, host: &Arc<Services>) -> Result<u64, OpError> {
        let runs = host.drivers.gate.hold_agent(&self.agent, self.hold);
        let runs = runs.ok_or_else(|| OpError::too_many_held(AGENTS_HELD_MAX))?;
        Ok(u64::try_from(runs).unwrap_or(u64::MAX))
    }
}

impl ByHost for Discard {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        let gate = &host.drivers.gate;
        let changes = discarded(gate.journal(), &self.letter, gate.clock().now()).await?;
        gate.move_levels(changes);
        Ok(())
    }
}

impl ByHost for Requeue {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        requeued(&**host.drivers.gate.journal().store(), &self.cause).await
    }
}

impl ByHost for DropCause {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        dropped(&**host.drivers.gate.journal().store(), &self.cause).await
    }
}

/// Throws a cause away; whoever tends its trigger sees that it is gone. A run that was begun for it goes on until somebody ends that.
pub(crate) async fn dropped(store: &dyn Store, name: &str) -> Result<(), OpError> {
    let (key, pending) = cause_of(store, name)?;
    let record = rows::run::of(store, pending.run)?;
    if record.is_some_and(|record| matches!(record.status, Status::Running | Status::Suspended)) {
        return Err(OpError::cause_runs(name, pending.run));
    }
    Ok(store.commit(cause::forget(&key, &pending)).await?)
}

/// The cause that is called so.
fn cause_of(store: &dyn Store, name: &str) -> Result<(Key, PendingCause), OpError> {
    let mut named = cause::all(store, None)?.into_iter().filter(|(key, _)| cause::name(key) == name);
    named.next().ok_or_else(|| OpError::no_cause(name))
}

/// Lets a dead cause try again; whoever tends its trigger finds it.
pub(crate) async fn requeued(store: &dyn Store, name: &str) -> Result<(), OpError> {
    let (key, dead) = cause_of(store, name)?;
    if dead.dead.is_none() {
        return Err(OpError::cause_is_tried(name, dead.tries));
    }
    let run = getrandom::u64().map_err(|_| OpError::broken("the system gives no randomness"))?;
    Ok(store.commit(cause::revive(&key, &dead, RunId(run.max(RunId::HOST.0 + 1)))).await?)
}

fn is_suspended(store: &dyn Store, run: RunId) -> bool {
    rows::run::of(store, run).is_ok_and(|record| record.is_some_and(|record| record.status == Status::Suspended))
}

/// Reads the store where waiting for the disk holds nobody up.
async fn read<T: Send + 'static>(
    host: &Services,
    read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, OpError> {
    let store = Arc::clone(host.drivers.gate.journal().store());
    match tokio::task::spawn_blocking(move || read(&*store)).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(OpError::broken("this part of the host broke down")),
    }
}

/// Throws a letter away, with the entry that tells of it. Gives who keeps how much less then.
pub(crate) async fn discarded(journal: &Journal, letter: &str, at: Millis) -> Result<BTreeMap<String, i64>, OpError> {
    let trail = Arc::new(Trail::new(RunId::HOST));
    for _ in 0..TRIES_MAX {
        let batch = mail::discard(&**journal.store(), letter)?.ok_or_else(|| OpError::no_letter(letter))?;
        let changes = rows::usage::changes(&batch);
        let entry = Entry::Discarded { at, letter: letter.to_owned() };
        match journal.commit(&trail, &[entry], batch).await {
            Ok(()) => return Ok(changes),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Takes labels off, with the entry that tells of it, in one transaction.
pub(crate) async fn unlabelled(unlabel: Unlabel, journal: &Journal, at: Millis) -> Result<Labels, StoreError> {
    let store = Arc::clone(journal.store());
    let trail = Arc::new(Trail::new(RunId::HOST));
    for _ in 0..TRIES_MAX {
        let (batch, taken) = batch(&unlabel, &store)?;
        if taken.is_empty() {
            return Ok(taken);
        }
        let (place, because) = (unlabel.from.to_string(), unlabel.because.clone());
        let entry = Entry::Unlabelled { at, place, labels: taken.clone(), because };
        match journal.commit(&trail, &[entry], batch).await {
            Ok(()) => return Ok(taken),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

fn batch(unlabel: &Unlabel, store: &Arc<dyn Store>) -> Result<(Batch, Labels), StoreError> {
    match &unlabel.from {
        Labelled::Entry { namespace, key } => Memory::new(Arc::clone(store)).removal(namespace, key, &unlabel.labels),
        Labelled::File(path) => Marks::new(Arc::clone(store)).removal(path, &unlabel.labels),
    }
}
