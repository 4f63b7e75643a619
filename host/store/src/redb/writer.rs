//! The one thread that writes: it takes all that waits, commits it as one transaction, and answers everyone.
//!
//! A disk that fails loses nothing that was answered and answers the rest with what went wrong; the next batch tries to
//! open the database again, so the store goes on by itself when there is room.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use redb::{Durability, ReadableTable as _, Table, WriteTransaction};
use tokio::sync::oneshot;

use super::wal::{Body, WriteAheadLog};
use super::{Opener, Shared, TABLE, checkpoint, failed};
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
    pub(super) fn start(disk: Disk) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let inbox = Arc::clone(&queue);
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

/// What the writer writes to.
pub(super) struct Disk {
    pub(super) shared: Arc<Shared>,
    /// None while the disk fails, like the database.
    pub(super) log: Option<WriteAheadLog>,
    pub(super) opener: Opener,
    /// Where the store lies.
    pub(super) path: PathBuf,
    /// Where no lock keeps others from the file.
    pub(super) lease: Option<Lease>,
}

impl Disk {
    fn serve(mut self, queue: &Queue) {
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
    fn commit(&mut self, group: &mut [Job]) -> Result<Vec<Answer>, StoreError> {
        if !is_ours(self.lease.as_ref()) {
            return Err(StoreError::Fenced);
        }
        self.reopen()?;
        let database = self.shared.database.read();
        let (Some(database), Some(log)) = (database.as_ref(), self.log.as_mut()) else {
            return Err(StoreError::Closed);
        };
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        let mut answers = Vec::with_capacity(group.len());
        let mut written = Body::default();
        {
            let mut table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
            for job in group {
                let answer = match &job.refused {
                    Some(error) => Err(error.clone()),
                    None => holds(&table, &job.batch)?,
                };
                if answer.is_ok() {
                    add(&mut table, &job.batch.contents, &mut written)?;
                    let late = job.batch.late.take().map(|late| (late.writes)());
                    for writes in [Some(&job.batch.writes), late.as_ref()].into_iter().flatten() {
                        apply(&mut table, writes, &mut written)?;
                    }
                }
                answers.push(answer);
            }
        }
        if !is_ours(self.lease.as_ref()) {
            return Err(StoreError::Fenced);
        }
        if written.is_empty() {
            transaction.abort().map_err(|error| failed(error.into()))?;
        } else {
            make_durable(transaction, &written, log)?;
        }
        Ok(answers)
    }

    /// After a failure the database refuses everything until it is opened anew.
    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.shared.database.read().is_some() {
            return Ok(());
        }
        let database = (self.opener)().map_err(|error| failed(error.into()))?;
        let log = super::replayed(&database, &self.path)?.ok_or_else(super::no_log)?;
        (*self.shared.database.write(), self.log) = (Some(database), Some(log));
        Ok(())
    }

    fn close(&mut self) {
        let (database, log) = (self.shared.database.write().take(), self.log.take());
        let (Some(database), Some(log)) = (database, log) else { return };
        if is_ours(self.lease.as_ref()) {
            // It may fail once more on the same disk; what is committed is on it already.
            let _ = super::close(log, database, &self.path);
        } else {
            // Closing writes, and the file is another's now.
            std::mem::forget(database);
        }
    }
}

/// Whether nobody else has the file: a lock says so, or the lease still holds.
fn is_ours(lease: Option<&Lease>) -> bool {
    lease.is_none_or(Lease::holds)
}

/// Commits what a transaction has written: by a record of the log, or in the store's own file with all that the log has.
fn make_durable(mut transaction: WriteTransaction, written: &Body, log: &mut WriteAheadLog) -> Result<(), StoreError> {
    // Where no record can be written, the store's own file is tried, and says what is wrong with the disk.
    if log.takes(written) && log.append(written).is_ok() {
        transaction.set_durability(Durability::None).map_err(|error| failed(error.into()))?;
        return transaction.commit().map_err(|error| failed(error.into()));
    }
    checkpoint(transaction, log)
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

/// Writes what is not there.
fn add(table: &mut Table<'_, &[u8], &[u8]>, contents: &[Row], written: &mut Body) -> Result<(), StoreError> {
    for (key, value) in contents {
        if table.get(key.as_slice()).map_err(|error| failed(error.into()))?.is_none() {
            table.insert(key.as_slice(), value.as_slice()).map_err(|error| failed(error.into()))?;
            written.put(key, Some(value));
        }
    }
    Ok(())
}

fn apply(table: &mut Table<'_, &[u8], &[u8]>, writes: &[Write], written: &mut Body) -> Result<(), StoreError> {
    for (key, value) in writes {
        written.put(key, value.as_deref());
        write(table, key, value.as_deref())?;
    }
    Ok(())
}

/// Writes one row, or removes it.
pub(super) fn write(table: &mut Table<'_, &[u8], &[u8]>, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
    match value {
        Some(value) => drop(table.insert(key, value).map_err(|error| failed(error.into()))?),
        None => drop(table.remove(key).map_err(|error| failed(error.into()))?),
    }
    Ok(())
}
