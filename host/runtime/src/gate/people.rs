//! The wait for people: a question is opened and written down, whoever waits is woken by its answer, and the kernel looks
//! at the call once more before it is made.

use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_journal::Trail;
use agentry_kernel::Call;
use agentry_kernel::approval::{ApprovalId, Approver, Facts, Unfit};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::{Answer, Answered, Closed, How, Kernel, Unasked, Vote, Waiter};
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::limits::QUESTIONS_KEPT_MAX;
use agentry_store::rows::approval::{Gained, Question, State};
use agentry_store::{Batch, StoreError, keys};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::act::{Act, Behalf, KernelCell};
use super::in_flight::{InFlightCall, past};
use super::{CallRequest, Gate, Inner, Turn, told_no};
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
        self.0.cell.lock().questions.values().cloned().collect()
    }

    /// Agents that do nothing until somebody has answered them, or until this time.
    pub fn paused(&self) -> Vec<(String, Millis)> {
        self.kernel(|kernel| kernel.paused().map(|(agent, until)| (agent.to_owned(), until)).collect())
    }

    /// Takes an answer of somebody who has been looked at: whether it counts is the kernel's to say. The question is written as it stands then:
    /// wait for [`Gate::answers_durable`] before anybody is told.
    ///
    /// # Errors
    /// [`Unfit`] if it does not count.
    pub fn answer(&self, id: ApprovalId, who: &Approver, vote: &Vote) -> Result<Answered, Unfit> {
        let gate = &*self.0;
        let now = gate.clock.now();
        let trail = Arc::new(Trail::new(RunId::HOST));
        gate.act(Behalf::host(&trail), now, |act| {
            let answered = act.ask(|kernel| kernel.answer(id, who, vote, now));
            if let (Ok(Answered::MoreWanted(_)), Some(question)) = (&answered, act.cell().questions.get_mut(&id)) {
                question.yes.push(who.name.clone());
                gate.keep(question);
            }
            answered
        })
    }
}

impl Gate {
    /// Ready when all that people said so far is durable: the next host counts it too.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn answers_durable(&self) -> Result<(), StoreError> {
        // A store writes in order, so this comes behind every question.
        self.0.journal.store().commit(Batch::default()).await
    }
}

impl Inner {
    /// Opens a question about a call whose budget is held. The order in which runs ask is the order in which they wait.
    pub(super) fn question(
        &self,
        act: &mut Act<'_>,
        run: &RunContext,
        (call, asking): (CallId, &CallRequest),
        unasked: Unasked,
        now: Millis,
    ) -> Result<Turn, Box<Refusal>> {
        let Some((title, text)) = shown::call(&asking.what, &asking.contents) else {
            let why = "it is too long, or no text, so that nobody could read it";
            return Err(Box::new(act.ask(|kernel| kernel.decline(unasked, why, now))));
        };
        let Ok(nonce) = getrandom::u64() else {
            let why = "the system gives no randomness for a question";
            return Err(Box::new(act.ask(|kernel| kernel.decline(unasked, why, now))));
        };
        let (required, held, worst) = (unasked.required().clone(), *unasked.held(), *unasked.worst());
        let short = unasked.short().to_vec();
        let facts = facts(act.kernel(), run, &asking.what);
        // One that an earlier host asked is the same question, for no longer than it was.
        let before = run.recording().and_then(|past| past.questioned(call));
        let named = before.map_or((ApprovalId(nonce), None), |(id, expires)| (id, Some(expires)));
        let asked = act.ask(|kernel| kernel.ask(unasked, named, facts, now)).map_err(Box::new)?;
        let title = format!("{title}{}", run.works_for());
        let id = asked.binding.id;
        let binding = Content::of(postcard::to_allocvec(&asked.binding).expect("it is plain data")).digest;
        let times = u32::try_from(asked.times).unwrap_or(u32::MAX);
        let labels = labels(act.kernel(), run);
        let question = act.cell().questions.entry(id).or_insert_with(|| Question {
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
            labels,
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
        let said = before.and_then(|(id, _)| self.said_before(id, binding));
        if let Some(Question { yes, .. }) = &said {
            question.yes.clone_from(yes);
        }
        self.keep(question);
        run.observer.tell(Event::Asked(Box::new(question.clone())));
        let (expires, what) = (asked.binding.expires, asking.what.clone());
        let entry = Entry::Questioned { call, at: now, what, id, rule: required.rule, binding, held, expires };
        act.note(entry);
        let woken = act.await_people(asked.waiter);
        if let Some(Question { yes, state, .. }) = said {
            let no = if let State::Denied { by, because } = state { Some((by, because)) } else { None };
            act.tell(|kernel| kernel.recall_votes(id, yes, no));
        }
        let until = Instant::now() + Duration::from_millis(expires.since(now));
        Ok(Turn::People(Asked { waiter: asked.waiter, id, binding, woken, until }))
    }

    /// What people said to this very question under an earlier host: the call, the policy and the time for an answer are the same.
    fn said_before(&self, id: ApprovalId, binding: Digest) -> Option<Question> {
        let row = self.journal.store().get(&keys::question(id)).ok().flatten()?;
        Question::decode(&row).ok().filter(|question| question.binding == binding)
    }

    /// Writes down how questions were closed, and wakes those who waited for them.
    pub(super) fn close_questions(&self, cell: &mut KernelCell, closed: Vec<Closed>) {
        for Closed { id, how, wake } in closed {
            if let Some(mut question) = cell.questions.remove(&id) {
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
                self.forget(cell, id);
            }
            cell.wake(wake);
        }
    }

    /// Of closed questions only the newest are kept.
    fn forget(&self, cell: &mut KernelCell, newest: ApprovalId) {
        cell.closed.push_back(newest);
        if cell.closed.len() > QUESTIONS_KEPT_MAX
            && let Some(oldest) = cell.closed.pop_front()
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

impl InFlightCall {
    /// Waits for people, no longer than the question is open and the guest and the run do; then the kernel looks again.
    pub(super) async fn people(&mut self, mut asked: Asked) -> Result<Turn, Error> {
        let given_up = tokio::select! {
            biased;
            _ = &mut asked.woken => None,
            () = self.cancel.cancelled() => Some(Error::Cancelled),
            () = past(&self.run) => Some(Error::TimedOut),
            () = tokio::time::sleep_until(asked.until) => None,
        };
        let now = self.now();
        let (gate, run) = (self.gate.clone(), Arc::clone(&self.run));
        gate.0.act(&*run, now, |act| match given_up {
            Some(error) => {
                act.forgo(asked.waiter, now);
                Err(error)
            }
            None => self.dispatch(act, &asked, now),
        })
    }

    /// The kernel looks at a call again whose question is closed.
    fn dispatch(&mut self, act: &mut Act<'_>, asked: &Asked, now: Millis) -> Result<Turn, Error> {
        let Some(CallRequest { what, .. }) = &self.asking else {
            act.forgo(asked.waiter, now);
            return Err(fault::broke());
        };
        act.stop_waiting(asked.waiter);
        let by = act.kernel().approved_by(asked.waiter).to_vec();
        let facts = facts(act.kernel(), &self.run, what);
        let turn = match act.ask(|kernel| kernel.dispatch(asked.waiter, facts, what, now)) {
            Answer::Permit(permit) => Turn::Now(permit),
            Answer::Wait(ticket) => act.line_up(ticket),
            Answer::Refused(refusal) => return Err(self.refused(act, refusal, now)),
            Answer::Ask(unasked) => {
                let why = "an answer cannot ask for an answer";
                let refusal = act.ask(|kernel| kernel.decline(unasked, why, now));
                return Err(self.refused(act, refusal, now));
            }
        };
        act.note(Entry::Approved { call: self.call, at: now, id: asked.id, binding: asked.binding, by });
        Ok(turn)
    }

    /// Writes a no down that came after a wait.
    fn refused(&mut self, act: &mut Act<'_>, refusal: Refusal, at: Millis) -> Error {
        let error = fault::refused(&refusal, self.run.id, self.call);
        if let Some(asking) = self.asking.take() {
            act.refuse(&self.run, (self.call, asking), &refusal, at);
            told_no(&self.run, &refusal);
            self.refused = Some(at);
        }
        error
    }
}

/// What the call is made of, by name: computed at the question, and again when it is about to be made.
fn facts(kernel: &Kernel, run: &RunContext, what: &Call) -> Facts {
    let tool = if let Call::ToolsCall { name, .. } = what { kernel.tool(name).map(|tool| tool.schema) } else { None };
    let call = Content::of(postcard::to_allocvec(what).expect("a call is plain data")).digest;
    let component = run.record().map(|record| record.component).unwrap_or_default();
    Facts { call, tool: tool.unwrap_or_default(), component }
}

fn labels(kernel: &Kernel, run: &RunContext) -> Vec<Gained> {
    let by = |label: &str| run.gained_by(label).map(|call| format!("call {call}"));
    kernel.labels(run.id).iter().map(|label| Gained { label: label.to_owned(), by: by(label) }).collect()
}
