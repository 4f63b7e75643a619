//! Gemini's own interface, of Google AI and of Vertex. It knows their words and decides nothing.
//!
//! Source: Gemini API reference, `models.streamGenerateContent`; "Thinking", "Thought signatures", "Function calling".

mod answer;
mod request;

use serde::{Deserialize, Serialize};

use self::answer::Answer;
use super::draft::Draft;
use super::remote::Dialect;
use super::target::Target;
use agentry_abi::bindings::agentry::agent::llm::{Reasoning, Request};

/// A model behind `streamGenerateContent`.
pub(crate) struct Gemini {
    pub(super) target: Target,
}

impl Dialect for Gemini {
    type Answer = Answer;

    fn target(&self) -> &Target {
        &self.target
    }

    fn body(&self, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
        self.target.body(|to| request::body(to, request, output_tokens_max))
    }

    fn answer(&self) -> Answer {
        Answer
    }
}

/// A signature that must come back on the part it came with: the opaque part of a thought that stands before it.
#[derive(Deserialize, Serialize)]
struct Signature {
    thought_signature: String,
    /// Whether it came with a call; else with a text.
    of_call: bool,
}

impl Signature {
    fn keep(&self, draft: &mut Draft) {
        if let Ok(opaque) = serde_json::to_vec(self) {
            draft.new_thought(false);
            draft.opaque(&opaque);
        }
    }

    fn of(thought: &Reasoning) -> Option<Self> {
        serde_json::from_slice(thought.opaque.as_deref()?).ok()
    }
}
