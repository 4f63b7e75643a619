//! The events of a streamed answer of Converse, or all of it at once, put into a draft.

use serde::Deserialize;

use crate::draft::{Counts, Draft};
use crate::loose::{self, Count, Loose, Written};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{self, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// What is known of the blocks that came, by the provider's numbers.
#[derive(Default)]
pub(crate) struct Answer {
    /// Which block is which of our calls.
    calls: Vec<(u64, usize)>,
    /// The thought at hand: thoughts are not announced, only numbered.
    thought: Option<u64>,
}

/// What an event says. Which of it is there depends on its type, and in an answer that comes whole it is all of the second half.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(default)]
    content_block_index: Count,
    #[serde(borrow, default)]
    start: Option<Block<'a>>,
    #[serde(borrow, default)]
    delta: Option<Block<'a>>,
    #[serde(borrow, default)]
    output: Option<Output<'a>>,
    #[serde(borrow, default)]
    stop_reason: Loose<'a>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
}

/// A block, or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Loose<'a>,
    #[serde(borrow, default)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Thought<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow, default)]
    tool_use_id: Loose<'a>,
    #[serde(borrow, default)]
    name: Loose<'a>,
    /// JSON in a whole answer, a piece of its text in a stream.
    #[serde(borrow, default)]
    input: Written<'a>,
}

/// A thought whole, or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow, default)]
    reasoning_text: Option<ThoughtText<'a>>,
    #[serde(borrow, default)]
    text: Loose<'a>,
    #[serde(borrow, default)]
    signature: Loose<'a>,
    #[serde(borrow, default)]
    redacted_content: Loose<'a>,
}

#[derive(Deserialize)]
struct ThoughtText<'a> {
    #[serde(borrow, default)]
    text: Loose<'a>,
    #[serde(borrow, default)]
    signature: Loose<'a>,
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
        let line: Line<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is none of Converse: {why}")))?;
        let at = line.content_block_index.0.unwrap_or_default();
        if let Some(call) = line.start.and_then(|start| start.tool_use) {
            self.begin(at, &call, draft)?;
        }
        if let Some(delta) = line.delta {
            self.go_on(at, &delta, draft);
        }
        let is_whole = line.output.is_some();
        let blocks = line.output.and_then(|output| output.message).and_then(|message| message.content);
        for (at, block) in (0..).zip(blocks.into_iter().flatten()) {
            self.whole(at, &block, draft)?;
        }
        if let Some(usage) = &line.usage {
            draft.usage(usage.into());
        }
        stop(line.stop_reason.text(), draft)?;
        // What an answer took is told behind why it ended.
        let is_last = is_whole || (line.usage.is_some() && draft.has_stopped());
        Ok(if is_last { Heard::Last } else { Heard::More })
    }
}

impl Answer {
    fn begin(&mut self, at: u64, call: &ToolUse<'_>, draft: &mut Draft) -> Result<usize, Trouble> {
        let index = draft.call(&call.tool_use_id.written(), &call.name.written())?;
        self.calls.push((at, index));
        Ok(index)
    }

    fn go_on(&mut self, at: u64, piece: &Block<'_>, draft: &mut Draft) {
        draft.text(piece.text.text());
        if let Some(more) = &piece.tool_use
            && let Some((_, call)) = self.calls.iter().rfind(|(block, _)| *block == at)
        {
            draft.arguments(*call, more.input.text());
        }
        if let Some(thought) = &piece.reasoning_content {
            let is_shown = thought.redacted_content.text().is_empty();
            if self.thought.replace(at) != Some(at) {
                draft.new_thought(is_shown);
            }
            draft.reasoning(thought.text.text());
            for opaque in [thought.signature.text(), thought.redacted_content.text()] {
                if !opaque.is_empty() {
                    draft.opaque(opaque.as_bytes());
                }
            }
        }
    }

    fn whole(&mut self, at: u64, block: &Block<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        match &block.reasoning_content {
            Some(Thought { reasoning_text: Some(shown), .. }) => {
                draft.new_thought(true);
                draft.reasoning(shown.text.text());
                if !shown.signature.text().is_empty() {
                    draft.opaque(shown.signature.text().as_bytes());
                }
            }
            Some(Thought { redacted_content, .. }) if !redacted_content.text().is_empty() => {
                draft.new_thought(false);
                draft.opaque(redacted_content.text().as_bytes());
            }
            Some(_) | None => {}
        }
        draft.text(block.text.text());
        if let Some(call) = &block.tool_use {
            let index = self.begin(at, call, draft)?;
            draft.arguments(index, call.input.text());
        }
        Ok(())
    }
}

fn stop(word: &str, draft: &mut Draft) -> Result<(), Trouble> {
    draft.stop(match word {
        word if trouble::is_no_reason(word) => return Ok(()),
        "end_turn" => StopReason::End,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" => StopReason::MaxOutput,
        "stop_sequence" => StopReason::Sequence(String::new()),
        "guardrail_intervened" | "content_filtered" => StopReason::Filtered,
        "model_context_window_exceeded" => StopReason::ContextFull,
        other => trouble::other_reason(other, "")?,
    });
    Ok(())
}

impl From<&UsageLine> for Counts {
    fn from(line: &UsageLine) -> Self {
        Self {
            input_fresh: line.input_tokens.0,
            cache_read: line.cache_read_input_tokens.0,
            cache_write: line.cache_write_input_tokens.0,
            output: line.output_tokens.0,
            reasoning: None,
        }
    }
}
