//! OpenAI's chat completions, and the servers that speak them too: Ollama, vLLM, llama.cpp. It knows their words and decides nothing.
//!
//! Source: OpenAI API reference, "Chat Completions"; `reasoning_content` as llama.cpp and vLLM have it, `reasoning_details` as
//! OpenRouter, `extra_content` as Gemini ("OpenAI compatibility", "Thought signatures").

mod answer;
mod calls;
mod request;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::answer::Answer;
use super::draft::Draft;
use super::remote::Dialect;
use super::target::Target;
use agentry_abi::bindings::agentry::agent::llm::{Reasoning, Request};

/// A model behind chat completions.
pub(crate) struct OpenAi {
    pub(super) target: Target,
}

impl Dialect for OpenAi {
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

/// What a provider wants back with the turn, byte for byte, and what no other place of ours holds: the opaque part of a thought.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Carried {
    /// The id of the tool call that it belongs to; none if it belongs to the turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    /// Gemini's signature of a thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
    /// OpenRouter's thoughts with their signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<Box<RawValue>>,
}

impl Carried {
    /// Puts it into the draft.
    fn keep(&self, draft: &mut Draft) {
        if let Ok(opaque) = serde_json::to_vec(self) {
            draft.new_thought(false);
            draft.opaque(&opaque);
        }
    }

    /// What a thought carries.
    fn of(thought: &Reasoning) -> Option<Self> {
        serde_json::from_slice(thought.opaque.as_deref()?).ok()
    }
}
