//! The one thread that writes: it takes all that waits, commits it as one transaction, and answers everyone.
//!
//! A disk that fails loses nothing that was answered and answers the rest with what went wrong; the next batch tries to
//! open the database again, so the store goes on by itself when there is room.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use redb::{Database, ReadableTable as _, Table};
use tokio::sync::oneshot;

use super::{Opener, Shared, TABLE, failed};
use crate::lease::Lease;
use crate::{Batch, Expect, QUEUE_MAX_BYTES, Row, StoreError, Write};

/// Batches of one transaction: above this a commit takes so long that those at its front wait for those at its end.
const GROUP_MAX: usize = 4096;
/// Bytes of one transaction.
const GROUP_MAX_BYTES: usize = 64 * 1024 * 1024;

type Answer = Result<(), StoreError>;

struct Job {
    batch: Batch,
    size: usize,
    /// Why it is not even tried. The writer says so, because `on_commit` may want a lock that the caller holds.
    refused: Option<StoreError>,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    fn end(mut self, answer: Answer) {
        if let Some(on_commit) = self.batch.on_commit.take() {
            on_commit(&answer);
        }
        // Whoever asked may have gone; what is committed stays committed.
        let _ = self.answer.send(answer);
    }
}

#[derive(Default)]
struct Queued {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Queued>,
    changed: Condvar,
}

/// The writer's handle. Dropping it writes what waits and closes the database.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>, opener: Opener, lease: Option<Lease>) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (inbox, disk) = (Arc::clone(&queue), Disk { shared, opener, lease });
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || disk.serve(&inbox))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues the batch now; the future is its answer.
    pub(super) fn submit(&self, batch: Batch) -> impl Future<Output = Answer> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let refused = batch.too_large();
        self.queue.push(Job { size: batch.size(), batch, refused, answer });
        async move { answered.await.unwrap_or(Err(StoreError::Closed)) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.waiting.lock().closed = true;
        self.queue.changed.notify_one();
        // The last to let go of the store may be what a commit called; then this is the writer's own thread.
        if let Some(thread) = self.thread.take_if(|thread| thread.thread().id() != thread::current().id()) {
            // A writer that panicked has answered nobody since; there is nothing left to save.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn push(&self, mut job: Job) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + job.size > QUEUE_MAX_BYTES && !waiting.jobs.is_empty() {
            job.refused = job.refused.or(Some(StoreError::Backlog));
        }
        if job.refused.is_some() {
            (job.batch.expect, job.batch.writes, job.batch.late, job.size) = (Vec::new(), Vec::new(), None, 0);
        }
        waiting.bytes += job.size;
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
    }

    /// The next group, in order; none when the writer is closed and nothing waits.
    fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
        let mut group = Vec::with_capacity(waiting.jobs.len().min(GROUP_MAX));
        let mut bytes = 0;
        while let Some(job) = waiting.jobs.front() {
            if group.len() == GROUP_MAX || (!group.is_empty() && bytes + job.size > GROUP_MAX_BYTES) {
                break;
            }
            bytes += job.size;
            group.extend(waiting.jobs.pop_front());
        }
        waiting.bytes -= bytes;
        Some(group)
    }
}

struct Disk {
    shared: Arc<Shared>,
    opener: Opener,
    /// Where no lock keeps others from the file.
    lease: Option<Lease>,
}

impl Disk {
    fn serve(self, queue: &Queue) {
        while let Some(mut group) = queue.take() {
            let answers = match self.commit(&mut group) {
                Ok(answers) => answers,
                Err(error) => {
                    self.close();
                    vec![Err(error); group.len()]
                }
            };
            group.into_iter().zip(answers).for_each(|(job, answer)| job.end(answer));
        }
        self.close();
    }

    /// Commits what can be; the outer error is everyone's.
    fn commit(&self, group: &mut [Job]) -> Result<Vec<Answer>, StoreError> {
        if !self.is_ours() {
            return Err(StoreError::Fenced);
        }
        self.reopen()?;
        let database = self.shared.database.read();
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        let mut answers = Vec::with_capacity(group.len());
        let mut changed = false;
        {
            let mut table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
            for job in group {
                let answer = match &job.refused {
                    Some(error) => Err(error.clone()),
                    None => holds(&table, &job.batch)?,
                };
                if answer.is_ok() {
                    changed |= add(&mut table, &job.batch.contents)?;
                    let late = job.batch.late.take().map(|late| (late.writes)());
                    for writes in [Some(&job.batch.writes), late.as_ref()].into_iter().flatten() {
                        apply(&mut table, writes)?;
                        changed |= !writes.is_empty();
                    }
                }
                answers.push(answer);
            }
        }
        if !self.is_ours() {
            return Err(StoreError::Fenced);
        }
        if changed {
            transaction.commit().map_err(|error| failed(error.into()))?;
        } else {
            transaction.abort().map_err(|error| failed(error.into()))?;
        }
        Ok(answers)
    }

    /// After a failure the database refuses everything until it is opened anew.
    fn reopen(&self) -> Result<(), StoreError> {
        if self.shared.database.read().is_some() {
            return Ok(());
        }
        let database: Database = (self.opener)().map_err(|error| failed(error.into()))?;
        *self.shared.database.write() = Some(database);
        Ok(())
    }

    fn close(&self) {
        if let Some(database) = self.shared.database.write().take() {
            if self.is_ours() {
                // It may fail once more on the same disk; what is committed is on it already.
                let _ = database.close();
            } else {
                // Closing writes, and the file is another's now.
                std::mem::forget(database);
            }
        }
    }

    /// Whether nobody else has the file: a lock says so, or the lease still holds.
    fn is_ours(&self) -> bool {
        self.lease.as_ref().is_none_or(Lease::holds)
    }
}

/// Whether all that a batch expects holds; the outer error is everyone's.
fn holds(table: &Table<'_, &[u8], &[u8]>, batch: &Batch) -> Result<Answer, StoreError> {
    for (key, expect) in &batch.expect {
        let found = table.get(key.as_slice()).map_err(|error| failed(error.into()))?;
        let found = found.as_ref().map(|found| found.value());
        match expect {
            Expect::Absent if found.is_none() => {}
            Expect::Equals(value) | Expect::Epoch(value) if found == Some(value.as_slice()) => {}
            Expect::Absent | Expect::Equals(_) => return Ok(Err(StoreError::Conflict)),
            Expect::Epoch(_) => return Ok(Err(StoreError::Fenced)),
        }
    }
    Ok(Ok(()))
}

/// Writes what is not there; true if something was not.
fn add(table: &mut Table<'_, &[u8], &[u8]>, contents: &[Row]) -> Result<bool, StoreError> {
    let mut added = false;
    for (key, value) in contents {
        if table.get(key.as_slice()).map_err(|error| failed(error.into()))?.is_none() {
            table.insert(key.as_slice(), value.as_slice()).map_err(|error| failed(error.into()))?;
            added = true;
        }
    }
    Ok(added)
}

fn apply(table: &mut Table<'_, &[u8], &[u8]>, writes: &[Write]) -> Result<(), StoreError> {
    for (key, value) in writes {
        match value {
            Some(value) => drop(table.insert(key.as_slice(), value.as_slice()).map_err(|error| failed(error.into()))?),
            None => drop(table.remove(key.as_slice()).map_err(|error| failed(error.into()))?),
        }
    }
    Ok(())
}
