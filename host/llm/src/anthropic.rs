//! Anthropic's messages, and the servers that speak them too. It knows their words and decides nothing.
//!
//! Source: Anthropic API reference, "Messages" and "Streaming messages", version 2023-06-01.

mod answer;
mod request;

use self::answer::Answer;
use super::remote::Dialect;
use super::target::Target;
use agentry_abi::bindings::agentry::agent::llm::Request;

/// The version of the interface that is spoken here.
pub(crate) const VERSION: &str = "2023-06-01";

/// A model behind the messages interface.
pub(crate) struct Anthropic {
    pub(super) target: Target,
}

impl Dialect for Anthropic {
    type Answer = Answer;

    fn target(&self) -> &Target {
        &self.target
    }

    fn body(&self, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
        self.target.body(|to| request::body(to, request, output_tokens_max))
    }

    fn answer(&self) -> Answer {
        Answer::default()
    }
}
