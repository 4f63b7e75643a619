//! What the kernel answers with. A permit cannot be copied, made elsewhere or spent twice.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::approvals::Unasked;
use super::runs::Life;
use super::slots::ModelId;
use crate::budget::{Amounts, Resource};
use crate::call::{CallId, RunId};
use crate::journal::BasisId;
use crate::labels::Labels;
use crate::manifest::Manifest;
use crate::publisher::PublisherKey;
use crate::refusal::{Refusal, Rule};

/// What a policy says to a call, each more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    No,
    /// Yes, once people have said so.
    Asks,
    Yes,
}

/// A yes: it is made only by the kernel, given to one driver and spent once, by [`Kernel::settle`](super::Kernel::settle).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not settled holds its budget for ever"]
pub struct Permit {
    pub(super) run: RunId,
    /// Of which stay of the run: it closes against no other.
    pub(super) life: Life,
    pub(super) call: CallId,
    pub(super) held: Amounts,
    pub(super) model: Option<ModelId>,
    pub(super) output_tokens_max: u64,
    pub(super) carries: Labels,
    pub(super) brings: Labels,
    pub(super) clears: Option<(Labels, Rule)>,
    pub(super) private: bool,
    pub(super) basis: BasisId,
    /// False for a call that is answered in the step in which it is decided: nothing is held for it and nobody counts it.
    pub(super) in_flight: bool,
}

impl Permit {
    /// Whose it is.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// For which call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// The name of the call for whoever is asked outside: the same one when a lost call is made again.
    pub fn key(&self) -> String {
        format!("{}-{}", self.run, self.call)
    }

    /// What is held for it: the most that it may cost.
    pub fn held(&self) -> &Amounts {
        &self.held
    }

    /// The longest answer that a model may give on it, in tokens.
    pub fn output_tokens_max(&self) -> u64 {
        self.output_tokens_max
    }

    /// How often a call to a model may be made again if its provider turns it away for the moment.
    pub fn retries(&self) -> u64 {
        self.held[Resource::LlmCalls].saturating_sub(1)
    }

    /// The labels that its run held when it was admitted: whatever it writes or sends carries them.
    pub fn carries(&self) -> &Labels {
        &self.carries
    }

    /// The labels that its run gains when it is settled: those of the place that it reads, as policy says, and those that
    /// [`Permit::bring`] added.
    pub fn brings(&self) -> &Labels {
        &self.brings
    }

    /// Labels that a rule of the site keeps off the answer, and the rule that vouches for it. What the run holds already, it keeps.
    pub fn clears(&self) -> Option<(&Labels, &Rule)> {
        self.clears.as_ref().map(|(labels, rule)| (labels, rule))
    }

    /// The labels that its run gains, and those of the answer that a rule keeps off it.
    pub(super) fn tells(&self) -> (Labels, Labels) {
        match self.clears() {
            None => (self.brings.clone(), Labels::NONE),
            Some((removed, _)) => {
                let kept_off = self.brings.iter().filter(|name| removed.has(name));
                (self.brings.without(removed), Labels::of(kept_off))
            }
        }
    }

    /// True if the rule lets a request go to this machine or to one of its network.
    pub fn private(&self) -> bool {
        self.private
    }

    /// What the yes rests on, as the journal of its run names it.
    pub fn basis(&self) -> BasisId {
        self.basis
    }

    /// True if nothing is to be settled: it holds nothing, brings nothing, and its call is answered in the step in which it was decided.
    pub fn is_spent(&self) -> bool {
        !self.in_flight && self.brings.is_empty() && self.clears.is_none()
    }

    /// The answer carries these labels as well. Nothing takes one off a permit.
    pub fn bring(&mut self, labels: &Labels) {
        self.brings = self.brings.and(labels);
    }
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// The kernel's answer to a call.
#[derive(Debug)]
pub enum Answer {
    /// Do it.
    Permit(Permit),
    /// Its budget is held and it waits for its turn: the permit follows from a later act.
    Wait(Ticket),
    /// Its budget is held and people must say yes first: hand it to [`Kernel::ask`](super::Kernel::ask).
    Ask(Unasked),
    /// No.
    Refused(Refusal),
}

/// A call whose turn has come.
#[derive(Debug)]
pub struct Ready {
    /// The place that it waited at.
    pub ticket: Ticket,
    /// Its permit.
    pub permit: Permit,
}

/// What came of a settlement.
#[derive(Debug)]
pub struct Settled {
    /// What was taken from every account.
    pub spent: Amounts,
    /// What the effect cost beyond that, because an account held no more. No limit was passed for it: that account
    /// stands empty.
    pub overrun: Amounts,
    /// Labels that the run gained and did not hold before.
    pub gained: Labels,
    /// Labels of the answer that it did not gain, because a rule of the site vouches for it.
    pub cleared: Labels,
}

impl Settled {
    /// Nothing was taken, and nothing gained.
    pub(super) const NOTHING: Self =
        Self { spent: Amounts::ZERO, overrun: Amounts::ZERO, gained: Labels::NONE, cleared: Labels::NONE };
}

/// A run that wants to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// The agent's name.
    pub agent: String,
    /// What its package asks for.
    pub manifest: Arc<Manifest>,
    /// The key of its publisher, if this host knows that it signed this very file.
    pub signer: Option<PublisherKey>,
}

/// One limit that binds a run, for `budget.remaining`. One that refills is the agent's day, one that does not is the
/// run's own. Of the run's own fuel, `left` is what it was given: only the engine knows how much of it is burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Of what.
    pub what: Resource,
    /// Not spent and not held.
    pub left: u64,
    /// In all.
    pub limit: u64,
    /// Seconds until it refills, if it does.
    pub refills_in_s: Option<u64>,
}
