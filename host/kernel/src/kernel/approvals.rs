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
use super::basis::Grounds;
use super::raise::{self, Raise};
use super::slots::ModelId;
use super::{Answer, Consequences, Kernel, Permit, reasons};
use crate::approval::{ApprovalId, Approver, Binding, Facts, Required, Unfit};
use crate::budget::{Amounts, Shortage};
use crate::call::{Call, Class, RunId};
use crate::journal::Entry;
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::tool::Tool;

mod open;

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
    /// The tool that it calls, as it was when the call was decided on.
    pub(super) tool: Option<Box<Tool>>,
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
pub enum Vote {
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
    /// The policy has changed since, or the tool.
    Void,
}

/// All that waits for people.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    pub(super) questions: BTreeMap<ApprovalId, OpenQuestion>,
    pub(super) waiting: BTreeMap<Waiter, Waiting>,
    /// When each agent asked lately.
    pub(super) asked: BTreeMap<String, Vec<Millis>>,
    /// Agents that asked too much, and until when they do nothing.
    pub(super) paused: BTreeMap<String, Millis>,
    closed: Vec<Closed>,
    last: u64,
    pub(super) latest: Millis,
}

#[derive(Debug)]
pub(super) struct OpenQuestion {
    binding: Binding,
    agent: String,
    required: Required,
    pub(super) tool: Option<Box<Tool>>,
    /// What a yes adds to budgets, as people were shown it.
    short: Vec<Shortage>,
    waiters: Vec<Waiter>,
    yes: Vec<String>,
}

impl OpenQuestion {
    /// From then on nobody can answer it.
    pub(super) fn ends(&self) -> Millis {
        self.binding.expires
    }
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
    pub fn ask(
        &mut self,
        unasked: Unasked,
        (id, until): (ApprovalId, Option<Millis>),
        facts: Facts,
        now: Millis,
    ) -> (Result<Asked, Refusal>, Consequences) {
        let now = self.approvals.at(now);
        let (run, call) = (unasked.permit.run, unasked.permit.call);
        let agent = self.runs.get(&run).map(|run| run.agent.clone()).unwrap_or_default();
        let policy = self.policy.epoch;
        let ttl = now.plus(unasked.required.ttl_ms);
        let expires = until.map_or(ttl, |until| ttl.min(until));
        let binding = Binding { id, run, facts, policy, expires };
        let asked = match self.approvals.open(&agent, binding, &unasked, now) {
            Ok(id) => Ok(self.approvals.wait(id, unasked)),
            Err(no) => {
                self.release(unasked.permit, now);
                Err(self.no(run, call, &unasked.name, no))
            }
        };
        (asked, self.follows())
    }

    /// What people said to this question under an earlier host holds: those who said yes, or who said no and why.
    pub fn recall_votes(&mut self, id: ApprovalId, yes: Vec<String>, no: Option<(String, String)>) -> Consequences {
        self.approvals.recall(id, yes, no);
        self.follows()
    }

    /// Takes back a call about which nobody can be asked; it costs nothing.
    pub fn decline(&mut self, unasked: Unasked, why: &str, now: Millis) -> (Refusal, Consequences) {
        let Unasked { permit, required, name, raise, .. } = unasked;
        let (run, call) = (permit.run, permit.call);
        self.release(permit, now);
        let no = reasons::not_askable(&required, why);
        let refusal = self.no(run, call, &name, raise.map_or_else(|| no.clone(), |raise| raise.refused(no.clone())));
        (refusal, self.follows())
    }

    /// What follows from a yes of people, for those who ask what would be: nobody was asked, and nothing is written down.
    pub(crate) fn approved(&mut self, unasked: Unasked, now: Millis) -> Answer {
        let Unasked { permit, name, model, class, raise, .. } = unasked;
        let held = match &raise {
            Some(raise) => self.raise(permit.run, raise, now).map(|(_, held)| held),
            None => Ok(permit.held),
        };
        match held {
            Ok(held) => self.place(Permit { held, ..permit }, model, class),
            Err(no) => {
                let (run, call) = (permit.run, permit.call);
                self.release(permit, now);
                Answer::Refused(self.no(run, call, &name, no))
            }
        }
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
        vote: &Vote,
        now: Millis,
    ) -> (Result<Answered, Unfit>, Consequences) {
        let now = self.approvals.at(now);
        let answered = self.approvals.answer(id, who, vote, now);
        (answered, self.follows())
    }

    /// The second look at a call whose question is closed, and its permit, or its place in the queue of a model. `facts` and
    /// `what` are those of the call that is about to be made. A waiter is used up by this, whatever comes of it.
    /// What people added to budgets with their yes follows as an entry.
    pub fn dispatch(&mut self, waiter: Waiter, facts: Facts, what: &Call, now: Millis) -> (Answer, Consequences) {
        let answer = self.look_again(waiter, facts, what, now);
        (answer, self.follows())
    }

    fn look_again(&mut self, waiter: Waiter, facts: Facts, what: &Call, at: Millis) -> Answer {
        let now = self.approvals.at(at);
        let Some(Waiting { unasked, state }) = self.approvals.waiting.remove(&waiter) else {
            return Answer::Refused(Refusal { wanted: what.name().to_string(), ..*reasons::used() });
        };
        let (run, call) = (unasked.permit.run, unasked.permit.call);
        let mut question = None;
        let fits = match state {
            State::Granted(binding, _) => {
                question = Some(binding.id);
                self.fits(&binding, &unasked, facts, what, now)
            }
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
            Some(raise) => self.raise(run, raise, now).map(|(raised, held)| (ground, held, raised)),
            None => Ok((ground, held, Vec::new())),
        });
        match fits {
            Ok((ground, held, raised)) => {
                let basis = self.rest_on(run, ground);
                if let Some(id) = question.filter(|_| !raised.is_empty()) {
                    self.follows.entries.push(Entry::Raised { call, at, id, raised });
                    self.follows.books = true;
                }
                self.place(Permit { basis, held, ..permit }, model, class)
            }
            Err(no) => {
                self.release(permit, now);
                Answer::Refused(self.no(run, call, what.name(), no))
            }
        }
    }

    /// A call that does not wait any more; it costs nothing.
    pub fn forgo(&mut self, waiter: Waiter, now: Millis) -> Consequences {
        self.stop_waiting(waiter, now);
        self.follows()
    }

    fn stop_waiting(&mut self, waiter: Waiter, now: Millis) {
        let now = self.approvals.at(now);
        let Some(Waiting { unasked, state }) = self.approvals.waiting.remove(&waiter) else { return };
        if let State::Open(id) = state {
            self.approvals.leave(id, waiter, now);
        }
        self.release(unasked.permit, now);
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

    /// Takes back all that a run waits for; it has ended, or has left memory.
    pub(super) fn forgo_all(&mut self, run: RunId, now: Millis) {
        let theirs = self.approvals.waiting.iter().filter(|(_, waiting)| waiting.unasked.permit.run == run);
        for waiter in theirs.map(|(waiter, _)| *waiter).collect::<Vec<_>>() {
            self.stop_waiting(waiter, now);
        }
    }

    fn fits(&self, yes: &Binding, asked: &Unasked, facts: Facts, what: &Call, now: Millis) -> Result<Grounds, No> {
        let required = &asked.required;
        if now >= yes.expires {
            return Err(reasons::unanswered(required, true));
        }
        if self.differs(asked.tool.as_deref()) {
            return Err(reasons::other_tool(required));
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
