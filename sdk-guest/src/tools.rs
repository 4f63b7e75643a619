//! Tools behind adapters, and agents that are called as tools; an agent sees only those it may call.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::agentry::agent::tools as wit;
use crate::call::Call;
use crate::host;
use crate::llm::{ResultPart, Tool};
use crate::types::Error;

pub use wit::Answer;

/// The tools that this agent may call, other agents among them, as a model takes them: give them to [`Request::tool`](crate::llm::Request::tool).
///
/// # Errors
/// `denied` if the agent asks neither for tools nor for agents in its manifest.
pub fn list() -> Result<Vec<Tool>, Error> {
    host::quick(wit::list)
}

/// Calls a tool with arguments that its schema and the policy allow. It may wait for a person.
///
/// ```no_run
/// # async fn send() -> Result<(), agentry::Failure> {
/// let arguments = serde_json::json!({ "to": "ops@example.org", "subject": "report" });
/// let answer = agentry::tools::call("mail.send", &arguments)?.await?;
/// agentry::log::info(answer.text());
/// # Ok(()) }
/// ```
///
/// # Errors
/// `invalid` if the arguments do not become JSON.
pub fn call<T: Serialize + ?Sized>(name: &str, arguments: &T) -> Result<Call<Answer>, Error> {
    let json = serde_json::to_string(arguments).map_err(|error| Error::Invalid(format!("arguments: {error}")))?;
    Ok(call_json(name, &json))
}

/// Calls a tool with arguments as a model wrote them.
pub fn call_json(name: &str, arguments_json: &str) -> Call<Answer> {
    host::long(|| wit::call(name, arguments_json))
}

impl Answer {
    /// All that it said in words, JSON included; look at `failed` first.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = self.parts.iter().filter_map(|part| match part {
            ResultPart::Text(text) | ResultPart::Json(text) => Some(text.as_str()),
            ResultPart::Media(_) => None,
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The first part that is JSON, as a value.
    ///
    /// # Errors
    /// `invalid` if there is none, or it has another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let json = self.parts.iter().find_map(|part| match part {
            ResultPart::Json(json) => Some(json),
            _ => None,
        });
        let json = json.ok_or_else(|| Error::Invalid("the tool answered without JSON".to_owned()))?;
        serde_json::from_str(json).map_err(|error| Error::Invalid(format!("the tool's answer: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_text_and_as_json() {
        let parts = vec![ResultPart::Text("two".into()), ResultPart::Json("[1, 2]".into())];
        let cost = crate::bindings::agentry::agent::llm::Cost::default();
        let answer = Answer { failed: false, parts, labels: Vec::new(), cost };
        assert_eq!(answer.text(), "two\n[1, 2]");
        assert_eq!(answer.json::<Vec<u32>>(), Ok(vec![1, 2]));
        assert!(answer.json::<String>().is_err());
    }
}
