//! Journals of runs that are over go, and the contents that nothing names any more; their places in the chain, their records and what the books
//! say stay. It goes in small steps, each whole or not at all, and never touches a run that could still go on, or that something else names.
//!
//! A journal goes in one transaction: its segments become [`Stub`](crate::segment::Stub)s, the run gets a receipt, the host's log says so, and what the journal named
//! is marked as perhaps nobody's. Contents go after: those marked that no journal names. A host that is killed in between leaves marks, and
//! whoever prunes next goes on with them.

mod choice;
mod contents;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, PrunedRun};
use agentry_kernel::retention::Retention;
use agentry_kernel::time::Millis;
use agentry_store::ids::HostId;
use agentry_store::rows::receipt::Receipt;
use agentry_store::{Batch, Expect, Store, StoreError, keys};
use serde::{Deserialize, Serialize};

use self::choice::{Choice, Going};
use crate::{Journal, Trail};

/// Journals that go in one step: some milliseconds of the writer.
const STEP_MAX_RUNS: usize = 64;
/// Segments that do; a longer journal is a step of its own.
const STEP_MAX_SEGMENTS: usize = 4096;
/// How often a step is tried that something gets in the way of.
const TRIES_MAX: usize = 16;

/// What goes, and how fast.
#[derive(Clone, Copy)]
pub struct Pruning<'a> {
    /// Which runs.
    pub retention: &'a Retention,
    /// Whose: no host touches what another one wrote.
    pub host: HostId,
    /// The time.
    pub now: Millis,
    /// How many times as long as a step took it rests after it.
    pub rests: u32,
    /// Hears what went so far, after each step; false to stop there.
    pub goes_on: &'a dyn Fn(&Pruned) -> bool,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Runs whose journals went.
    pub runs: u64,
    /// Segments of these.
    pub segments: u64,
    /// What these took.
    pub journal_bytes: u64,
    /// Contents that nothing named any more.
    pub contents: u64,
    /// What these took.
    pub content_bytes: u64,
    /// Runs that are over for as long and stay: they are to be kept, or something names them.
    pub kept: u64,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// It is done already, or a run is forked off another, whose past must stay.
    #[error("this home is being pruned already, or a run is forked in it\nhint: try again when that is over")]
    Busy,
    /// It was to stop.
    #[error("the host stops\nhint: prune again; what went stays gone")]
    Stopped,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pruning<'_> {
    fn step(&self, so_far: &Pruned, begun: Instant) -> Result<(), PruneError> {
        if !(self.goes_on)(so_far) {
            return Err(PruneError::Stopped);
        }
        // However long a step took: who is to stop is not to wait for this.
        std::thread::sleep((begun.elapsed() * self.rests).min(Duration::from_millis(500)));
        Ok(())
    }
}

/// Prunes. It waits for the disk where it is called, on a thread that may wait, inside of a runtime.
///
/// # Errors
/// If it is done already, or the store cannot be read or written. What went until then stays gone, and all is whole.
pub fn prune(journal: &Journal, how: &Pruning<'_>) -> Result<Pruned, PruneError> {
    let past = Arc::clone(journal.past());
    let _alone = past.try_write().map_err(|_| PruneError::Busy)?;
    let mut pruned = Pruned::default();
    let store = Arc::clone(journal.store());
    let mut choice = Choice::of(&*store, how)?;
    loop {
        let begun = Instant::now();
        let step = next_step(&mut choice, &mut pruned)?;
        if step.is_empty() {
            break;
        }
        went(journal, how.now, &step, &mut pruned)?;
        how.step(&pruned, begun)?;
    }
    contents::prune(journal, how, &mut pruned)?;
    Ok(pruned)
}

/// What would go, without anything of it going.
///
/// # Errors
/// If the store cannot be read.
pub fn look(store: &dyn Store, how: &Pruning<'_>) -> Result<Pruned, PruneError> {
    let mut pruned = Pruned::default();
    let mut choice = Choice::of(store, how)?;
    let mut orphans = HashSet::new();
    loop {
        let begun = Instant::now();
        let step = next_step(&mut choice, &mut pruned)?;
        if step.is_empty() {
            break;
        }
        for going in step {
            pruned.add(&going);
            orphans.extend(going.names);
        }
        how.step(&pruned, begun)?;
    }
    contents::look(store, how, &choice.going, orphans, &mut pruned)?;
    Ok(pruned)
}

impl Pruned {
    fn add(&mut self, going: &Going) {
        self.runs += 1;
        self.segments += going.stubs.len() as u64;
        self.journal_bytes += going.receipt.bytes;
    }
}

/// The next journals that go; none if there are no more.
fn next_step(choice: &mut Choice<'_>, pruned: &mut Pruned) -> Result<Vec<Going>, StoreError> {
    let (mut step, mut segments) = (Vec::new(), 0);
    while step.len() < STEP_MAX_RUNS && segments < STEP_MAX_SEGMENTS {
        let Some(going) = choice.next(&mut pruned.kept)? else { break };
        segments += going.stubs.len();
        step.push(going);
    }
    Ok(step)
}

/// These journals go, in one transaction.
fn went(journal: &Journal, at: Millis, step: &[Going], pruned: &mut Pruned) -> Result<(), StoreError> {
    let trail = Arc::new(Trail::new(RunId::HOST));
    let told =
        |going: &Going| PrunedRun { run: going.run, segments: going.receipt.segments, digest: going.receipt.digest };
    for _ in 0..TRIES_MAX {
        // What a person said of a run meanwhile stands in its journal: then it is the next pruning's.
        let unchanged = |going: &&Going| {
            let record = journal.store().get(&keys::run(going.run));
            record.is_ok_and(|record| record.as_ref() == Some(&going.record))
        };
        let step: Vec<_> = step.iter().filter(unchanged).collect();
        if step.is_empty() {
            return Ok(());
        }
        let (mut batch, mut orphans) = (Batch::default(), HashSet::<&Digest>::new());
        for going in &step {
            batch.expect(keys::run(going.run), Expect::Equals(going.record.clone()));
            for (id, stub) in &going.stubs {
                batch.put(keys::segment(*id), stub.encode());
                batch.remove(keys::index(going.run, *id));
            }
            batch.put(keys::receipt(going.run), Receipt { at, ..going.receipt }.encode());
            orphans.extend(&going.names);
        }
        orphans.into_iter().for_each(|content| batch.put(keys::orphan(content), Vec::new()));
        let entry = Entry::Pruned { at, runs: step.iter().map(|going| told(going)).collect() };
        match wait(journal.commit(&trail, &[entry], batch)) {
            Ok(()) => {
                step.iter().for_each(|going| pruned.add(going));
                return Ok(());
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}

/// Waits for the disk.
fn wait<T>(until: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(until)
}

#[cfg(test)]
mod tests;
