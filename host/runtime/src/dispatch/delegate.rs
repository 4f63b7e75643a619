//! How one run reaches another agent: held here, below what runs agents, and implemented above it. This is the one place where a syscall leads
//! to a whole run.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::agents::AgentInfo;
use agentry_abi::bindings::agentry::agent::llm::Tool;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_kernel::call::{CallId, RunId};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::drivers::Drivers;
use crate::gate::{Gate, Reservation};
use crate::run::context::RunContext;

/// What one run asks of another agent.
pub struct Delegated {
    /// The run that asks.
    pub parent: Arc<RunContext>,
    /// By which of its calls.
    pub call: CallId,
    /// The agent that it names.
    pub agent: String,
    /// The input JSON.
    pub input: String,
    /// The part of its budget that was set aside for it.
    pub aside: Arc<Reservation>,
}

/// Those who run other agents for a run.
pub trait Delegate: Send + Sync {
    /// The agents that provide this, and that the run may call or write to.
    fn find<'a>(
        &'a self,
        gate: &'a Gate,
        run: RunId,
        provides: &'a str,
    ) -> BoxFuture<'a, Result<Vec<AgentInfo>, Error>>;

    /// Agents that the run may call and that say by a schema which object they take: each is a tool, by the agent's name.
    fn tools<'a>(&'a self, gate: &'a Gate, run: &'a RunContext) -> BoxFuture<'a, Vec<Tool>>;

    /// Whether there is an agent of this name that the run may call, as things stand.
    fn reaches(&self, gate: &Gate, run: RunId, agent: &str) -> bool;

    /// Runs an agent for a call of another run, and gives what that one gets. Once `cut` is cancelled it is stopped.
    fn call(
        self: Arc<Self>,
        drivers: Arc<Drivers>,
        delegated: Delegated,
        cut: CancellationToken,
    ) -> BoxFuture<'static, Completed<String>>;
}
