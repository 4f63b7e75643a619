//! What a running host answers to each request. It reads and passes on; what may be done is decided where it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_drivers::files::Marks;
use agentry_drivers::mail;
use agentry_drivers::memory::Memory;
use agentry_journal::{Journal, Trail};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_runtime::host::services::Services;
use agentry_store::limits::{AGENTS_HELD_MAX, CONTROL_PAGE_MAX_BYTES, CONTROL_PAGE_MAX_ROWS};
use agentry_store::{Batch, Page, Range, Store, StoreError, rows};

use crate::api::{Kept, Removal, Reply, Request};

/// How often a removal is tried that runs get in the way of.
const TRIES_MAX: usize = 16;

/// A run that is asked for and is not here.
#[derive(Debug, thiserror::Error)]
pub enum NotHere {
    /// It does not go on here.
    #[error("run {run} does not go on here\nhint: `agentry ps` lists those that do")]
    Over {
        /// Which.
        run: RunId,
    },
    /// The run is over, or was never there.
    #[error(
        "run {run} does not go on here\nhint: `agentry ps` lists those that do; off what it wrote, labels are taken with --file or --namespace"
    )]
    NotRunning {
        /// Which.
        run: RunId,
    },
}

/// Answers one request.
pub(super) async fn answer(services: Arc<Services>, request: Request) -> Reply {
    let store = Arc::clone(services.drivers.gate.journal().store());
    match request {
        Request::Get(key) => read(store, move |store| store.get(&key).map(Reply::Value)).await,
        Request::Has(key) => read(store, move |store| store.has(&key).map(Reply::Has)).await,
        Request::Scan { from, to, reverse, rows } => {
            let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(CONTROL_PAGE_MAX_ROWS);
            let page = Page { rows, bytes: CONTROL_PAGE_MAX_BYTES };
            read(store, move |store| store.scan(&Range { from, to, reverse }, page).map(Reply::Rows)).await
        }
        Request::Paused => Reply::Paused(services.drivers.gate.paused()),
        Request::Say(saying) => match services.people.say(&services.drivers.gate, saying).await {
            Ok(said) => Reply::Said(said),
            Err(error) => Reply::Refused(error.to_string()),
        },
        Request::Budget => Reply::Budget(services.drivers.gate.statements()),
        Request::LookAtLock => {
            services.policy_watch.look_at_lock(&services.drivers.gate);
            match services.drivers.gate.journal().flush().await {
                Ok(()) => Reply::Looked,
                Err(error) => Reply::Refused(error.to_string()),
            }
        }
        Request::UnlabelRun { run, labels, because } => {
            match services.drivers.gate.unlabel(run, &labels, &because).await {
                Ok(Some(taken)) => Reply::Unlabelled(taken),
                Ok(None) => Reply::Refused(NotHere::NotRunning { run }.to_string()),
                Err(error) => Reply::Refused(error.to_string()),
            }
        }
        Request::Live => Reply::Live { runs: services.drivers.gate.live(), held: services.drivers.gate.held() },
        Request::Stop { run, because } => match services.drivers.gate.stop(run, because.as_deref()) {
            true => Reply::Stopping,
            false if services.orders.are_taken() && is_suspended(&*store, run) => {
                services.parking.stop(run, because.unwrap_or_default());
                Reply::Stopping
            }
            false => Reply::Refused(NotHere::Over { run }.to_string()),
        },
        Request::Hold { run, hold } => match services.drivers.gate.hold(run, hold) {
            Some(news) => Reply::Held(news),
            None => Reply::Refused(NotHere::Over { run }.to_string()),
        },
        Request::HoldAgent { agent, hold } => match services.drivers.gate.hold_agent(&agent, hold) {
            Some(runs) => Reply::HeldAgent(u64::try_from(runs).unwrap_or(u64::MAX)),
            None => Reply::Refused(format!(
                "{AGENTS_HELD_MAX} agents are paused already\nhint: stop the host, or let some go: agentry unpause AGENT"
            )),
        },
        Request::Answer(answering) => match services.drivers.human.answer(&answering).await {
            Ok(answered) => Reply::Answered(answered),
            Err(error) => Reply::Refused(error.to_string()),
        },
        Request::Start(_) => Reply::NotServing,
        Request::Resolve(of) => match services.drivers.gate.resolve(&of).await {
            Ok(resolved) => Reply::Resolved(resolved),
            Err(error) => Reply::Refused(error.to_string()),
        },
        Request::Discard { letter } => {
            match discarded(services.drivers.gate.journal(), &letter, services.drivers.gate.clock().now()).await {
                Ok(changes) => {
                    let there = changes.is_some();
                    services.drivers.gate.move_levels(changes.into_iter().flatten());
                    Reply::Discarded(there)
                }
                Err(error) => Reply::Refused(error.to_string()),
            }
        }
        Request::Unlabel(removal) => {
            match unlabelled(removal, services.drivers.gate.journal(), services.drivers.gate.clock().now()).await {
                Ok(taken) => Reply::Unlabelled(taken),
                Err(error) => Reply::Refused(error.to_string()),
            }
        }
    }
}

fn is_suspended(store: &dyn Store, run: RunId) -> bool {
    rows::run::of(store, run).is_ok_and(|record| record.is_some_and(|record| record.status == Status::Suspended))
}

/// Reads the store where waiting for the disk holds nobody up.
async fn read(
    store: Arc<dyn Store>,
    read: impl FnOnce(&dyn Store) -> Result<Reply, StoreError> + Send + 'static,
) -> Reply {
    match tokio::task::spawn_blocking(move || read(&*store)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => Reply::Refused(error.to_string()),
        Err(_) => Reply::Refused("this part of the host broke down".to_owned()),
    }
}

/// Throws a letter away, with the entry that tells of it: who keeps less then; none if there is no such letter.
pub(crate) async fn discarded(
    journal: &Journal,
    letter: &str,
    at: Millis,
) -> Result<Option<BTreeMap<String, i64>>, StoreError> {
    let trail = Arc::new(Trail::new(RunId::HOST));
    for _ in 0..TRIES_MAX {
        let Some(batch) = mail::discard(&**journal.store(), letter)? else { return Ok(None) };
        let changes = rows::usage::changes(&batch);
        let entry = Entry::Discarded { at, letter: letter.to_owned() };
        match journal.commit(&trail, &[entry], batch).await {
            Ok(()) => return Ok(Some(changes)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

/// Takes labels off, with the entry that tells of it, in one transaction.
pub(crate) async fn unlabelled(removal: Removal, journal: &Journal, at: Millis) -> Result<Labels, StoreError> {
    let store = Arc::clone(journal.store());
    let trail = Arc::new(Trail::new(RunId::HOST));
    for _ in 0..TRIES_MAX {
        let (batch, taken) = batch(&removal, &store)?;
        if taken.is_empty() {
            return Ok(taken);
        }
        let (place, because) = (removal.place.to_string(), removal.because.clone());
        let entry = Entry::Unlabelled { at, place, labels: taken.clone(), because };
        match journal.commit(&trail, &[entry], batch).await {
            Ok(()) => return Ok(taken),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

fn batch(removal: &Removal, store: &Arc<dyn Store>) -> Result<(Batch, Labels), StoreError> {
    match &removal.place {
        Kept::Entry { namespace, key } => Memory::new(Arc::clone(store)).removal(namespace, key, &removal.labels),
        Kept::File(place) => Marks::new(Arc::clone(store)).removal(place, &removal.labels),
    }
}
