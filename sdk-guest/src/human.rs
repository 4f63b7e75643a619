//! People.

use crate::bindings::agentry::agent::human as wit;
use crate::call::Call;
use crate::types::Error;

pub use wit::Question;

/// Asks a person and waits, for days if need be.
pub fn ask(question: &Question) -> Call<String> {
    Call::new(wit::ask(question))
}

/// Tells a person.
///
/// # Errors
/// `unavailable` until the host knows how to reach one.
pub fn notify(text: &str) -> Result<(), Error> {
    wit::notify(text)
}

impl Question {
    /// A question that any text answers and that waits for as long as it takes.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), choices: Vec::new(), expires_s: None }
    }
}
