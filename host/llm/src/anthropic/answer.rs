//! The events of a streamed message, put into a draft.

use std::borrow::Cow;

use agentry_abi::bindings::agentry::agent::llm::StopReason;
use agentry_kernel::model::Usage;
use serde::Deserialize;

use crate::draft::Draft;
use crate::http::{Complaint, Trouble, shorten};

/// Which of the provider's blocks is which of our calls.
#[derive(Default)]
pub(super) struct Answer {
    calls: Vec<(u64, usize)>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        #[serde(default)]
        index: u64,
        #[serde(borrow)]
        content_block: Block<'a>,
    },
    ContentBlockDelta {
        #[serde(default)]
        index: u64,
        #[serde(borrow)]
        delta: Delta<'a>,
    },
    MessageDelta {
        delta: Stop,
        usage: Option<UsageLine>,
    },
    MessageStop,
    Error {
        error: serde_json::Value,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        #[serde(borrow, default)]
        text: Cow<'a, str>,
    },
    Thinking {
        #[serde(borrow, default)]
        thinking: Cow<'a, str>,
    },
    RedactedThinking {
        #[serde(borrow)]
        data: Cow<'a, str>,
    },
    ToolUse {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    #[serde(rename = "thinking_delta")]
    Thinking {
        #[serde(borrow)]
        thinking: Cow<'a, str>,
    },
    #[serde(rename = "signature_delta")]
    Signature {
        #[serde(borrow)]
        signature: Cow<'a, str>,
    },
    #[serde(rename = "input_json_delta")]
    InputJson {
        #[serde(borrow)]
        partial_json: Cow<'a, str>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Stop {
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

/// What an event leaves out stays as it was said before.
#[derive(Clone, Copy, Deserialize)]
struct UsageLine {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Answer {
    /// Puts one event into the draft; true if it was the last.
    pub(super) fn take(&mut self, data: &str, draft: &mut Draft) -> Result<bool, Trouble> {
        let event: Event<'_> = serde_json::from_str(data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is no event: {why}")))?;
        match event {
            Event::MessageStart { message } => count(draft, message.usage, true),
            Event::ContentBlockStart { index, content_block } => self.begin(index, &content_block, draft)?,
            Event::ContentBlockDelta { index, delta } => self.go_on(index, &delta, draft),
            Event::MessageDelta { delta, usage } => {
                if let Some(word) = &delta.stop_reason {
                    draft.stop(stop_reason(word, delta.stop_sequence));
                }
                count(draft, usage, false);
            }
            Event::MessageStop => return Ok(true),
            Event::Error { error } => {
                let complaint = Complaint::of(error);
                let retry = complaint.kind.as_deref() != Some("invalid_request_error");
                return Err(Trouble::Failed { retry, complaint });
            }
            Event::Unknown => {}
        }
        Ok(false)
    }

    fn begin(&mut self, index: u64, block: &Block<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        match block {
            Block::Text { text } => draft.text(text),
            Block::Thinking { thinking } => {
                draft.new_thought();
                draft.reasoning(thinking);
            }
            Block::RedactedThinking { data } => {
                draft.new_thought();
                draft.opaque(data.as_bytes());
            }
            Block::ToolUse { id, name } => {
                let call = draft.call(id, name).ok_or_else(|| Trouble::Garbage("too many tool calls".to_owned()))?;
                self.calls.push((index, call));
            }
            Block::Unknown => {}
        }
        Ok(())
    }

    fn go_on(&self, index: u64, delta: &Delta<'_>, draft: &mut Draft) {
        match delta {
            Delta::Text { text } => draft.text(text),
            Delta::Thinking { thinking } => draft.reasoning(thinking),
            Delta::Signature { signature } => draft.opaque(signature.as_bytes()),
            Delta::InputJson { partial_json } => {
                if let Some((_, call)) = self.calls.iter().find(|(block, _)| *block == index) {
                    draft.arguments(*call, partial_json);
                }
            }
            Delta::Unknown => {}
        }
    }
}

/// Until the last event says it, the count of the output may grow.
fn count(draft: &mut Draft, line: Option<UsageLine>, estimated: bool) {
    let Some(line) = line else { return };
    let said = draft.said();
    draft.usage(Usage {
        input_fresh: line.input_tokens.unwrap_or(said.input_fresh),
        cache_read: line.cache_read_input_tokens.unwrap_or(said.cache_read),
        cache_write: line.cache_creation_input_tokens.unwrap_or(said.cache_write),
        output: line.output_tokens.unwrap_or(said.output),
        reasoning: 0,
        estimated,
    });
}

fn stop_reason(word: &str, sequence: Option<String>) -> StopReason {
    match word {
        "end_turn" => StopReason::End,
        "max_tokens" => StopReason::MaxOutput,
        "stop_sequence" => StopReason::Sequence(sequence.unwrap_or_default()),
        "tool_use" => StopReason::ToolCalls,
        "refusal" => StopReason::Filtered,
        "model_context_window_exceeded" => StopReason::ContextFull,
        other => StopReason::Other(shorten(other, 64)),
    }
}
