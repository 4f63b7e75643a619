//! Open questions: who has said yes, who waits for the answer, and which agents have asked too much. A clock that is set back makes nothing
//! younger.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Answered, Approvals, Asked, Closed, How, No, OpenQuestion, State, Unasked, Vote, Waiter, Waiting};
use crate::approval::{ApprovalId, Approver, Binding, Factor, Required, Unfit};
use crate::call::{Call, Effect};
use crate::kernel::reasons;
use crate::limits::{QUESTIONS_MAX, QUESTIONS_OPEN_MAX, QUESTIONS_SPAN_MS};
use crate::time::Millis;

impl Approvals {
    /// Questions that were closed by the act that is under way.
    pub(in crate::kernel) fn take_closed(&mut self) -> Vec<Closed> {
        core::mem::take(&mut self.closed)
    }

    /// The time, which never goes back here.
    pub(super) fn at(&mut self, now: Millis) -> Millis {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// The open question about this call, or a new one if the agent may still ask one.
    pub(super) fn open(
        &mut self,
        agent: &str,
        binding: Binding,
        unasked: &Unasked,
        now: Millis,
    ) -> Result<ApprovalId, No> {
        let (required, short) = (&unasked.required, unasked.short());
        let same = |question: &&OpenQuestion| {
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
        let question = OpenQuestion {
            binding,
            agent: agent.into(),
            required: required.clone(),
            tool: unasked.tool.clone(),
            short: short.to_vec(),
            waiters: Vec::new(),
            yes: Vec::new(),
        };
        self.questions.insert(binding.id, question);
        Ok(binding.id)
    }

    pub(super) fn wait(&mut self, id: ApprovalId, unasked: Unasked) -> Asked {
        self.last += 1;
        let waiter = Waiter(self.last);
        self.waiting.insert(waiter, Waiting { unasked, state: State::Open(id) });
        let question = self.questions.get_mut(&id).expect("it was opened or found just now");
        question.waiters.push(waiter);
        Asked { waiter, binding: question.binding, times: question.waiters.len() }
    }

    pub(super) fn answer(
        &mut self,
        id: ApprovalId,
        who: &Approver,
        vote: &Vote,
        now: Millis,
    ) -> Result<Answered, Unfit> {
        let question = self.questions.get_mut(&id).ok_or(Unfit::Closed)?;
        if now >= question.binding.expires {
            self.close(id, How::Expired, |required| reasons::unanswered(required, true));
            return Err(Unfit::Expired);
        }
        if let Vote::No { because } = vote {
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

    /// An earlier host was told this. A question whose policy has changed since is another one, so nobody looks at who they were again.
    pub(super) fn recall(&mut self, id: ApprovalId, yes: Vec<String>, no: Option<(String, String)>) {
        let Some(question) = self.questions.get_mut(&id) else { return };
        if let Some((by, because)) = no {
            let how = How::Denied { by: by.clone(), because: because.clone() };
            return self.close(id, how, |required| reasons::said_no(required, &by, &because));
        }
        for name in yes {
            if !question.yes.contains(&name) {
                question.yes.push(name);
            }
        }
        if question.yes.len() >= usize::try_from(question.required.quorum).unwrap_or(usize::MAX) {
            let by = question.yes.clone();
            self.close(id, How::Approved { by }, reasons::one_yes);
        }
    }

    /// A person has looked at what this question's agent asks.
    pub(super) fn seen(&mut self, id: ApprovalId) {
        if let Some(question) = self.questions.get(&id) {
            self.paused.remove(&question.agent);
            self.asked.remove(&question.agent);
        }
    }

    /// Closes a question. If it was approved, the first who waits is granted; all others are refused.
    pub(in crate::kernel) fn close(&mut self, id: ApprovalId, how: How, no: impl Fn(&Required) -> No) {
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
    pub(super) fn leave(&mut self, id: ApprovalId, waiter: Waiter, now: Millis) -> bool {
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
    pub(in crate::kernel) fn is_paused(&mut self, agent: &str, what: &Call, now: Millis) -> bool {
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
