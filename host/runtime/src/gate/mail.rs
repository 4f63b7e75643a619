//! The way of a call that takes a letter out of a mailbox. It waits for one; the letter leaves its mailbox in the transaction of the entry
//! that tells of it, so it stands in one journal once. One that its guest does not see goes back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::Call;
use agentry_kernel::budget::Amounts;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::again::Recall;
use super::outside::{Errand, past};
use super::{Gate, Turn, fault, settle};
use crate::drivers::mail::{Mail, Taken};
use crate::journal::{Along, RunRecord};
use crate::run::context::RunContext;
use crate::store::{Batch, StoreError};
use crate::syscalls::bindings::agentry::agent::agents::Letter;
use crate::syscalls::bindings::agentry::agent::types::Error;

/// A letter on its way to the guest. Dropped, it goes back to its mailbox.
struct Unseen {
    taken: Option<Taken>,
    mail: Arc<Mail>,
}

impl Unseen {
    /// The guest has it.
    fn seen(mut self) -> Option<Letter> {
        self.taken.take().map(|taken| taken.letter)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let (Some(taken), Ok(runtime)) = (self.taken.take(), tokio::runtime::Handle::try_current()) else { return };
        let mail = Arc::clone(&self.mail);
        runtime.spawn(async move {
            // If the store cannot be written, the letter stands in the journal of the run that took it.
            let _ = mail.put_back(&taken).await;
        });
    }
}

impl Gate {
    /// The next letter of the run's agent, or none after `timeout_ms`.
    ///
    /// # Errors
    /// What the kernel refuses; `cancelled` or `timed-out` if the run ends first, `unavailable` if the store does not answer.
    pub(crate) fn pass_letter(
        &self,
        run: &Arc<RunContext>,
        timeout_ms: Option<u64>,
        mail: &Arc<Mail>,
    ) -> impl Future<Output = Result<Option<Letter>, Error>> + Send + use<> {
        let what = Call::AgentsReceive { timeout_ms };
        let (again, errand) = match self.recall(run, &what) {
            Recall::Told(again) => (Some(again), None),
            Recall::Live(number) => (None, Some(self.begin_errand(run, number, what.into()))),
        };
        let begun = errand.map(|errand| {
            errand.map(|(errand, turn)| {
                let (watch, mail) = (errand.watch(), Arc::clone(mail));
                // One that was begun before is over when it would have been.
                let began = run.began(errand.call).unwrap_or(errand.at);
                let (sender, receiver) = oneshot::channel();
                tokio::spawn(async move {
                    let until = timeout_ms.map(|ms| began.plus(ms));
                    let (result, at) = errand.receive(turn, until, &mail).await;
                    let unseen = result.map(|taken| Unseen { taken, mail });
                    // A guest that has gone gives it back.
                    let _ = sender.send((unseen, at));
                });
                (watch, receiver)
            })
        });
        let run = Arc::clone(run);
        async move {
            if let Some(again) = again {
                return again.answer(&run).await;
            }
            let broke = || fault::unavailable("this part of the host broke down", None);
            let (mut watch, receiver) = begun.unwrap_or_else(|| Err(broke()))?;
            let (result, at) = watch.awaits(receiver).await.map_err(|_| broke())?;
            watch.seen(at);
            result.map(Unseen::seen)
        }
    }
}

impl Errand {
    /// Waits for a letter until then by the host's clock, no longer than the guest and the run do.
    async fn receive(
        mut self,
        turn: Turn,
        until: Option<Millis>,
        mail: &Arc<Mail>,
    ) -> (Result<Option<Taken>, Error>, Millis) {
        let permit = match self.turn(turn).await {
            Ok(permit) => permit,
            Err(error) => return self.withdrawn(error),
        };
        self.asked(&permit);
        let run = Arc::clone(&self.run);
        let mailbox = run.agent.clone();
        let deadline = until.map(|until| Instant::now() + Duration::from_millis(until.since(self.gate.clock().now())));
        loop {
            // Before the look: a letter that comes behind it is heard of.
            let arrival = mail.arrival(&mailbox);
            let mut arrival = std::pin::pin!(arrival.notified());
            arrival.as_mut().enable();
            if self.cancel.is_cancelled() {
                return self.without(permit, Err(Error::Cancelled));
            }
            match mail.take(&mailbox, self.now()) {
                Ok(Some((batch, taken, labels))) => match self.tell_taken(batch, &taken, &labels).await {
                    Ok(at) => return (Ok(Some(self.taken(permit, taken, &labels, at))), at),
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return self.without(permit, Err(fault::stored(&error))),
                },
                Ok(None) => {}
                Err(error) => return self.without(permit, Err(fault::stored(&error))),
            }
            let over = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return self.without(permit, Err(Error::Cancelled)),
                () = past(&run) => return self.without(permit, Err(Error::TimedOut)),
                () = arrival => {}
                () = over => return self.without(permit, Ok(None)),
            }
        }
    }

    /// It ends without a letter.
    fn without(self, permit: Permit, why: Result<Option<Letter>, Error>) -> (Result<Option<Taken>, Error>, Millis) {
        let (result, at) = self.close(permit, why, Some(Amounts::ZERO));
        (result.map(|_| None), at)
    }

    /// The letter leaves its mailbox with the entries that tell of it.
    async fn tell_taken(&self, batch: Batch, taken: &Taken, labels: &Labels) -> Result<Millis, StoreError> {
        let (call, at) = (self.call, self.now());
        let mut contents = Vec::new();
        let outcome = settle::outcome::<_, Error>(&Ok(Some(&taken.letter)), &mut contents);
        let contents = self.gate.0.journal.missing(contents);
        let gained = labels.without(&self.run.labels());
        let mut entries = Vec::with_capacity(2);
        if !gained.is_empty() {
            entries.push(Entry::Labelled { call, at, labels: gained });
        }
        entries.push(Entry::Answered { call, at, outcome, spent: Amounts::ZERO });
        self.gate.0.journal.append(&self.run.trail, &[], Along { contents, ..Along::default() });
        self.gate.0.journal.commit(&self.run.trail, &entries, batch).await?;
        Ok(at)
    }

    /// The run has the labels of the letter before its guest sees it. What tells of them is written already.
    fn taken(&self, mut permit: Permit, taken: Taken, labels: &Labels, at: Millis) -> Taken {
        permit.bring(labels);
        let mut desk = self.gate.0.desk.lock();
        let settled = desk.kernel.settle(permit, Amounts::ZERO, at);
        desk.let_in(settled.ready, at);
        self.run.relabel(self.call, &settled.gained, &settled.cleared);
        let record = self.run.record().map(|record| RunRecord { labels: self.run.labels(), ..record.clone() });
        let record = record.filter(|_| !settled.gained.is_empty());
        self.gate.0.journal.append(&self.run.trail, &[], Along { record, ..Along::default() });
        drop(desk);
        self.tell(at, Amounts::ZERO, None);
        taken
    }
}
