//! Tools behind adapters; an agent sees only those it may call.

use serde::Serialize;

use crate::bindings::agentry::agent::tools as wit;
use crate::call::Call;
use crate::llm::Tool;
use crate::types::Error;

pub use wit::Answer;

/// The tools that this agent may call.
///
/// # Errors
/// `unavailable` until the host has adapters.
pub fn list() -> Result<Vec<Tool>, Error> {
    wit::list()
}

/// Calls a tool with arguments that its schema and the policy allow. It may wait for a person.
///
/// # Errors
/// `invalid` if the arguments do not become JSON.
pub fn call<T: Serialize + ?Sized>(name: &str, arguments: &T) -> Result<Call<Answer>, Error> {
    let json = serde_json::to_string(arguments).map_err(|error| Error::Invalid(format!("arguments: {error}")))?;
    Ok(call_json(name, &json))
}

/// Calls a tool with arguments as a model wrote them.
pub fn call_json(name: &str, arguments_json: &str) -> Call<Answer> {
    Call::new(wit::call(name, arguments_json))
}
