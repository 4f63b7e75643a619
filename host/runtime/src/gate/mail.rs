//! The way of a call that takes a letter out of a mailbox. It waits for one; the letter leaves its mailbox in the transaction of the entry
//! that tells of it, so it stands in one journal once. One that its guest does not see goes back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::agents::Letter;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_drivers::mail::{Mail, Taken};
use agentry_journal::Extras;
use agentry_kernel::Call;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::CallId;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::Permit;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_store::rows::run::RunRecord;
use agentry_store::rows::usage;
use agentry_store::{Batch, StoreError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::again::{Recall, RecalledCall};
use super::answer::{Begun, CallHandle, Coming, Unseen};
use super::in_flight::{InFlightCall, past};
use super::{Gate, Turn, settle};
use crate::run::acts::{Acts, OngoingAct};
use crate::run::context::RunContext;

/// What came of a call for a letter, on its way to the guest. If that lets go of it, this is written down, and in the same transaction a
/// letter goes back to its mailbox: whichever host looks, the letter is there or in one journal whose run has yet to see it.
struct Transit {
    gate: Gate,
    run: Arc<RunContext>,
    call: CallId,
    mail: Arc<Mail>,
    /// None before it came, and once the guest has it.
    result: Option<Result<Option<Taken>, Error>>,
    /// The run does not end before.
    act: Option<OngoingAct>,
    /// The run takes no other letter before, once the guest has let go of this one.
    going_back: Arc<OnceLock<OngoingAct>>,
}

impl Transit {
    fn of(
        gate: &Gate,
        run: &Arc<RunContext>,
        call: CallId,
        mail: &Arc<Mail>,
        going_back: Arc<OnceLock<OngoingAct>>,
    ) -> Self {
        let act = Some(Acts::begin(&run.acts));
        let (gate, run, mail) = (gate.clone(), Arc::clone(run), Arc::clone(mail));
        Self { gate, run, call, mail, result: None, act, going_back }
    }

    /// What the guest gets.
    fn answer(&self) -> Result<Option<Letter>, Error> {
        let result =
            self.result.as_ref().map_or_else(|| Err(fault::broke()), |result| result.as_ref().map_err(Clone::clone));
        result.map(|taken| taken.as_ref().map(|taken| taken.letter.clone()))
    }
}

/// Where a letter lies between its call and the guest. Whoever has it last, the guest's end or the call's, and does not say that it was seen,
/// gives it back.
#[derive(Clone, Default)]
pub(super) struct Letterbox(Arc<Mutex<Option<Transit>>>);

impl Letterbox {
    fn keep(&self, transit: Transit) {
        *self.0.lock() = Some(transit);
    }

    /// The guest has it.
    pub(super) fn seen(self) {
        let transit = self.0.lock().take();
        if let Some(mut transit) = transit {
            transit.result = None;
        }
    }
}

impl Drop for Transit {
    fn drop(&mut self) {
        let dropped = [Entry::Observed { call: self.call, dropped: true }];
        let (gate, run) = (self.gate.clone(), Arc::clone(&self.run));
        let taken = match self.result.take() {
            None => return,
            Some(Ok(Some(taken))) => taken,
            Some(_) => return gate.0.journal.append(&run.trail, &dropped, Extras::default()),
        };
        // Where the host itself goes down, or the run leaves memory, the letter stands in the journal of the run, which has yet to see it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (mail, act, going_back) = (Arc::clone(&self.mail), self.act.take(), Arc::clone(&self.going_back));
        runtime.spawn(async move {
            let _alone = mail.locks.lock(&run.agent).await;
            while let Ok(batch) = mail.put_back(&taken) {
                // Whoever keeps it keeps it again.
                let changes = usage::changes(&batch);
                match gate.0.journal.commit(&run.trail, &dropped, batch).await {
                    Err(StoreError::Conflict) => {}
                    Err(_) => break,
                    Ok(()) => {
                        gate.0.move_levels(&run.trail, changes);
                        break;
                    }
                }
            }
            drop((act, going_back));
        });
    }
}

impl Gate {
    /// The next letter of the run's agent, or none after `timeout_ms`.
    ///
    /// Its answer is an error if the kernel refuses; `cancelled` or `timed-out` if the run ends first, `unavailable` if the store does not
    /// answer.
    pub(crate) fn pass_letter(
        &self,
        run: &Arc<RunContext>,
        timeout_ms: Option<u64>,
        mail: &Arc<Mail>,
    ) -> Begun<Option<Letter>, Error> {
        let what = Call::AgentsReceive { timeout_ms };
        let number = match self.recall(run, &what) {
            Recall::Recordable(again) => return self.told(run, &again, mail).unwrap_or_else(|| again.begun(run)),
            Recall::Live(number) => number,
        };
        let (mut call, turn) = match self.begin_call(run, number, what.into()) {
            Ok(begun) => begun,
            Err(error) => return Begun::now(run.last_call(), Err(error)),
        };
        let (number, letterbox) = (call.call, Letterbox::default());
        let mut transit = Transit::of(self, run, number, mail, call.for_letter());
        // One that was begun before is over when it would have been.
        let until = timeout_ms.map(|ms| self.began(run, number).unwrap_or(call.at).plus(ms));
        let (handle, kept) = (CallHandle::of(&call), letterbox.clone());
        let coming = handle.begin(async move {
            let mail = Arc::clone(&transit.mail);
            let (result, at) = call.receive(turn, until, &mail).await;
            transit.result = Some(result);
            let answer = transit.answer();
            // A guest that has gone gives it back.
            kept.keep(transit);
            (answer, at)
        });
        Begun::later(number, false, Unseen::letter(handle, letterbox), coming)
    }

    /// An answer that came under an earlier host and that the guest has yet to see.
    fn told(
        &self,
        run: &Arc<RunContext>,
        again: &RecalledCall,
        mail: &Arc<Mail>,
    ) -> Option<Begun<Option<Letter>, Error>> {
        let (result, at) = again.unseen::<Option<Letter>>()?;
        let mut handle = CallHandle::of_known(self, run, again.call(), at);
        let mut transit = Transit::of(self, run, again.call(), mail, handle.for_letter());
        let taken = |letter: Letter| {
            let known = mail.taken_before(&run.agent, letter, at);
            known.ok_or_else(|| fault::unavailable("this letter is of no mailbox of this agent", None))
        };
        transit.result = Some(result.and_then(|letter| letter.map(taken).transpose()));
        let (answer, letterbox) = (transit.answer(), Letterbox::default());
        letterbox.keep(transit);
        let coming = Coming::Known(Some(answer));
        Some(Begun::later(again.call(), false, Unseen::letter(handle, letterbox), coming))
    }
}

impl InFlightCall {
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
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            () = past(&run) => {}
            // What the guest let go of before is older than what it asks for now.
            () = run.going_back.idle() => {}
        }
        loop {
            // Before the look: a letter that comes behind it is heard of.
            let arrival = mail.arrival(&mailbox);
            let mut arrival = std::pin::pin!(arrival.notified());
            arrival.as_mut().enable();
            if self.cancel.is_cancelled() {
                return self.without(permit, Err(Error::Cancelled));
            }
            let alone = mail.locks.lock(&mailbox).await;
            match mail.take(&mailbox, self.now()) {
                Ok(Some((batch, taken, labels))) => match self.tell_taken(batch, &taken, &labels).await {
                    Ok(at) => return (Ok(Some(self.taken(permit, taken, &labels, at))), at),
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return self.without(permit, Err(fault::stored(&error))),
                },
                Ok(None) => {}
                Err(error) => return self.without(permit, Err(fault::stored(&error))),
            }
            drop(alone);
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
        let gained = labels.without(&self.run.labels());
        let mut entries = Vec::with_capacity(2);
        if !gained.is_empty() {
            entries.push(Entry::Labelled { call, at, labels: gained });
        }
        entries.push(Entry::Answered { call, at, outcome, spent: Amounts::ZERO });
        self.gate.0.journal.append(&self.run.trail, &[], Extras { contents, ..Extras::default() });
        let changes = usage::changes(&batch);
        self.gate.0.journal.commit(&self.run.trail, &entries, batch).await?;
        self.gate.0.move_levels(&self.run.trail, changes);
        Ok(at)
    }

    /// The run has the labels of the letter before its guest sees it. What tells of them is written already.
    fn taken(&self, mut permit: Permit, taken: Taken, labels: &Labels, at: Millis) -> Taken {
        permit.bring(labels);
        self.gate.0.act(&*self.run, at, |act| {
            let settled = act.ask(|kernel| kernel.settle(permit, Amounts::ZERO, at));
            if !settled.gained.is_empty() {
                self.run.relabel(self.call, &settled.gained, &settled.cleared);
                act.record(self.run.record_to_write().map(|record| RunRecord { labels: self.run.labels(), ..record }));
            }
        });
        self.tell(at, Amounts::ZERO, None);
        taken
    }
}
