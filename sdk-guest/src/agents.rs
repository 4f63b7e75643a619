//! Other agents: [`find`] them by what they provide, [`call`] one for an answer, or [`send`] it a letter. Rights and budget only narrow on
//! the way down, and what an agent has read goes with whatever it says.
//!
//! ```no_run
//! # async fn example() -> Result<(), agentry::Failure> {
//! use agentry::agents;
//!
//! let Some(researcher) = agents::find("research")?.into_iter().next() else { return Ok(()) };
//! let answer = agents::call(&researcher.name, r#"{"question": "Who declares war?"}"#, &[]).await?;
//! # drop(answer);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use serde::Serialize;

use crate::bindings::agentry::agent::agents as wit;
use crate::call::Call;
use crate::host;
use crate::types::{Error, ResourceKind};

pub use wit::{AgentInfo, Letter, Share};

impl Share {
    /// So much of one resource, in its units.
    #[must_use]
    pub const fn of(what: ResourceKind, amount: u64) -> Self {
        Self { what, amount }
    }
}

impl Letter {
    /// The body, as the type that the reader expects.
    ///
    /// # Errors
    /// `invalid` if it is something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.body_json).map_err(|error| Error::Invalid(format!("letter {}: {error}", self.id)))
    }
}

/// Agents that provide this and that this one may call or write to.
///
/// # Errors
/// `invalid` if this can be no word of a manifest.
pub fn find(provides: &str) -> Result<Vec<AgentInfo>, Error> {
    host::quick(|| wit::find(provides))
}

/// Runs another agent on a JSON input and waits for its output, which is JSON too. It has at most this agent's rights, and the part of its
/// budget that is named; of what is not named it draws on this one as it goes, but of fuel it has half of what is left. Dropping the call
/// stops it.
///
/// # Errors
/// `denied` if this agent may not call it; `not-found` if there is none of this name; `exhausted` if there is less to give than is
/// named; `unavailable` if it did not succeed, with what it said.
pub fn call(agent: &str, input_json: &str, budget: &[Share]) -> Call<String> {
    host::long(|| wit::call(agent, input_json, budget))
}

/// Puts a letter of JSON into an agent's mailbox and gives its id. It is there when this returns, whatever happens to either side.
///
/// # Errors
/// `denied` if this agent may not write to it, or it takes no letters of this one; `not-found` if there is none of this name;
/// `invalid` if it is too long or no JSON; `unavailable` if the mailbox is full.
pub fn send(agent: &str, subject: &str, body_json: &str) -> Result<String, Error> {
    host::quick(|| wit::send(agent, subject, body_json))
}

/// The same with a value as JSON.
///
/// # Errors
/// As [`send`].
pub fn send_json(agent: &str, subject: &str, body: &impl Serialize) -> Result<String, Error> {
    send(agent, subject, &json(body)?)
}

/// Answers a letter that was received: to whoever wrote it, with its subject.
///
/// # Errors
/// `not-found` if this agent never had such a letter, or had many since; else as [`send`].
pub fn reply(letter: &str, body_json: &str) -> Result<(), Error> {
    host::quick(|| wit::reply(letter, body_json))
}

/// The same with a value as JSON.
///
/// # Errors
/// As [`reply`].
pub fn reply_json(letter: &Letter, body: &impl Serialize) -> Result<(), Error> {
    reply(&letter.id, &json(body)?)
}

/// The next letter to this agent, the oldest first, or none after the timeout. Without one it waits as long as the run may. Each letter is
/// given to one run, once; one that is dropped before it is seen goes back.
pub fn receive(timeout: Option<Duration>) -> Call<Option<Letter>> {
    let timeout_ms = timeout.map(|timeout| timeout.as_millis().try_into().unwrap_or(u64::MAX));
    host::long(|| wit::receive(timeout_ms))
}

fn json(body: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|error| Error::Invalid(error.to_string()))
}
