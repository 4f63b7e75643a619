//! A cause from when it is noticed until its run has ended: written down first, then ordered under an id that stands there already, so that whoever
//! finds it knows whether its run began. One that cannot begin is told of and tried again, later each time, and in the end waits for a person; one whose
//! input its agent does not take waits for a person at once, and is in nobody's way.

use std::sync::Arc;
use std::time::Duration;

use agentry_journal::log;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_store::limits::{
    TRIGGER_DEAD_MAX, TRIGGER_LOOK_MS, TRIGGER_RETRY_MAX_MS, TRIGGER_RETRY_MS, TRIGGER_TRIES_MAX,
};
use agentry_store::rows::cause::{self, PendingCause};
use agentry_store::{Batch, Expect, Key, Store, StoreError, keys, rows};

use super::{Began, Came, Observer, QueuedRun, Rate, RunRequest, Trigger, Watched, oneshot};
use crate::run_queue::NotQueued;

/// Dead causes stand behind those that wait, by the time at which they came.
const DEAD: u64 = 1 << 63;

/// What became of a cause.
enum Ended {
    /// Its run has ended, or it is dead: the next one may come.
    Over,
    /// The host stops: it is the next host's.
    Stops,
}

/// Why no run began for a cause.
enum NotBegun {
    /// The host stops.
    Stops,
    /// For this; it is tried again.
    Yet(String),
    /// For this, which no further try changes.
    Ever(String),
}

impl Trigger {
    /// Remembers what came, in one transaction with `seen`, which tells that it was noticed.
    ///
    /// # Errors
    /// When the store cannot be written; then it is noticed again.
    pub(super) async fn notice(&self, host: &Watched, came: &Came, seen: Batch, number: u64) -> Result<(), StoreError> {
        self.notice_as(host, self.input(came), came, seen, number).await
    }

    /// The same with this input.
    pub(super) async fn notice_as(
        &self,
        host: &Watched,
        input: String,
        came: &Came,
        seen: Batch,
        number: u64,
    ) -> Result<(), StoreError> {
        let mut batch = seen;
        let labels = self.line.labels.and(&came.labels);
        let at = host.drivers.gate.clock().now();
        let (trigger, run) = (self.id(), fresh()?);
        let pending = PendingCause { trigger, at, input, labels, run, tries: 0, dead: None, why: None };
        batch.put(keys::cause(&self.id(), number), pending.encode());
        store(host).commit(batch).await
    }

    /// Carries out what is remembered, oldest first, until nothing is; false if the host stops. What cannot be read or written is told of.
    pub(super) async fn carry_out(&self, host: &Watched, rate: &mut Rate) -> bool {
        loop {
            let ended = match cause::first(&**store(host), &self.id()) {
                Ok(None) => return true,
                Ok(Some((key, pending))) => self.attempt(host, rate, key, pending).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(Ended::Over) => {}
                Ok(Ended::Stops) => return false,
                Err(error) => self.put_off(host, &error).await,
            }
        }
    }

    /// The store does not take or give what came: it is told, and tried again after a while.
    pub(super) async fn put_off(&self, host: &Watched, error: &StoreError) {
        host.drivers.gate.announce_alarm(&format!("{} does not start: {error}", self.id()));
        tokio::time::sleep(Duration::from_millis(TRIGGER_RETRY_MAX_MS)).await;
    }

    async fn attempt(
        &self,
        host: &Watched,
        rate: &mut Rate,
        key: Key,
        mut pending: PendingCause,
    ) -> Result<Ended, StoreError> {
        loop {
            if store(host).get(&key)?.is_none() {
                // A person let it go.
                return Ok(Ended::Over);
            }
            let why = match began(&**store(host), pending.run)? {
                // An earlier host began it.
                Some(true) => {
                    tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
                    continue;
                }
                Some(false) => return over(host, key).await,
                None => {
                    rate.turn().await;
                    match self.ordered(host, &pending).await {
                        Ok(()) if began(&**store(host), pending.run)?.is_some() => continue,
                        Ok(()) => NotBegun::Yet(refused(host, pending.run)?),
                        Err(why) => why,
                    }
                }
            };
            let before = pending.encode();
            pending.tries = pending.tries.saturating_add(1);
            pending.run = fresh()?;
            let mut batch = Batch::default();
            batch.expect(key.clone(), Expect::Equals(before));
            let (why, is_dead) = match why {
                NotBegun::Stops => return Ok(Ended::Stops),
                NotBegun::Yet(why) => (why, pending.tries >= TRIGGER_TRIES_MAX),
                NotBegun::Ever(why) => (why, true),
            };
            self.tell(host, &why, pending.tries, is_dead);
            if is_dead {
                (pending.dead, pending.why) = (Some(why), None);
                // It makes way for what comes.
                batch.remove(key.clone());
                let place = self.place_of_dead(host, pending.at.0, &mut batch)?;
                batch.put(place, pending.encode());
            } else {
                pending.why = Some(why);
                batch.put(key.clone(), pending.encode());
            }
            match store(host).commit(batch).await {
                Err(StoreError::Conflict) => return Ok(Ended::Over),
                written => written?,
            }
            if is_dead {
                return Ok(Ended::Over);
            }
            tokio::time::sleep(pause(pending.tries)).await;
        }
    }

    /// Tells people of a first try that failed, and of a last one.
    fn tell(&self, host: &Watched, why: &str, tries: u32, is_dead: bool) {
        let (id, why) = (self.id(), why.replace("\nhint: ", "; "));
        let told = match is_dead {
            true if tries == 1 => format!("{id} did not start, and waits for a person: {why}"),
            true => format!("{id} did not start {tries} times, and waits for a person: {why}"),
            false if tries == 1 => format!("{id} did not start: {why}"),
            false => return,
        };
        host.drivers.gate.announce_alarm(&told);
    }

    /// Where a cause lies that waits for a person since this time. The oldest of as many as may goes for it.
    fn place_of_dead(&self, host: &Watched, at: u64, batch: &mut Batch) -> Result<Key, StoreError> {
        let id = self.id();
        let all = cause::all(&**store(host), Some(&id))?;
        let mut dead: Vec<Key> =
            all.into_iter().filter(|(_, cause)| cause.dead.is_some()).map(|(key, _)| key).collect();
        if dead.len() >= TRIGGER_DEAD_MAX {
            let oldest = dead.remove(0);
            let told = format!("{id} forgets {}: more than {TRIGGER_DEAD_MAX} wait for a person", cause::name(&oldest));
            host.drivers.gate.announce_alarm(&told);
            batch.remove(oldest);
        }
        let mut places = (DEAD | at..).map(|number| keys::cause(&id, number));
        Ok(places.find(|place| !dead.contains(place)).expect("there are more numbers than causes"))
    }

    /// Has the run begun and waits for its end.
    async fn ordered(&self, host: &Watched, pending: &PendingCause) -> Result<(), NotBegun> {
        let _ordering = self.ordering.lock().await;
        loop {
            let (done, ended) = oneshot::channel();
            let began = Some(Began { by: self.line.cause.story(), labels: pending.labels.clone() });
            let (component, input) = (self.component.clone(), pending.input.clone().into_bytes());
            let observer = Observer::nobody();
            let request = RunRequest { component, input, observer, began, id: Some(pending.run) };
            match host.run_queue.push(QueuedRun { request, done }) {
                Ok(()) => {
                    return match ended.await {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err(error)) if error.is_of_the_input() => Err(NotBegun::Ever(error.to_string())),
                        Ok(Err(error)) => Err(NotBegun::Yet(error.to_string())),
                        Err(_) => Err(NotBegun::Stops),
                    };
                }
                Err(NotQueued::NotServing) => return Err(NotBegun::Stops),
                Err(NotQueued::Full) => tokio::time::sleep(Duration::from_millis(TRIGGER_RETRY_MS)).await,
            }
        }
    }
}

fn store(host: &Watched) -> &Arc<dyn Store> {
    host.drivers.gate.journal().store()
}

fn fresh() -> Result<RunId, StoreError> {
    let number = getrandom::u64().map_err(|error| StoreError::Io { why: error.to_string() })?;
    Ok(RunId(number.max(RunId::HOST.0 + 1)))
}

/// Whether a run goes on that has begun; none if it has not.
fn began(store: &dyn Store, run: RunId) -> Result<Option<bool>, StoreError> {
    let Some(record) = rows::run::of(store, run)? else { return Ok(None) };
    if matches!(record.status, Status::Running | Status::Suspended) {
        return Ok(Some(true));
    }
    // The record of a run that was refused at its start stands alone.
    Ok(if log::first(store, run)?.is_empty() { None } else { Some(false) })
}

fn refused(host: &Watched, run: RunId) -> Result<String, StoreError> {
    let record = rows::run::of(&**store(host), run)?;
    Ok(record.and_then(|record| record.failure).unwrap_or_else(|| "it was refused".to_owned()))
}

async fn over(host: &Watched, key: Key) -> Result<Ended, StoreError> {
    let mut batch = Batch::default();
    batch.remove(key);
    store(host).commit(batch).await?;
    Ok(Ended::Over)
}

/// Twice as long each time.
fn pause(tries: u32) -> Duration {
    let doubled = 1u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_millis(TRIGGER_RETRY_MS.saturating_mul(doubled).min(TRIGGER_RETRY_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_again_later_each_time_and_not_much_later_in_the_end() {
        let pauses: Vec<_> = (1..=10).map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(pause(u32::MAX).as_secs(), 300);
    }
}
