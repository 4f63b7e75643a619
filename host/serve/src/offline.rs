//! What a person does to a home from outside of any run: by the host that runs there, or in its place while none does. Each act is journaled.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_abi::clock::Clock;
use agentry_drivers::human::Human;
use agentry_journal::settle_unknown::{Resolution, ResolveError, Resolved, UnknownCall};
use agentry_journal::{Balances, Extras, Journal, Trail};
use agentry_kernel::budget::{Amounts, Books, Resource};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_runtime::host::policy_watch;
use agentry_store::rows::question::{AnswerError, Answering, Inquiry};
use agentry_store::{RedbStore, StoreError, keys, rows};

use crate::api::{Removal, Reply, Request};
use crate::ops::{self, NotHere};
use crate::socket::{self, ControlError};

/// How long a host may have the store and no socket yet.
const HOST_BEGINS_MAX: Duration = Duration::from_secs(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host that runs there.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What a person says of a call.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The home cannot be written.
    #[error("cannot change the lock of {home}: {why}\nhint: let this user write the home directory")]
    Lock {
        /// The directory.
        home: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// The answer does not count.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The run does not go on here.
    #[error(transparent)]
    NotHere(#[from] NotHere),
}

/// Stops every new effect in this home, now and until it is unlocked. False if it was locked already.
///
/// # Errors
/// When the lock cannot be written, or a host runs there and does not answer: the lock holds then, and bites within two looks.
pub async fn lock(home: &Path, because: &str) -> Result<bool, AdminError> {
    let changed = policy_watch::set_lock(home, because).map_err(|why| unwritable(home, why))?;
    told(home, changed, |at| Entry::Locked { at, because: because.to_owned() }).await?;
    Ok(changed)
}

/// Lets effects go on. False if the home was not locked.
///
/// # Errors
/// As [`lock`].
pub async fn unlock(home: &Path) -> Result<bool, AdminError> {
    let changed = policy_watch::remove_lock(home).map_err(|why| unwritable(home, why))?;
    told(home, changed, |at| Entry::Unlocked { at }).await?;
    Ok(changed)
}

/// Takes labels off; those that were there.
///
/// # Errors
/// When the store cannot be written.
pub async fn unlabel(home: &Path, removal: Removal) -> Result<Labels, AdminError> {
    match hand(home, &Request::Unlabel(removal.clone())).await? {
        Hand::Host(Reply::Unlabelled(labels)) => Ok(labels),
        Hand::Host(_) => Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Hand::Ours(journal) => Ok(ops::unlabelled(removal, &journal, Clock::System.now()).await?),
    }
}

/// Answers a question of an agent; the question as it stands then. Its run takes the answer, at once or when it is carried on.
///
/// # Errors
/// When the answer does not count, or the store cannot be written.
pub async fn answer(home: &Path, answering: Answering) -> Result<Inquiry, AdminError> {
    match hand(home, &Request::Answer(answering.clone())).await? {
        Hand::Host(Reply::Answered(answered)) => Ok(answered),
        Hand::Host(_) => Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Hand::Ours(journal) => {
            let human = Human::open(Arc::clone(journal.store()), Clock::System).await?;
            Ok(human.answer(&answering).await?)
        }
    }
}

/// Throws a letter away, waiting or dead. False if there is none of this id.
///
/// # Errors
/// When the store cannot be written.
pub async fn discard(home: &Path, letter: &str) -> Result<bool, AdminError> {
    match hand(home, &Request::Discard { letter: letter.to_owned() }).await? {
        Hand::Host(Reply::Discarded(there)) => Ok(there),
        Hand::Host(_) => Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Hand::Ours(journal) => {
            let Some(changes) = ops::discarded(&journal, letter, Clock::System.now()).await? else { return Ok(false) };
            let trail = Arc::new(Trail::new(RunId::HOST));
            let mut site = books_of(&journal, keys::SITE)?;
            for (agent, bytes) in changes {
                let (mut books, freed) =
                    (books_of(&journal, &agent)?, Amounts::of(Resource::Storage, bytes.unsigned_abs()));
                books.day.lower(&freed);
                site.day.lower(&freed);
                let moved = Some(Balances { agent: &agent, books, site });
                journal.append(&trail, &[], Extras { moved, ..Extras::default() });
            }
            journal.durable(&trail).await?;
            Ok(true)
        }
    }
}

/// Takes labels off a run that goes on; those that it held.
///
/// # Errors
/// [`NotHere::NotRunning`] if it does not, or no host runs there.
pub fn unlabel_run(home: &Path, run: RunId, labels: Labels, because: String) -> Result<Labels, AdminError> {
    match socket::ask(home, &Request::UnlabelRun { run, labels, because }) {
        Ok(Reply::Unlabelled(taken)) => Ok(taken),
        Ok(_) => Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Err(ControlError::NoHost { .. }) => Err(NotHere::NotRunning { run }.into()),
        Err(error) => Err(error.into()),
    }
}

/// Takes a person's word for what became of a call that nobody knows of.
///
/// # Errors
/// If that is known, or the store cannot be read or written.
pub async fn resolve(home: &Path, of: Resolution) -> Result<Resolved, AdminError> {
    let journal = match hand(home, &Request::Resolve(of.clone())).await? {
        Hand::Host(Reply::Resolved(resolved)) => return Ok(resolved),
        Hand::Host(_) => return Err(ControlError::Lost { why: "it answered another question".to_owned() }.into()),
        Hand::Ours(journal) => journal,
    };
    let unknown = UnknownCall::find(&**journal.store(), &of)?;
    let (entry, record, returned) = unknown.close(&of, Clock::System.now());
    let (mut books, mut site) = (books_of(&journal, &record.agent)?, books_of(&journal, keys::SITE)?);
    books.take_back(&returned, unknown.since);
    site.take_back(&returned, unknown.since);
    let trail = Arc::new(Trail::new(of.run));
    let moved = Some(Balances { agent: &record.agent, books, site });
    let along = Extras { moved, record: Some(record.clone()), ..Extras::default() };
    journal.append(&trail, &[entry], along);
    journal.durable(&trail).await?;
    Ok(Resolved { returned })
}

/// The books of an agent or of the site as they are stored: no host has them in memory.
fn books_of(journal: &Journal, owner: &str) -> Result<Books, StoreError> {
    let stored = journal.store().get(&keys::books(journal.at().host, owner))?;
    stored.map_or_else(|| Ok(Books::default()), |bytes| rows::run::books(&bytes))
}

fn unwritable(home: &Path, why: std::io::Error) -> AdminError {
    AdminError::Lock { home: home.display().to_string(), why }
}

/// Has the host look, which journals what it sees; or journals it in its place.
async fn told(home: &Path, changed: bool, entry: impl FnOnce(Millis) -> Entry) -> Result<(), AdminError> {
    match hand(home, &Request::LookAtLock).await? {
        Hand::Ours(journal) if changed => {
            let trail = Arc::new(Trail::new(RunId::HOST));
            journal.append(&trail, &[entry(Clock::System.now())], Extras::default());
            Ok(journal.durable(&trail).await?)
        }
        Hand::Ours(_) | Hand::Host(_) => Ok(()),
    }
}

/// Whose hand did it, or is to do it.
enum Hand {
    Host(Reply),
    Ours(Journal),
}

async fn hand(home: &Path, request: &Request) -> Result<Hand, AdminError> {
    let begun = Instant::now();
    loop {
        match socket::ask(home, request) {
            Err(ControlError::NoHost { .. }) => {}
            answered => return Ok(Hand::Host(answered?)),
        }
        match RedbStore::open(home) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < HOST_BEGINS_MAX => tokio::time::sleep(PAUSE).await,
            opened => return Ok(Hand::Ours(Journal::open(Arc::new(opened?)).await?.0)),
        }
    }
}
