//! The way of a call that runs another agent: a part of the caller's budget is set aside in the step in which the kernel says yes, and
//! comes back if no run begins on it.

use std::future::Future;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_journal::{Extras, Trail};
use agentry_kernel::budget::{Amounts, Limits, Resource};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::{Answer, Kernel, Share};
use agentry_kernel::time::Millis;
use agentry_store::StoreError;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::act::{Act, Behalf};
use super::answer::Begun;
use super::outside::LentPermit;
use super::{CallRequest, Gate};
use crate::run::context::RunContext;

/// A part of a run's budget for a child that has not begun. If nobody takes it, it goes back.
#[derive(Debug)]
pub struct Reservation {
    gate: Gate,
    /// What is wanted, and the fuel that the engine says the guest has.
    wish: (Limits, u64),
    share: Mutex<Option<Share>>,
}

impl Reservation {
    /// The share, for the one run that begins on it.
    pub(crate) fn take(&self) -> Option<Share> {
        self.share.lock().take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(share) = self.take() {
            self.gate.dissolve(share);
        }
    }
}

impl Gate {
    /// As [`Gate::pass`], for a call that runs another agent. Gives the fuel that the caller's guest has less now, too.
    pub(crate) fn pass_child<T, F, A>(
        &self,
        run: &Arc<RunContext>,
        asking: CallRequest,
        wish: (Limits, u64),
        act: A,
    ) -> (u64, Begun<T, Error>)
    where
        A: FnOnce(CallId, Arc<Reservation>, CancellationToken) -> F + Send + 'static,
        T: Recordable + Send + 'static,
        F: Future<Output = Completed<T>> + Send + 'static,
    {
        let fuel = wish.0.get(Resource::Fuel).unwrap_or(0);
        let aside = Arc::new(Reservation { gate: self.clone(), wish, share: Mutex::new(None) });
        let before = run.fuel_given();
        let asking = CallRequest { aside: Some(Arc::clone(&aside)), ..asking };
        let begun = self.pass(run, asking, move |permit: Arc<LentPermit>, cut| {
            let call = permit.call();
            act(call, aside, cut)
        });
        // A call that is only told again took its fuel when it was made, if the kernel had said yes.
        let told = begun.call.is_some_and(|call| run.recording().is_some_and(|past| past.was_asked(call)));
        if told && run.fuel_given() == before {
            run.give_fuel(fuel);
        }
        (run.fuel_given().saturating_sub(before), begun)
    }

    /// Writes down which run a call is about to begin. It is durable when it comes.
    ///
    /// # Errors
    /// When the store cannot be written; nothing may begin then.
    pub(crate) async fn spawned(&self, parent: &RunContext, call: CallId, run: RunId) -> Result<(), StoreError> {
        let journal = &self.0.journal;
        journal.append(&parent.trail, &[Entry::Spawned { call, run }], Extras::default());
        journal.durable(&parent.trail).await
    }

    /// A run below this one, which ended under an earlier host, took this of its accounts.
    pub(crate) fn remember(&self, parent: &RunContext, spent: &Amounts) {
        self.0.act(parent, self.0.clock.now(), |act| act.remember(parent.id, spent));
    }

    /// Gives a share back on which nothing began.
    pub(crate) fn dissolve(&self, share: Share) {
        let trail = Arc::new(Trail::new(RunId::HOST));
        self.0.act(Behalf::host(&trail), self.0.clock.now(), |act| act.tell(|kernel| kernel.dissolve(share)));
    }
}

impl Act<'_> {
    /// Sets aside what an admitted call wants for a child, or makes the yes a no. A call that waits for people has its part set aside
    /// meanwhile.
    pub(super) fn set_aside(&mut self, run: &RunContext, asking: &CallRequest, answer: Answer, now: Millis) -> Answer {
        let Some(aside) = &asking.aside else { return answer };
        let (limits, fuel_left) = aside.wish;
        let split = |kernel: &mut Kernel| kernel.split(run.id, limits, fuel_left, now);
        let refusal = match answer {
            Answer::Permit(permit) => match self.ask(split) {
                Ok(share) => {
                    run.give_fuel(limits.get(Resource::Fuel).unwrap_or(0));
                    *aside.share.lock() = Some(share);
                    return Answer::Permit(permit);
                }
                Err(refusal) => {
                    let reference = Some((permit.run(), permit.call()));
                    self.ask(|kernel| kernel.give_back(permit, now));
                    agentry_kernel::Refusal { wanted: asking.what.name().to_owned(), reference, ..refusal }
                }
            },
            Answer::Ask(unasked) => match self.ask(split) {
                Ok(share) => {
                    run.give_fuel(limits.get(Resource::Fuel).unwrap_or(0));
                    *aside.share.lock() = Some(share);
                    return Answer::Ask(unasked);
                }
                Err(_) => {
                    let why = "the run has not so much left to give";
                    self.ask(|kernel| kernel.decline(unasked, why, now))
                }
            },
            other => return other,
        };
        Answer::Refused(refusal)
    }
}
