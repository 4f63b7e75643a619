//! The chunks of a streamed chat completion, put into a draft.

use std::borrow::Cow;

use agentry_abi::bindings::agentry::agent::llm::StopReason;
use agentry_kernel::model::Usage;
use serde::Deserialize;

use crate::draft::Draft;
use crate::http::{Complaint, Trouble, shorten};

/// Which of the provider's calls is which of ours.
#[derive(Default)]
pub(super) struct Answer {
    calls: Vec<(u64, usize)>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<UsageLine>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<DeltaLine<'a>>,
    #[serde(default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct DeltaLine<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<CallLine<'a>>>,
}

/// Borrowed where nothing is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct CallLine<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<FunctionLine<'a>>,
}

#[derive(Deserialize)]
struct FunctionLine<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct UsageLine {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl Answer {
    /// Puts one chunk into the draft.
    pub(super) fn take(&mut self, data: &str, draft: &mut Draft) -> Result<(), Trouble> {
        let chunk: Chunk<'_> = serde_json::from_str(data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is no chunk: {why}")))?;
        if let Some(error) = chunk.error {
            return Err(Trouble::Failed { retry: true, complaint: Complaint::of(error) });
        }
        // Others than the first choice were not asked for.
        if let Some(choice) = chunk.choices.into_iter().next() {
            if let Some(delta) = choice.delta {
                self.delta(delta, draft)?;
            }
            if let Some(reason) = choice.finish_reason {
                draft.stop(stop_reason(&reason));
            }
        }
        if let Some(usage) = chunk.usage {
            draft.usage(usage.into());
        }
        Ok(())
    }

    fn delta(&mut self, delta: DeltaLine<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        if let Some(thought) = delta.reasoning_content.or(delta.reasoning) {
            draft.reasoning(&thought.0);
        }
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            draft.text(&text.0);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(&call, draft)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &CallLine<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        let name = call.function.as_ref().and_then(|function| function.name.as_ref());
        // A server that does not number its calls sends each whole.
        let number = call.index.unwrap_or(self.calls.len() as u64);
        let known = self.calls.iter().find(|(known, _)| *known == number).map(|(_, index)| *index);
        let index = match (known, name) {
            (Some(index), _) => index,
            (None, None) => return Err(Trouble::Garbage("a tool call without a name".to_owned())),
            (None, Some(name)) => {
                let made_up = format!("call-{}", self.calls.len());
                let id = call.id.as_ref().map_or(&*made_up, |id| &id.0);
                let index =
                    draft.call(id, &name.0).ok_or_else(|| Trouble::Garbage("too many tool calls".to_owned()))?;
                self.calls.push((number, index));
                index
            }
        };
        if let Some(arguments) = call.function.as_ref().and_then(|function| function.arguments.as_ref()) {
            draft.arguments(index, &arguments.0);
        }
        Ok(())
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "stop" => StopReason::End,
        "length" => StopReason::MaxOutput,
        "tool_calls" | "function_call" => StopReason::ToolCalls,
        "content_filter" => StopReason::Filtered,
        other => StopReason::Other(shorten(other, 64)),
    }
}

impl From<UsageLine> for Usage {
    fn from(line: UsageLine) -> Self {
        let cached = line.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
        let cache_read = cached.min(line.prompt_tokens);
        let thought = line.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0);
        Self {
            input_fresh: line.prompt_tokens - cache_read,
            cache_read,
            cache_write: 0,
            output: line.completion_tokens,
            reasoning: thought.min(line.completion_tokens),
            estimated: false,
        }
    }
}
