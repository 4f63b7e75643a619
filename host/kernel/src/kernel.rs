//! The one place that says yes, no or later: `start`, `admit`, `settle`, `finish`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::budget::{Account, Amounts, Limits, Resource};
use crate::call::{Call, CallId, RunId};
use crate::manifest::Manifest;
use crate::model::Model;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::time::Millis;

/// A yes: it is made only here, given to one driver and spent once, by [`Kernel::settle`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not settled holds its budget for ever"]
pub struct Permit {
    run: RunId,
    call: CallId,
    held: Amounts,
    model: Option<String>,
    output_tokens_max: u64,
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

    /// What is held for it: the most that it may cost.
    pub fn held(&self) -> &Amounts {
        &self.held
    }

    /// The longest answer that a model may give on it, in tokens.
    pub fn output_tokens_max(&self) -> u64 {
        self.output_tokens_max
    }
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// The kernel's answer to a call.
#[derive(Debug)]
pub enum Answer {
    /// Do it.
    Permit(Permit),
    /// Its budget is held and it waits for its turn: the permit comes out of a later `settle` or `withdraw`.
    Wait(Ticket),
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
    /// What was taken from the accounts.
    pub spent: Amounts,
    /// What the effect cost beyond what was held for it. A limit was not passed for it: the account stands empty.
    pub overrun: Amounts,
    /// Calls whose turn has come.
    pub ready: Vec<Ready>,
}

/// A run that wants to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// The agent's name.
    pub agent: String,
    /// What its package asks for.
    pub manifest: Arc<Manifest>,
}

/// What a run was given at its start; the engine enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Instructions.
    pub fuel: u64,
    /// Milliseconds from its start.
    pub wall_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
}

/// One limit that binds a run, for `budget.remaining`.
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

/// The state that decisions rest on.
#[derive(Debug, Default)]
pub struct Kernel {
    policy: Arc<Policy>,
    models: BTreeMap<String, Model>,
    agents: BTreeMap<String, Account>,
    runs: BTreeMap<RunId, Run>,
}

#[derive(Debug)]
struct Run {
    agent: String,
    account: Account,
    limits: Limits,
}

impl Kernel {
    /// A kernel that allows what `policy` grants, on these models.
    pub fn new(policy: Arc<Policy>, models: Vec<Model>) -> Self {
        let models = models.into_iter().map(|model| (model.alias.clone(), model)).collect();
        Self { policy, models, ..Self::default() }
    }
}
