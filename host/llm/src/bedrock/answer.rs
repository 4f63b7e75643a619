//! A whole answer of Converse, put into a draft.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::draft::{Counts, Draft};
use crate::loose::{Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::Trouble;
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// It comes at once.
pub(crate) struct Answer;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    #[serde(borrow, default)]
    stop_reason: Loose<'a>,
    #[serde(default)]
    usage: UsageLine,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Thought<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    input: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow, default)]
    reasoning_text: Option<ThoughtText<'a>>,
    #[serde(borrow, default)]
    redacted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ThoughtText<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageLine {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_write_input_tokens: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let whole: Whole<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("the answer is none of Converse: {why}")))?;
        for block in whole.output.message.content {
            if let Some(thought) = block.reasoning_content {
                self::thought(&thought, draft);
            }
            draft.text(block.text.as_deref().unwrap_or_default());
            if let Some(call) = block.tool_use {
                let index = draft.call(&call.tool_use_id, &call.name);
                let index = index.ok_or_else(|| Trouble::Garbage("too many tool calls".to_owned()))?;
                draft.arguments(index, call.input.get());
            }
        }
        draft.usage(Counts {
            input_fresh: whole.usage.input_tokens.0,
            cache_read: whole.usage.cache_read_input_tokens.0,
            cache_write: whole.usage.cache_write_input_tokens.0,
            output: whole.usage.output_tokens.0,
            reasoning: None,
        });
        draft.stop(match whole.stop_reason.text() {
            "end_turn" => StopReason::End,
            "tool_use" => StopReason::ToolCalls,
            "max_tokens" => StopReason::MaxOutput,
            "stop_sequence" => StopReason::Sequence(String::new()),
            "guardrail_intervened" | "content_filtered" => StopReason::Filtered,
            "model_context_window_exceeded" => StopReason::ContextFull,
            "" => return Ok(Heard::Last),
            other => StopReason::Other(other.to_owned()),
        });
        Ok(Heard::Last)
    }
}

fn thought(thought: &Thought<'_>, draft: &mut Draft) {
    match (&thought.reasoning_text, &thought.redacted_content) {
        (Some(shown), _) => {
            draft.new_thought(true);
            draft.reasoning(&shown.text);
            if let Some(signature) = &shown.signature {
                draft.opaque(signature.as_bytes());
            }
        }
        (None, Some(redacted)) => {
            draft.new_thought(false);
            draft.opaque(redacted.as_bytes());
        }
        (None, None) => {}
    }
}
