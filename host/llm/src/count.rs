//! An upper bound of a prompt's tokens, without a tokenizer. It must never be too small: budgets are held by it.
//!
//! Every tokenizer in use writes at least one byte a token, so bytes bound the text. What the provider wraps around it is
//! bounded by the constants here; each is well above what the providers' own documentation and servers show.

use agentry_abi::bindings::agentry::agent::llm::{
    Media, MediaSource, Message, OutputForm, Part, Request, ResultPart, Tool,
};

/// What begins and ends every prompt, and a system text that a template adds of its own.
pub const PROMPT_OVERHEAD_TOKENS: u64 = 128;
/// Role, separators and names around a message.
pub const MESSAGE_OVERHEAD_TOKENS: u64 = 16;
/// What wraps a part that is not text: a call, a result, a thought.
pub const PART_OVERHEAD_TOKENS: u64 = 32;
/// What a provider tells the model about tools as such.
pub const TOOLS_OVERHEAD_TOKENS: u64 = 1024;
/// What wraps one tool.
pub const TOOL_OVERHEAD_TOKENS: u64 = 64;
/// Schemas are rendered again, with white space.
const SCHEMA_FACTOR: u64 = 2;
/// A page of a document is read as its text and as an image of it. Packed text has at most so many tokens a byte, and pages are no shorter.
const PDF_TOKENS_A_BYTE: u64 = 8;
/// A document that is elsewhere: as many pages as a provider documents, each at its largest.
const PDF_ELSEWHERE_TOKENS: u64 = 600 * 8192;
/// One image at its finest: 2833 + 8 · 5667 tokens is the most that a provider documents.
pub const IMAGE_TOKENS_MAX: u64 = 49_152;

/// The most tokens that this request's prompt can be.
pub fn input_tokens_max(request: &Request) -> u64 {
    let mut sum = Sum(PROMPT_OVERHEAD_TOKENS);
    request.messages.iter().for_each(|message| sum.message(message));
    if !request.tools.is_empty() {
        sum.add(TOOLS_OVERHEAD_TOKENS);
        request.tools.iter().for_each(|tool| sum.tool(tool));
    }
    if let OutputForm::Schema(schema) = &request.output {
        sum.add(PART_OVERHEAD_TOKENS);
        sum.add(schema.len() as u64 * SCHEMA_FACTOR);
    }
    sum.0
}

struct Sum(u64);

impl Sum {
    fn add(&mut self, tokens: u64) {
        self.0 = self.0.saturating_add(tokens);
    }

    fn text(&mut self, text: &str) {
        self.add(text.len() as u64);
    }

    fn message(&mut self, message: &Message) {
        self.add(MESSAGE_OVERHEAD_TOKENS);
        message.parts.iter().for_each(|part| self.part(part));
    }

    fn part(&mut self, part: &Part) {
        self.add(PART_OVERHEAD_TOKENS);
        match part {
            Part::Text(text) => self.text(text),
            Part::Media(media) => self.media(media),
            Part::Reasoning(thought) => {
                self.text(thought.text.as_deref().unwrap_or_default());
                self.add(thought.opaque.as_ref().map_or(0, Vec::len) as u64);
            }
            Part::ToolCall(call) => {
                self.text(&call.id);
                self.text(&call.name);
                self.add(call.arguments_json.len() as u64 * SCHEMA_FACTOR);
            }
            Part::ToolResult(result) => {
                self.text(&result.call_id);
                result.parts.iter().for_each(|part| match part {
                    ResultPart::Text(text) => self.text(text),
                    ResultPart::Json(json) => self.add(json.len() as u64 * SCHEMA_FACTOR),
                    ResultPart::Media(media) => self.media(media),
                });
            }
        }
    }

    fn media(&mut self, media: &Media) {
        self.add(IMAGE_TOKENS_MAX);
        match &media.source {
            MediaSource::Bytes(bytes) if media.mime == "application/pdf" => {
                self.add((bytes.len() as u64).saturating_mul(PDF_TOKENS_A_BYTE));
            }
            // A second of sound has more bytes than it has tokens.
            MediaSource::Bytes(bytes) if media.mime.starts_with("audio/") => self.add(bytes.len() as u64),
            MediaSource::Bytes(_) => {}
            MediaSource::Url(url) => {
                self.text(url);
                if media.mime == "application/pdf" {
                    self.add(PDF_ELSEWHERE_TOKENS);
                }
            }
        }
    }

    fn tool(&mut self, tool: &Tool) {
        self.add(TOOL_OVERHEAD_TOKENS);
        self.text(&tool.name);
        self.text(&tool.description);
        self.add(tool.schema_json.len() as u64 * SCHEMA_FACTOR);
    }
}
