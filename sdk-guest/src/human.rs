//! People.

use std::time::Duration;

use crate::bindings::agentry::agent::human as wit;
use crate::call::Call;
use crate::host;
use crate::types::Error;

pub use wit::Question;

/// Asks a person and waits, for days if need be: the question outlives a stop of the host. Await it with a timer if you cannot wait so
/// long, or give it an end.
///
/// # Errors
/// `denied` without a grant, or where nobody can be asked; `timed-out` if nobody answers in time; `unavailable` if a person declines, or
/// if too many questions of yours are open.
pub fn ask(question: &Question) -> Call<String> {
    host::long(|| wit::ask(question))
}

/// Tells a person. Whoever watches the run sees it at once; others find it in `agentry notices`.
///
/// # Errors
/// `denied` without a grant; `unavailable` once the run has told too much.
pub fn notify(text: &str) -> Result<(), Error> {
    host::quick(|| wit::notify(text))
}

impl Question {
    /// A question that any text answers and that waits for as long as it takes.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), choices: Vec::new(), expires_s: None }
    }

    /// The same with answers to choose from: the answer is one of these texts.
    #[must_use]
    pub fn choices(self, choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { choices: choices.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same, which nobody need answer after this time.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        Self { expires_s: Some(time.as_secs().max(1)), ..self }
    }
}
