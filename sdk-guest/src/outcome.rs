//! How an agent says that it did not succeed, as `wit/outcome` defines it; it must stay of the same shape.

use std::fmt;

use crate::types::Error;

/// Why a run did not succeed: a sentence for a person, and the syscall's error that was in the way, if one was.
///
/// `?` makes one from any error of this crate and keeps the cause, by which the host tells a denial from a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence for a person.
    pub message: String,
    /// The syscall's error that was in the way, if one was.
    pub cause: Option<Error>,
}

impl Failure {
    /// A failure without a cause in a syscall.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }

    /// The same failure, with what the agent was about to do in front: `reading a.md: not found: …`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<Error> for Failure {
    fn from(cause: Error) -> Self {
        Self { message: cause.to_string(), cause: Some(cause) }
    }
}

impl From<crate::llm::Failure> for Failure {
    fn from(failure: crate::llm::Failure) -> Self {
        failure.why.into()
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("JSON: {error}"))
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// Says what the agent was about to do when a call failed.
pub trait Context<T> {
    /// Puts `doing` before the message: `root.read("a.md").context("reading the list")?`.
    ///
    /// # Errors
    /// The same error as before, as a [`Failure`].
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().context(doing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_keeps_the_cause() {
        let failed: Result<(), Failure> = Err(Error::NotFound("a.md".into())).context("reading the list");
        let failure = failed.expect_err("it failed");
        assert_eq!(failure.message, "reading the list: not found: a.md");
        assert_eq!(failure.cause, Some(Error::NotFound("a.md".into())));
    }
}
