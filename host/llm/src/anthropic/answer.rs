//! The events of a streamed message, or all of it at once, put into a draft.

use serde::Deserialize;

use crate::draft::{Counts, Draft};
use crate::loose::{self, Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event as Frame;
use crate::trouble::{self, Complaint, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// Which of the provider's blocks is which of our calls.
#[derive(Default)]
pub(crate) struct Answer {
    calls: Vec<(u64, usize)>,
    /// Arguments that came whole at the beginning of a block: pieces of the same may follow, and count instead.
    early: Option<(usize, String)>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart {
        #[serde(default, deserialize_with = "loose::if_it_is_one")]
        message: Option<Start>,
    },
    ContentBlockStart {
        #[serde(default)]
        index: Count,
        #[serde(borrow, default)]
        content_block: Option<Block<'a>>,
    },
    ContentBlockDelta {
        #[serde(default)]
        index: Count,
        #[serde(borrow, default)]
        delta: Option<Delta<'a>>,
    },
    MessageDelta {
        #[serde(borrow, default)]
        delta: Option<Stop<'a>>,
        #[serde(default, deserialize_with = "loose::if_it_is_one")]
        usage: Option<UsageLine>,
    },
    ContentBlockStop {},
    MessageStop,
    /// All of it, from a server that does not stream.
    Message {
        #[serde(borrow, default)]
        content: Option<Contents<'a>>,
        #[serde(borrow, default)]
        stop_reason: Loose<'a>,
        #[serde(borrow, default)]
        stop_sequence: Loose<'a>,
        #[serde(default, deserialize_with = "loose::if_it_is_one")]
        usage: Option<UsageLine>,
    },
    Error {
        #[serde(default)]
        error: serde_json::Value,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Contents<'a> {
    Blocks(#[serde(borrow)] Vec<Block<'a>>),
    Text(#[serde(borrow)] Loose<'a>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        #[serde(borrow, default)]
        text: Loose<'a>,
    },
    Thinking {
        #[serde(borrow, default)]
        thinking: Loose<'a>,
        #[serde(borrow, default)]
        signature: Loose<'a>,
    },
    RedactedThinking {
        #[serde(borrow, default)]
        data: Loose<'a>,
    },
    ToolUse {
        #[serde(borrow, default)]
        id: Loose<'a>,
        #[serde(borrow, default)]
        name: Loose<'a>,
        #[serde(borrow, default)]
        input: Loose<'a>,
    },
    #[serde(other)]
    Unknown,
}

/// A piece of a block. Where it has no type, what stands in it says what it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow)]
    text: Loose<'a>,
    #[serde(borrow)]
    thinking: Loose<'a>,
    #[serde(borrow)]
    signature: Loose<'a>,
    #[serde(borrow)]
    partial_json: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stop<'a> {
    #[serde(borrow)]
    stop_reason: Loose<'a>,
    #[serde(borrow)]
    stop_sequence: Loose<'a>,
}

/// What an event leaves out stays as it was said before.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct UsageLine {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, frame: &Frame, draft: &mut Draft) -> Result<Heard, Trouble> {
        let named = with_type(frame);
        let event: Event<'_> = serde_json::from_str(named.as_deref().unwrap_or(&frame.data))
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is no event: {why}")))?;
        if !matches!(event, Event::ContentBlockDelta { .. } | Event::Unknown) {
            self.end_early(draft);
        }
        match event {
            Event::MessageStart { message } => count(draft, message.and_then(|message| message.usage)),
            Event::ContentBlockStart { index, content_block } => {
                if let Some(block) = content_block {
                    self.begin(index.0.unwrap_or_default(), &block, draft)?;
                }
            }
            Event::ContentBlockDelta { index, delta } => {
                if let Some(delta) = delta {
                    self.go_on(index.0.unwrap_or_default(), &delta, draft);
                }
            }
            Event::MessageDelta { delta, usage } => {
                let Stop { stop_reason, stop_sequence } = delta.unwrap_or_default();
                count(draft, usage);
                stop(draft, &stop_reason, &stop_sequence)?;
            }
            Event::MessageStop => return Ok(Heard::Last),
            Event::ContentBlockStop {} => {}
            Event::Message { content, stop_reason, stop_sequence, usage } => {
                match content {
                    Some(Contents::Blocks(blocks)) => {
                        blocks.iter().try_for_each(|block| self.begin(0, block, draft))?;
                    }
                    Some(Contents::Text(text)) => draft.text(text.text()),
                    None => {}
                }
                self.end_early(draft);
                count(draft, usage);
                stop(draft, &stop_reason, &stop_sequence)?;
                return Ok(Heard::Last);
            }
            Event::Error { error } => return Err(Trouble::Failed(Box::new(Complaint::of(&error)))),
            Event::Unknown => {}
        }
        Ok(Heard::More)
    }

    fn end(&mut self, draft: &mut Draft) -> Result<(), Trouble> {
        self.end_early(draft);
        Ok(())
    }
}

impl Answer {
    /// No pieces followed what came whole.
    fn end_early(&mut self, draft: &mut Draft) {
        if let Some((call, input)) = self.early.take() {
            draft.arguments(call, &input);
        }
    }

    fn begin(&mut self, index: u64, block: &Block<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        match block {
            Block::Text { text } => draft.text(text.text()),
            Block::Thinking { thinking, signature } => {
                draft.new_thought(true);
                draft.reasoning(thinking.text());
                sign(draft, signature);
            }
            Block::RedactedThinking { data } => {
                draft.new_thought(false);
                draft.opaque(data.text().as_bytes());
            }
            Block::ToolUse { id, name, input } => {
                let call = draft.call(&id.written(), &name.written())?;
                // Some give the whole input here, some pieces of it behind an empty one, and some both.
                let input = input.written();
                self.end_early(draft);
                self.early = Some((call, input.into_owned())).filter(|(_, input)| !is_empty(input));
                self.calls.push((index, call));
            }
            Block::Unknown => {}
        }
        Ok(())
    }

    fn go_on(&mut self, index: u64, delta: &Delta<'_>, draft: &mut Draft) {
        let is = |kind: &str| delta.kind.text() == kind || delta.kind == Loose::Nothing;
        if is("text_delta") {
            draft.text(delta.text.text());
        }
        if is("thinking_delta") {
            draft.reasoning(delta.thinking.text());
        }
        if is("signature_delta") {
            sign(draft, &delta.signature);
        }
        let piece = delta.partial_json.written();
        // Where all blocks have the same number, the last one is meant.
        let call = self.calls.iter().rfind(|(block, _)| *block == index).map(|(_, call)| *call);
        if let Some(call) = call.filter(|_| is("input_json_delta") && !piece.is_empty()) {
            self.early = self.early.take().filter(|(early, _)| *early != call);
            draft.arguments(call, &piece);
        }
    }
}

/// Some say what an event is in its name alone.
fn with_type(frame: &Frame) -> Option<String> {
    // Mostly it stands at the beginning, and the event is read once.
    if frame.name.is_empty() || frame.data.starts_with("{\"type\"") {
        return None;
    }
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&frame.data).ok()?;
    if fields.contains_key("type") {
        return None;
    }
    fields.insert("type".to_owned(), frame.name.as_str().into());
    serde_json::to_string(&fields).ok()
}

fn sign(draft: &mut Draft, signature: &Loose<'_>) {
    if !signature.text().is_empty() {
        draft.opaque(signature.text().as_bytes());
    }
}

fn is_empty(input: &str) -> bool {
    ["", "{}", "null"].contains(&input.trim())
}

fn count(draft: &mut Draft, line: Option<UsageLine>) {
    let line = line.unwrap_or_default();
    draft.usage(Counts {
        input_fresh: line.input_tokens.0,
        cache_read: line.cache_read_input_tokens.0,
        cache_write: line.cache_creation_input_tokens.0,
        output: line.output_tokens.0,
        reasoning: None,
    });
}

fn stop(draft: &mut Draft, word: &Loose<'_>, sequence: &Loose<'_>) -> Result<(), Trouble> {
    draft.stop(match word.text() {
        word if trouble::is_no_reason(word) => return Ok(()),
        "end_turn" | "stop" => StopReason::End,
        "max_tokens" | "length" => StopReason::MaxOutput,
        "stop_sequence" => StopReason::Sequence(sequence.text().to_owned()),
        "tool_use" | "tool_calls" => StopReason::ToolCalls,
        "refusal" | "content_filter" => StopReason::Filtered,
        "model_context_window_exceeded" => StopReason::ContextFull,
        word => trouble::other_reason(word, "")?,
    });
    Ok(())
}
