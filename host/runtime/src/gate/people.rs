//! The wait for people: a question is opened and written down, whoever waits is woken by its answer, and the kernel looks
//! at the call once more before it is made.

use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_journal::Along;
use agentry_kernel::Call;
use agentry_kernel::approval::{ApprovalId, Approver, Facts, Unfit};
use agentry_kernel::call::CallId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::{Answer, Answered, Closed, How, Kernel, Permit, Unasked, Verdict, Waiter};
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::limits::QUESTIONS_KEPT_MAX;
use agentry_store::rows::approval::{Gained, Question, State};
use agentry_store::{Batch, keys};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::outside::{Errand, past};
use super::{Asking, Desk, Gate, Inner, Turn};
use crate::gate::shown;
use crate::run::context::RunContext;
use crate::run::events::Event;

/// A call that waits for people.
pub(super) struct Asked {
    pub(super) waiter: Waiter,
    id: ApprovalId,
    binding: Digest,
    woken: oneshot::Receiver<()>,
    /// By a clock that nobody can set.
    until: Instant,
}

impl Gate {
    /// The open questions of all runs.
    pub fn questions(&self) -> Vec<Question> {
        self.0.desk.lock().questions.values().cloned().collect()
    }

    /// Agents that do nothing until somebody has answered them, or until this time.
    pub fn paused(&self) -> Vec<(String, Millis)> {
        self.kernel(|kernel| kernel.paused().map(|(agent, until)| (agent.to_owned(), until)).collect())
    }

    /// Takes an answer of somebody who has been looked at: whether it counts is the kernel's to say.
    ///
    /// # Errors
    /// [`Unfit`] if it does not count.
    pub fn answer(&self, id: ApprovalId, who: &Approver, verdict: &Verdict) -> Result<Answered, Unfit> {
        let gate = &*self.0;
        let now = gate.clock.now();
        let mut desk = gate.desk.lock();
        let answered = desk.kernel.answer(id, who, verdict, now);
        if let (Ok(Answered::MoreWanted(_)), Some(question)) = (&answered, desk.questions.get_mut(&id)) {
            question.yes.push(who.name.clone());
            gate.keep(question);
        }
        gate.wake(&mut desk);
        answered
    }
}

impl Inner {
    /// Opens a question about a call whose budget is held. The order in which runs ask is the order in which they wait.
    pub(super) fn question(
        &self,
        desk: &mut Desk,
        run: &RunContext,
        (call, asking): (CallId, &Asking),
        unasked: Unasked,
        now: Millis,
    ) -> Result<Turn, Box<Refusal>> {
        let Some((title, text)) = shown::call(asking) else {
            return Err(Box::new(desk.kernel.decline(
                unasked,
                "it is too long, or no text, so that nobody could read it",
                now,
            )));
        };
        let Ok(nonce) = getrandom::u64() else {
            return Err(Box::new(desk.kernel.decline(unasked, "the system gives no randomness for a question", now)));
        };
        let (required, held, worst) = (unasked.required().clone(), *unasked.held(), *unasked.worst());
        let short = unasked.short().to_vec();
        let facts = facts(&desk.kernel, run, &asking.what);
        // One that an earlier host asked is the same question, for no longer than it was.
        let before = run.past().and_then(|past| past.questioned(call));
        let named = before.map_or((ApprovalId(nonce), None), |(id, expires)| (id, Some(expires)));
        let asked = desk.kernel.ask(unasked, named, facts, now);
        self.wake(desk);
        let asked = asked.map_err(Box::new)?;
        let title = format!("{title}{}", run.works_for());
        let id = asked.binding.id;
        let binding = Content::of(postcard::to_allocvec(&asked.binding).expect("it is plain data")).digest;
        let times = u32::try_from(asked.times).unwrap_or(u32::MAX);
        let question = desk.questions.entry(id).or_insert_with(|| Question {
            id,
            run: run.id,
            call,
            agent: run.agent.clone(),
            package: run.record().map(|record| record.package.clone()).unwrap_or_default(),
            title,
            text,
            rule: required.rule.clone(),
            from: required.from.to_string(),
            factor: required.factor,
            quorum: required.quorum,
            labels: labels(&desk.kernel, run),
            held: worst,
            short,
            asked: now,
            expires: asked.binding.expires,
            binding,
            times,
            yes: Vec::new(),
            state: State::Open,
        });
        question.times = times;
        self.keep(question);
        let (expires, what) = (asked.binding.expires, asking.what.clone());
        let entry = Entry::Questioned { call, at: now, what, id, rule: required.rule, binding, held, expires };
        self.journal.append(&run.trail, &[entry], Along::default());
        run.observer.tell(Event::Asked(Box::new(question.clone())));
        let (sender, woken) = oneshot::channel();
        desk.asked.insert(asked.waiter, sender);
        let until = Instant::now() + Duration::from_millis(expires.since(now));
        Ok(Turn::People(Asked { waiter: asked.waiter, id, binding, woken, until }))
    }

    /// A call that waits for people no more, before anybody answered.
    pub(super) fn forgo(&self, desk: &mut Desk, waiter: Waiter, now: Millis) {
        desk.asked.remove(&waiter);
        desk.kernel.forgo(waiter, now);
        self.wake(desk);
    }

    /// Writes down which questions are closed, and wakes those who waited for them. After every act on the kernel that can close one.
    pub(super) fn wake(&self, desk: &mut Desk) {
        for Closed { id, how, wake } in desk.kernel.closed() {
            if let Some(mut question) = desk.questions.remove(&id) {
                question.state = match &how {
                    How::Approved { by } => {
                        question.yes.clone_from(by);
                        State::Approved
                    }
                    How::Denied { by, because } => State::Denied { by: by.clone(), because: because.clone() },
                    How::Expired => State::Expired,
                    How::Withdrawn => State::Withdrawn,
                    How::Void => State::Void,
                };
                self.keep(&question);
                self.forget(desk, id);
            }
            for waiter in wake {
                if let Some(sender) = desk.asked.remove(&waiter) {
                    // Whoever has gone in the meantime gives up by itself.
                    let _ = sender.send(());
                }
            }
        }
    }

    /// Of closed questions only the newest are kept.
    fn forget(&self, desk: &mut Desk, newest: ApprovalId) {
        desk.closed.push_back(newest);
        if desk.closed.len() > QUESTIONS_KEPT_MAX
            && let Some(oldest) = desk.closed.pop_front()
        {
            let mut batch = Batch::default();
            batch.remove(keys::question(oldest));
            drop(self.journal.store().commit(batch));
        }
    }

    /// Stores a question as it stands. Nobody waits for it: what it says after a crash is that its run is gone.
    fn keep(&self, question: &Question) {
        let mut batch = Batch::default();
        question.write(&mut batch);
        drop(self.journal.store().commit(batch));
    }
}

impl Errand {
    /// Waits for people, no longer than the question is open and the guest and the run do; then the kernel looks again.
    pub(super) async fn people(&mut self, mut asked: Asked) -> Result<Turn, Error> {
        let given_up = tokio::select! {
            biased;
            _ = &mut asked.woken => None,
            () = self.cancel.cancelled() => Some(Error::Cancelled),
            () = past(&self.run) => Some(Error::TimedOut),
            () = tokio::time::sleep_until(asked.until) => None,
        };
        let gate = Arc::clone(&self.gate.0);
        let now = self.now();
        let mut desk = gate.desk.lock();
        if let Some(error) = given_up {
            gate.forgo(&mut desk, asked.waiter, now);
            return Err(error);
        }
        let Some(Asking { what, .. }) = &self.asking else {
            gate.forgo(&mut desk, asked.waiter, now);
            return Err(fault::unavailable("this part of the host broke down", None));
        };
        desk.asked.remove(&asked.waiter);
        let by = desk.kernel.approved_by(asked.waiter).to_vec();
        let facts = facts(&desk.kernel, &self.run, what);
        let answer = desk.kernel.dispatch(asked.waiter, facts, what, now);
        let named = desk.kernel.take_basis().map(|entry| *entry);
        gate.wake(&mut desk);
        let turn = match answer {
            Answer::Permit(permit) => Turn::Now(permit),
            Answer::Wait(ticket) => desk.line_up(ticket),
            Answer::Refused(refusal) => {
                drop(desk);
                return Err(self.refused(refusal, now));
            }
            Answer::Ask(unasked) => {
                let refusal = desk.kernel.decline(unasked, "an answer cannot ask for an answer", now);
                drop(desk);
                return Err(self.refused(refusal, now));
            }
        };
        let (call, id, raised) = (self.call, asked.id, desk.kernel.take_raised());
        let mut entries: Vec<_> = named.into_iter().collect();
        entries.push(Entry::Approved { call, at: now, id, binding: asked.binding, by });
        let moved = desk.books(&self.run).filter(|_| !raised.is_empty());
        if !raised.is_empty() {
            entries.push(Entry::Raised { call, at: now, id, raised });
        }
        gate.journal.append(&self.run.trail, &entries, Along { moved, ..Along::default() });
        Ok(turn)
    }

    /// Writes a no down that came after a wait.
    fn refused(&mut self, refusal: Refusal, at: Millis) -> Error {
        let error = fault::refused(&refusal, self.run.id, self.call);
        if let Some(Asking { what, .. }) = self.asking.take() {
            self.gate.0.refused(&self.run, (self.call, what), &refusal, at);
            self.refused = Some(at);
        }
        error
    }
}

impl Desk {
    /// A place in the queue of a model.
    pub(super) fn line_up(&mut self, ticket: agentry_kernel::kernel::Ticket) -> Turn {
        let (sender, receiver) = oneshot::channel::<Permit>();
        self.waiting.insert(ticket, sender);
        Turn::Later(ticket, receiver)
    }
}

/// What the call is made of, by name: computed at the question, and again when it is about to be made.
fn facts(kernel: &Kernel, run: &RunContext, what: &Call) -> Facts {
    let tool = match what {
        Call::ToolsCall { name, .. } => kernel.tool(name).map(|tool| tool.schema),
        _ => None,
    };
    let call = Content::of(postcard::to_allocvec(what).expect("a call is plain data")).digest;
    let component = run.record().map(|record| record.component).unwrap_or_default();
    Facts { call, tool: tool.unwrap_or_default(), component }
}

fn labels(kernel: &Kernel, run: &RunContext) -> Vec<Gained> {
    let by = |label: &str| run.gained_by(label).map(|call| format!("call {call}"));
    kernel.labels(run.id).iter().map(|label| Gained { label: label.to_owned(), by: by(label) }).collect()
}
