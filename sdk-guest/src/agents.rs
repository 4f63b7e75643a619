//! Other agents. Rights and budget only narrow on the way down.

use std::time::Duration;

use crate::bindings::agentry::agent::agents as wit;
use crate::call::Call;
use crate::types::Error;

pub use wit::{AgentInfo, Letter, Share};

/// Agents that provide this.
///
/// # Errors
/// `unavailable` until the host has a registry of agents.
pub fn find(provides: &str) -> Result<Vec<AgentInfo>, Error> {
    wit::find(provides)
}

/// Runs another agent and waits for its output, with part of the caller's budget.
pub fn call(agent: &str, input_json: &str, budget: &[Share]) -> Call<String> {
    Call::new(wit::call(agent, input_json, budget))
}

/// Puts a letter into an agent's mailbox and gives its id.
///
/// # Errors
/// `not-found` if there is no such agent.
pub fn send(agent: &str, subject: &str, body_json: &str) -> Result<String, Error> {
    wit::send(agent, subject, body_json)
}

/// Answers a letter.
///
/// # Errors
/// `not-found` if there is no such letter.
pub fn reply(letter: &str, body_json: &str) -> Result<(), Error> {
    wit::reply(letter, body_json)
}

/// The next letter, or none after the timeout.
pub fn receive(timeout: Option<Duration>) -> Call<Option<Letter>> {
    let timeout_ms = timeout.map(|timeout| timeout.as_millis().try_into().unwrap_or(u64::MAX));
    Call::new(wit::receive(timeout_ms))
}
