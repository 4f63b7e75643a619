//! Calls of other agents and letters to them, against the `agents` of a grant. How deep calls nest is counted from each run on the way
//! up; whose letters come in is the receiver's to say.

use alloc::format;
use alloc::string::String;

use super::{Admission, INNER, No, Terms, list, malformed, undeclared, undeclared_argument};
use crate::kernel::basis::Grounds;
use crate::refusal::{Code, Refusal};
use crate::rights::AgentsRight;
use crate::text;

/// What is done with another agent, and which of a right's lists says whether it may be.
type Deed = (&'static str, &'static str, fn(&AgentsRight) -> &[String], fn(&AgentsRight, &str) -> bool);

const CALL: Deed = ("call", "call", |right| &right.call, AgentsRight::calls);
const SEND: Deed = ("send", "write to", |right| &right.send, AgentsRight::sends);
const RECEIVE: Deed = ("receive", "take and answer letters of", |right| &right.receive, AgentsRight::receives);

impl Admission<'_> {
    /// `agents.find`
    pub(super) fn find(&self, provides: &str) -> Result<Terms, No> {
        malformed("provides", provides, text::name(provides))?;
        self.declared("agents", |wants| wants.agents.is_some())
    }

    /// `agents.call`
    pub(super) fn delegate(&self, agent: &str) -> Result<Terms, No> {
        let right = self.other(agent, CALL)?;
        self.deep_enough(right)
    }

    /// `agents.send`
    pub(super) fn send(&self, agent: &str) -> Result<Terms, No> {
        self.other(agent, SEND)?;
        self.taken_by(agent)
    }

    /// `agents.reply`
    pub(super) fn reply(&self, agent: &str) -> Result<Terms, No> {
        self.own_letters()?;
        self.other(agent, RECEIVE)?;
        self.taken_by(agent)
    }

    /// `agents.receive`
    pub(super) fn receive(&self) -> Result<Terms, No> {
        self.own_letters()?;
        self.some_letters()
    }

    /// The right by which something is done with this agent.
    fn other(&self, agent: &str, (word, verb, patterns, fits): Deed) -> Result<&AgentsRight, No> {
        malformed("agent", agent, text::label(agent))?;
        if let Some(wants) = self.wants {
            let Some(wanted) = &wants.agents else { return Err(undeclared("agents")) };
            if !fits(wanted, agent) {
                let want = format!("agents.{word}");
                return Err(undeclared_argument(&want, "agent", agent, &list(patterns(wanted))));
            }
        }
        let Some(right) = &self.grant.rights.agents else {
            return Err(self.ungranted("agents", &format!("`agents = {{ {word} = [\"{agent}\"] }}`")));
        };
        if fits(right, agent) {
            return Ok(right);
        }
        let because = format!("agent `{}` may not {verb} agent `{agent}`", self.grant.agent);
        Err(Refusal::new(Code::NoGrant, because)
            .rule(self.rule("agents", right.line))
            .argument("agent", agent, list(patterns(right)))
            .hint(format!("add \"{agent}\" to `{word}` of `agents` in {}", self.grant.rule.file))
            .into())
    }

    /// Whether calls may nest one deeper below this run.
    fn deep_enough(&self, right: &AgentsRight) -> Result<Terms, No> {
        let depth = self.below.saturating_add(1);
        if depth <= right.max_depth {
            return Ok(Terms { ground: Grounds::Agents, ..INNER });
        }
        let because = format!("calls below agent `{}` may not nest {depth} deep", self.grant.agent);
        Err(Refusal::new(Code::Argument, because)
            .rule(self.rule("agents", right.line))
            .argument("depth", &format!("{depth}"), format!("1..{}", right.max_depth))
            .hint(format!("raise `max_depth` of `agents` in {}", self.grant.rule.file))
            .into())
    }

    /// Whether the receiver takes letters of the one who writes: asked once, of the run that does.
    fn taken_by(&self, agent: &str) -> Result<Terms, No> {
        let terms = Terms { ground: Grounds::Agents, ..INNER };
        if self.below > 0 {
            return Ok(terms);
        }
        let writer = &self.grant.agent;
        let receiver = self.policy.grants.iter().find(|grant| grant.agent == agent);
        let Some(receiver) = receiver.filter(|grant| grant.expires.is_none_or(|end| self.now < end)) else {
            return Err(Refusal::new(Code::Unknown, format!("there is no agent `{agent}` that letters could go to"))
                .argument("agent", agent, "an agent that has a grant")
                .hint(format!("write a grant for agent `{agent}`"))
                .into());
        };
        let right = receiver.rights.agents.as_ref();
        if right.is_some_and(|right| right.receives(writer)) {
            return Ok(terms);
        }
        let allowed = right.map_or_else(|| "nobody".into(), |right| list(&right.receive));
        Err(Refusal::new(Code::NoGrant, format!("agent `{agent}` takes no letters of agent `{writer}`"))
            .rule(receiver.rule.clone())
            .argument("sender", writer, allowed)
            .hint(format!("add \"{writer}\" to `receive` of `agents` in {}", receiver.rule.file))
            .into())
    }

    /// The mailbox is the agent's own: who calls an agent does not get at it.
    fn own_letters(&self) -> Result<(), No> {
        if self.below == 0 {
            return Ok(());
        }
        let because = format!("agent `{}` has no right to the mailbox of another agent", self.grant.agent);
        let hint = "let the agent take its letters in a run of its own";
        Err(Refusal::new(Code::NoGrant, because).hint(hint).into())
    }

    /// Whether it takes letters of anybody.
    fn some_letters(&self) -> Result<Terms, No> {
        if let Some(wants) = self.wants {
            let Some(wanted) = &wants.agents else { return Err(undeclared("agents")) };
            if wanted.receive.is_empty() {
                return Err(undeclared_argument("agents.receive", "sender", "anybody", "nobody"));
            }
        }
        match &self.grant.rights.agents {
            Some(right) if !right.receive.is_empty() => Ok(Terms { ground: Grounds::Agents, ..INNER }),
            _ => Err(self.ungranted("agents", "`agents = { receive = [\"…\"] }`, with whom it takes letters of,")),
        }
    }
}
