//! OpenAI's responses: the interface in which its models think between tool calls. Nothing is kept there: each question carries its whole
//! conversation, thoughts encrypted among it. It decides nothing.
//!
//! Source: OpenAI API reference, "Responses" and "Streaming"; "Reasoning models", "Encrypted reasoning items".

mod answer;
mod request;

use self::answer::Answer;
use super::remote::Dialect;
use super::target::Target;
use agentry_abi::bindings::agentry::agent::llm::Request;

/// A model behind responses.
pub(crate) struct Responses {
    pub(super) target: Target,
}

impl Dialect for Responses {
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
