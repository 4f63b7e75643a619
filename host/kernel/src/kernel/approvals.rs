//! Calls that wait for people: open questions, who has said yes, and the second look before a permit is made.
//!
//! Budget is held while a call waits and comes back whole if it is not made. A yes lets one call through, once, before it
//! expires, if nothing that it was bound to has changed; a call is decided on again at its dispatch, so no answer is ever
//! stronger than a forbid. A clock that is set back makes nothing younger.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::admission::{No, meet};
use super::basis::Ground;
use super::raise::{self, Raise};
use super::slots::ModelId;
use super::{Answer, Kernel, Permit, reasons};
use crate::approval::{ApprovalId, Approver, Binding, Factor, Facts, Required, Unfit};
use crate::budget::{Amounts, Shortage};
use crate::call::{Call, Class, Effect, RunId};
use crate::limits::{QUESTIONS_MAX, QUESTIONS_OPEN_MAX, QUESTIONS_SPAN_MS};
use crate::refusal::Refusal;
use crate::time::Millis;

/// A call that needs a yes, and about which nobody has been asked: hand it to [`Kernel::ask`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that is not asked about holds its budget for ever"]
pub struct Unasked {
    pub(super) permit: Permit,
    pub(super) model: Option<ModelId>,
    pub(super) class: Class,
    pub(super) required: Required,
    /// The syscall, for a refusal.
    pub(super) name: String,
    /// What a yes adds to budgets.
    pub(super) raise: Option<Box<Raise>>,
}

impl Unasked {
    /// What is wanted of people.
    pub fn required(&self) -> &Required {
        &self.required
    }

    /// What is held for it while it waits: nothing, if people are asked to add to a budget first.
    pub fn held(&self) -> &Amounts {
        &self.permit.held
    }

    /// The most that it can cost.
    pub fn worst(&self) -> &Amounts {
        self.raise.as_ref().map_or(&self.permit.held, |raise| &raise.worst)
    }

    /// What people are asked to add to budgets.
    pub fn short(&self) -> &[Shortage] {
        self.raise.as_ref().map_or(&[], |raise| &raise.short)
    }
}

/// A call that waits for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(u64);

/// A question that people are asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The call that waits for the answer.
    pub waiter: Waiter,
    /// What a yes is bound to. An equal call joins an open question: then this is that one's.
    pub binding: Binding,
    /// How many equal calls wait for this answer.
    pub times: usize,
}

/// What a person says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Yes,
    /// Do not, and why.
    No {
        /// The person's words, at most 1024 bytes.
        because: String,
    },
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The call may be dispatched.
    Approved,
    /// It will not be.
    Denied,
    /// So many more people must say yes.
    MoreWanted(u32),
}

/// A question that is closed: wake those who wait, and let them dispatch or give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which.
    pub id: ApprovalId,
    /// How.
    pub how: How,
    /// The calls that waited for it.
    pub wake: Vec<Waiter>,
}

/// How a question came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Enough people said yes.
    Approved {
        /// Who, in the order of their answers.
        by: Vec<String>,
    },
    /// Somebody said no.
    Denied {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Nobody answered in time.
    Expired,
    /// The agent does not wait for it any more.
    Withdrawn,
    /// The policy has changed since.
    Void,
}

/// All that waits for people.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    pub(super) questions: BTreeMap<ApprovalId, Question>,
    pub(super) waiting: BTreeMap<Waiter, Waiting>,
    /// When each agent asked lately.
    asked: BTreeMap<String, Vec<Millis>>,
    /// Agents that asked too much, and until when they do nothing.
    paused: BTreeMap<String, Millis>,
    closed: Vec<Closed>,
    last: u64,
    latest: Millis,
}

#[derive(Debug)]
pub(super) struct Question {
    binding: Binding,
    agent: String,
    required: Required,
    /// What a yes adds to budgets, as people were shown it.
    short: Vec<Shortage>,
    waiters: Vec<Waiter>,
    yes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    unasked: Unasked,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(ApprovalId),
    Granted(Binding, Vec<String>),
    Refused(No),
}

impl Kernel {
    /// Says that somebody can be asked on behalf of this run. Until then, what needs a person is refused.
    pub fn attend(&mut self, run: RunId) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.attended = true;
        }
    }

    /// Opens a question to people, or joins the one that is open about an equal call. `id` is a fresh random number, or that of the
    /// question which an earlier host asked about this call, and `until` when that one ends.
    ///
    /// # Errors
    /// A refusal if the agent asks too much; nothing is held then.
    #[expect(clippy::result_large_err, reason = "it goes to a person whole")]
    pub fn ask(
        &mut self,
        unasked: Unasked,
        (id, until): (ApprovalId, Option<Millis>),
        facts: Facts,
        now: Millis,
    ) -> Result<Asked, Refusal> {
        let now = self.approvals.at(now);
        let (run, call) = (unasked.permit.run, unasked.permit.call);
        let agent = self.runs.get(&run).map(|run| run.agent.clone()).unwrap_or_default();
        let policy = self.policy.epoch;
        let ttl = now.plus(unasked.required.ttl_ms);
        let expires = until.map_or(ttl, |until| ttl.min(until));
        let binding = Binding { id, run, facts, policy, expires };
        match self.approvals.open(&agent, binding, &unasked, now) {
            Ok(id) => Ok(self.approvals.wait(id, unasked)),
            Err(no) => {
                self.release(unasked.permit, now);
                Err(self.no(run, call, &unasked.name, no))
            }
        }
    }

    /// Takes back a call about which nobody can be asked; it costs nothing.
    pub fn decline(&mut self, unasked: Unasked, why: &str, now: Millis) -> Refusal {
        let Unasked { permit, required, name, raise, .. } = unasked;
        let (run, call) = (permit.run, permit.call);
        self.release(permit, now);
        let no = reasons::not_askable(&required, why);
        self.no(run, call, &name, raise.map_or_else(|| no.clone(), |raise| raise.refused(no.clone())))
    }

    /// Who allowed this call; nobody if it was not allowed, or was made.
    pub fn approved_by(&self, waiter: Waiter) -> &[String] {
        match self.approvals.waiting.get(&waiter) {
            Some(Waiting { state: State::Granted(_, by), .. }) => by,
            _ => &[],
        }
    }

    /// Takes a person's answer.
    ///
    /// # Errors
    /// [`Unfit`] if it does not count; the question stays open then, unless it has expired.
    pub fn answer(
        &mut self,
        id: ApprovalId,
        who: &Approver,
        verdict: &Verdict,
        now: Millis,
    ) -> Result<Answered, Unfit> {
        let now = self.approvals.at(now);
        self.approvals.answer(id, who, verdict, now)
    }

    /// The second look at a call whose question is closed, and its permit, or its place in the queue of a model. `facts` and
    /// `what` are those of the call that is about to be made. A waiter is used up by this, whatever comes of it.
    pub fn dispatch(&mut self, waiter: Waiter, facts: Facts, what: &Call, now: Millis) -> Answer {
        let now = self.approvals.at(now);
        let Some(Waiting { unasked, state }) = self.approvals.waiting.remove(&waiter) else {
            return Answer::Refused(Refusal { wanted: what.name().to_string(), ..*reasons::used() });
        };
        let (run, call) = (unasked.permit.run, unasked.permit.call);
        let fits = match state {
            State::Granted(binding, _) => self.fits(&binding, &unasked, facts, what, now),
            State::Refused(no) => Err(no),
            State::Open(id) => {
                let expired = self.approvals.leave(id, waiter, now);
                Err(reasons::unanswered(&unasked.required, expired))
            }
        };
        let Unasked { permit, model, class, raise, .. } = unasked;
        let fits = fits.map_err(|no| raise.as_ref().map_or_else(|| no.clone(), |raise| raise.refused(no.clone())));
        let held = permit.held;
        let fits = fits.and_then(|ground| match &raise {
            Some(raise) => self.raise(run, raise, now).map(|held| (ground, held)),
            None => Ok((ground, held)),
        });
        match fits {
            Ok((ground, held)) => {
                let basis = self.rest_on(run, ground);
                self.place(Permit { basis, held, ..permit }, model, class)
            }
            Err(no) => {
                self.release(permit, now);
                Answer::Refused(self.no(run, call, what.name(), no))
            }
        }
    }

    /// A call that does not wait any more; it costs nothing.
    pub fn forgo(&mut self, waiter: Waiter, now: Millis) {
        let now = self.approvals.at(now);
        let Some(Waiting { unasked, state }) = self.approvals.waiting.remove(&waiter) else { return };
        if let State::Open(id) = state {
            self.approvals.leave(id, waiter, now);
        }
        self.release(unasked.permit, now);
    }

    /// Questions that were closed since this was last asked. Ask after every act on the kernel.
    pub fn closed(&mut self) -> Vec<Closed> {
        core::mem::take(&mut self.approvals.closed)
    }

    /// Agents that do nothing until a person has answered them, or until this time.
    pub fn paused(&self) -> impl Iterator<Item = (&str, Millis)> {
        self.approvals.paused.iter().map(|(agent, until)| (agent.as_str(), *until))
    }

    /// What a new policy does to the questions of the old one.
    pub(super) fn void_questions(&mut self) {
        let epoch = self.policy.epoch;
        let open = self.approvals.questions.iter().filter(|(_, question)| question.binding.policy != epoch);
        for id in open.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.approvals.close(id, How::Void, reasons::void);
        }
    }

    /// Takes back all that a run waits for; it has ended.
    pub(super) fn forgo_all(&mut self, run: RunId, now: Millis) {
        let theirs = self.approvals.waiting.iter().filter(|(_, waiting)| waiting.unasked.permit.run == run);
        for waiter in theirs.map(|(waiter, _)| *waiter).collect::<Vec<_>>() {
            self.forgo(waiter, now);
        }
    }

    fn fits(&self, yes: &Binding, asked: &Unasked, facts: Facts, what: &Call, now: Millis) -> Result<Ground, No> {
        let required = &asked.required;
        if now >= yes.expires {
            return Err(reasons::unanswered(required, true));
        }
        if facts != yes.facts {
            return Err(reasons::altered(required));
        }
        if self.policy.epoch != yes.policy {
            return Err(reasons::void(required));
        }
        if let Some(no) = self.stopped(what) {
            return Err(no);
        }
        let Some(run) = self.runs.get(&yes.run).filter(|run| !run.ended) else {
            return Err(reasons::ended("the run is over"));
        };
        let (grant, terms) = self.view(None, now).decide(run, what)?;
        let more = raise::asked(run, grant).filter(|_| asked.raise.is_some());
        let require = more.map_or(Ok(terms.require.clone()), |more| meet(terms.require.as_ref(), more).map(Some))?;
        match require {
            Some(now_required) if now_required != *required => Err(reasons::altered(required)),
            _ if terms.model.is_some_and(|model| self.slots.is_full(model)) => {
                Err(reasons::busy("too many calls wait for this model", "try again later"))
            }
            _ => Ok(terms.ground),
        }
    }

    fn release(&mut self, permit: Permit, now: Millis) {
        // It waited for people, so it has no slot that another could take.
        let permit = Permit { model: None, ..permit };
        let _ = self.close(permit, Amounts::ZERO, now);
    }
}

impl Approvals {
    /// The time, which never goes back here.
    fn at(&mut self, now: Millis) -> Millis {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// The open question about this call, or a new one if the agent may still ask one.
    fn open(&mut self, agent: &str, binding: Binding, unasked: &Unasked, now: Millis) -> Result<ApprovalId, No> {
        let (required, short) = (&unasked.required, unasked.short());
        let same = |question: &&Question| {
            let Binding { id: _, run, facts, policy, expires } = question.binding;
            (run, facts, policy) == (binding.run, binding.facts, binding.policy)
                && question.required == *required
                && question.short == short
                && now < expires
        };
        if let Some(question) = self.questions.values().find(same) {
            return Ok(question.binding.id);
        }
        let lately = self.asked.entry(agent.into()).or_default();
        lately.retain(|at| now.since(*at) < QUESTIONS_SPAN_MS);
        let open = self.questions.values().filter(|question| question.agent == agent).count();
        if open >= QUESTIONS_OPEN_MAX || lately.len() >= QUESTIONS_MAX {
            self.paused.insert(agent.into(), now.plus(QUESTIONS_SPAN_MS));
            return Err(reasons::too_many_questions(agent));
        }
        if self.questions.contains_key(&binding.id) {
            return Err(reasons::busy("this question has the number of another one", "ask again"));
        }
        lately.push(now);
        let question = Question {
            binding,
            agent: agent.into(),
            required: required.clone(),
            short: short.to_vec(),
            waiters: Vec::new(),
            yes: Vec::new(),
        };
        self.questions.insert(binding.id, question);
        Ok(binding.id)
    }

    fn wait(&mut self, id: ApprovalId, unasked: Unasked) -> Asked {
        self.last += 1;
        let waiter = Waiter(self.last);
        self.waiting.insert(waiter, Waiting { unasked, state: State::Open(id) });
        let question = self.questions.get_mut(&id).expect("it was opened or found just now");
        question.waiters.push(waiter);
        Asked { waiter, binding: question.binding, times: question.waiters.len() }
    }

    fn answer(&mut self, id: ApprovalId, who: &Approver, verdict: &Verdict, now: Millis) -> Result<Answered, Unfit> {
        let question = self.questions.get_mut(&id).ok_or(Unfit::Closed)?;
        if now >= question.binding.expires {
            self.close(id, How::Expired, |required| reasons::unanswered(required, true));
            return Err(Unfit::Expired);
        }
        if let Verdict::No { because } = verdict {
            let how = How::Denied { by: who.name.clone(), because: because.clone() };
            self.seen(id);
            self.close(id, how, |required| reasons::said_no(required, &who.name, because));
            return Ok(Answered::Denied);
        }
        let Required { from, factor, quorum, .. } = &question.required;
        if *factor == Factor::Totp && !who.proven {
            return Err(Unfit::NeedsCode);
        }
        if !who.is_among(from) {
            return Err(Unfit::NotAsked { name: who.name.clone(), asked: from.clone() });
        }
        if question.yes.contains(&who.name) {
            return Err(Unfit::Twice { name: who.name.clone() });
        }
        question.yes.push(who.name.clone());
        let have = u32::try_from(question.yes.len()).unwrap_or(u32::MAX);
        let more = quorum.saturating_sub(have);
        let by = question.yes.clone();
        self.seen(id);
        if more > 0 {
            return Ok(Answered::MoreWanted(more));
        }
        // One yes is for one call: the first that asked has it.
        self.close(id, How::Approved { by }, reasons::one_yes);
        Ok(Answered::Approved)
    }

    /// A person has looked at what this question's agent asks.
    fn seen(&mut self, id: ApprovalId) {
        if let Some(question) = self.questions.get(&id) {
            self.paused.remove(&question.agent);
            self.asked.remove(&question.agent);
        }
    }

    /// Closes a question. If it was approved, the first who waits is granted; all others are refused.
    fn close(&mut self, id: ApprovalId, how: How, no: impl Fn(&Required) -> No) {
        let Some(question) = self.questions.remove(&id) else { return };
        let mut granted = match &how {
            How::Approved { by } => Some(by.clone()),
            _ => None,
        };
        for waiter in &question.waiters {
            if let Some(waiting) = self.waiting.get_mut(waiter) {
                waiting.state = match granted.take() {
                    Some(by) => State::Granted(question.binding, by),
                    None => State::Refused(no(&question.required)),
                };
            }
        }
        self.closed.push(Closed { id, how, wake: question.waiters });
    }

    /// One who waited has gone; a question that nobody waits for is closed. True if its time was over.
    fn leave(&mut self, id: ApprovalId, waiter: Waiter, now: Millis) -> bool {
        let Some(question) = self.questions.get_mut(&id) else { return false };
        question.waiters.retain(|other| *other != waiter);
        let expired = now >= question.binding.expires;
        if question.waiters.is_empty() || expired {
            let how = if expired { How::Expired } else { How::Withdrawn };
            self.close(id, how, |required| reasons::unanswered(required, expired));
        }
        expired
    }

    /// Whether a call has to wait because its agent asked people too much. What reaches nothing goes on.
    pub(super) fn is_paused(&mut self, agent: &str, what: &Call, now: Millis) -> bool {
        if self.paused.is_empty() || what.spec().effect == Effect::Inner {
            return false;
        }
        let now = self.at(now);
        let Some(until) = self.paused.get(agent) else { return false };
        if now < *until {
            return true;
        }
        self.paused.remove(agent);
        false
    }
}
