//! Questions about policies, answered by the kernel that decides: a call is put to it in a run that exists for nothing else.
//! Nothing here decides for itself, and nothing here changes what is in force.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::approval::Required;
use crate::budget::Amounts;
use crate::call::{Call, CallId, RunId};
use crate::kernel::{Answer, Kernel, Start};
use crate::labels::Labels;
use crate::manifest::Manifest;
use crate::model::Model;
use crate::policy::{Grant, Policy, Subject};
use crate::publisher::PublisherKey;
use crate::refusal::{Code, Refusal};
use crate::time::Millis;
use crate::tool::{Tool, Tools};

mod amend;
mod call;
mod candidates;
mod diff;
mod explain;
mod learn;
mod observe;
mod package;
mod past;
mod reach;
mod replay;
#[cfg(test)]
mod tests;
mod witness;

pub use amend::amend;
pub use call::{read as read_call, show as show_call};
pub use diff::{Change, Diff, DiffVerdict, Example, diff};
pub use explain::{Explanation, Otherwise, explain, explain_past};
pub use learn::{Suggestion, learn};
pub use observe::telling_nothing;
pub use reach::{Capability, Location, Route, Stop, capabilities, routes};
pub use replay::{Changed, Past, Replay, replay, unknown};

/// The one run of a kernel that is asked.
const RUN: RunId = RunId(0);

/// All that an answer rests on besides what runs have done: a policy, and the models and tools that there are.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What admins wrote.
    pub policy: Arc<Policy>,
    /// The models of the configuration.
    pub models: Vec<Model>,
    /// The tools of the registry.
    pub tools: Vec<Tool>,
    /// When it is asked.
    pub at: Millis,
}

/// A package that is asked about.
#[derive(Clone, Debug)]
pub struct Packaged {
    /// What it asks for.
    pub manifest: Arc<Manifest>,
    /// The key of its publisher, if the host knows that it signed this very file.
    pub signer: Option<PublisherKey>,
}

/// One call that somebody might make.
#[derive(Clone, Debug)]
pub struct Question {
    /// The agent's name.
    pub agent: String,
    /// Its package; none if it may ask for anything and is signed as the grant wants, so that policy alone answers.
    pub package: Option<Packaged>,
    /// What its run has read.
    pub labels: Labels,
    /// The call.
    pub call: Call,
}

/// What the kernel says to a call. Each is more than the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No.
    Refused(Refusal),
    /// Yes, once people have said so.
    Asks(Refusal),
    /// Yes.
    Allowed {
        /// The most that it may cost.
        held: Amounts,
        /// Labels that the run gains by it.
        brings: Labels,
    },
}

impl Verdict {
    fn asks(required: &Required, agent: &str, call: &Call) -> Self {
        let people = format!("this needs a yes from {} ({})", required.from, required.factor.word());
        let refusal = Refusal::new(Code::NotApproved, people).rule(required.rule.clone());
        Self::Asks(Refusal { agent: agent.into(), wanted: call.name().into(), ..refusal })
    }

    /// The word of the policy language: `allow`, `ask` or `deny`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "deny",
            Self::Asks(_) => "ask",
            Self::Allowed { .. } => "allow",
        }
    }

    /// The kernel's words, where it did not simply say yes.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Asks(refusal) => Some(refusal),
            Self::Allowed { .. } => None,
        }
    }

    /// True if it gives more than another does.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Refused(_) => 0,
            Self::Asks(_) => 1,
            Self::Allowed { .. } => 2,
        }
    }
}

impl Packaged {
    fn start(&self, agent: &str) -> Start {
        Start { agent: agent.into(), manifest: Arc::clone(&self.manifest), signer: self.signer }
    }
}

impl Scenario {
    /// What the kernel says to a call, in the first moment of a run that holds these labels.
    pub fn ask(&self, question: &Question) -> Verdict {
        let start = match &question.package {
            Some(package) => package.start(&question.agent),
            None => self.anything_starts(&question.agent, core::iter::once(&question.call)),
        };
        let mut kernel = Kernel::new(Arc::clone(&self.policy), self.models.clone(), self.tools.clone());
        if let (Err(refusal), _) = kernel.start(RUN, &start, self.at) {
            return Verdict::Refused(refusal);
        }
        kernel.attend(RUN);
        if !question.labels.is_empty()
            && let (Answer::Permit(mut permit), _) = kernel.admit(RUN, CallId(0), &Call::TimersNow, self.at)
        {
            permit.bring(&question.labels);
            let _ = kernel.settle(permit, Amounts::ZERO, self.at);
        }
        match kernel.admit(RUN, CallId(1), &question.call, self.at).0 {
            Answer::Permit(permit) => {
                let (held, brings) = (*permit.held(), permit.brings().clone());
                let _ = kernel.give_back(permit, self.at);
                Verdict::Allowed { held, brings }
            }
            Answer::Wait(_) => Verdict::Allowed { held: Amounts::ZERO, brings: Labels::NONE },
            Answer::Ask(unasked) => Verdict::asks(unasked.required(), &question.agent, &question.call),
            Answer::Refused(refusal) if refusal.code == Code::NotApproved => Verdict::Asks(refusal),
            Answer::Refused(refusal) => Verdict::Refused(refusal),
        }
    }

    /// The same scenario under another policy.
    #[must_use]
    pub fn under(&self, policy: Arc<Policy>) -> Self {
        Self { policy, ..self.clone() }
    }

    /// The grant of an agent, whatever its package.
    pub fn grant(&self, agent: &str) -> Option<&Grant> {
        self.policy.grants.iter().find(|grant| grant.agent == agent)
    }

    /// Adds the model and the tool that a call names, if nobody did: a policy is compared for those too that come later. Of such a
    /// tool nobody said what it does, and such a model costs nothing. True if something was added.
    pub(crate) fn complete(&mut self, call: &Call) -> bool {
        let tools = Tools::new(Vec::new());
        match Subject::of(call, &tools) {
            Subject::Tool { name, .. } if !self.tools.iter().any(|tool| tool.name == name) => {
                self.tools.push(Tool { name: name.into(), ..Tool::default() });
                true
            }
            Subject::Model { alias } if !self.models.iter().any(|model| model.alias == alias) => {
                self.models.push(Model {
                    alias: alias.into(),
                    price: None,
                    context_tokens: u64::MAX,
                    output_tokens_max: u64::MAX,
                    slots: 1,
                    local: true,
                });
                true
            }
            Subject::Tool { .. } | Subject::Model { .. } | Subject::Memory { .. } => false,
            Subject::Files { .. } | Subject::Http { .. } | Subject::Inner => false,
        }
    }
}
