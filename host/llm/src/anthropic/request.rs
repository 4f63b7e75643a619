//! The body of a message. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, Message, OutputForm, Part, Reasoning, Request, ResultPart, Role, ToolChoice, ToolResult,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Anthropic;
use crate::wire::{base64, image, object};

/// Marks of what to cache that one request may have.
const CACHE_MARKS_MAX: usize = 4;

/// The least that a model is let think, if it is let think at all.
const THINKING_TOKENS_MIN: u64 = 1024;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
struct Block<'a> {
    #[serde(flatten)]
    kind: Kind<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    Thinking { thinking: &'a str, signature: Cow<'a, str> },
    RedactedThinking { data: Cow<'a, str> },
    ToolUse { id: &'a str, name: &'a str, input: &'a RawValue },
    ToolResult { tool_use_id: &'a str, is_error: bool, content: Vec<Block<'a>> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: String },
    Url { url: &'a str },
}

#[derive(Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CacheControl {
    Ephemeral,
}

#[derive(Serialize)]
struct ToolOut<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a RawValue,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    None,
    Any,
    Tool { name: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled { budget_tokens: u64 },
    Disabled,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { schema: &'a RawValue },
}

/// The body.
///
/// # Errors
/// What in the request this provider cannot be told; a sentence for the guest.
pub(super) fn body(to: &Anthropic, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    let (mut system, mut messages) = (Vec::new(), Vec::new());
    for message in &request.messages {
        let content = blocks(to, message)?;
        match message.role {
            Role::System => system.extend(content),
            _ if content.is_empty() => {}
            role => messages.push(Turn { role: if role == Role::Assistant { "assistant" } else { "user" }, content }),
        }
    }
    let all = system.iter_mut().chain(messages.iter_mut().flat_map(|turn| &mut turn.content));
    // A mark caches all that stands before it, so of too many the last ones are worth most.
    all.rev()
        .filter(|block| block.cache_control.is_some())
        .skip(CACHE_MARKS_MAX)
        .for_each(|block| block.cache_control = None);
    let tools = request.tools.iter().map(|tool| {
        let input_schema = object(&tool.schema_json, "the schema of a tool")?;
        Ok(ToolOut { name: &tool.name, description: &tool.description, input_schema })
    });
    let tools: Vec<ToolOut<'_>> = tools.collect::<Result<_, String>>()?;
    let body = Body {
        model: &to.model,
        max_tokens: output_tokens_max,
        system,
        messages,
        stream: true,
        temperature: request.temperature,
        top_p: request.top_p,
        stop_sequences: &request.stop,
        tool_choice: if tools.is_empty() { None } else { choice(&request.tool_choice) },
        tools,
        thinking: request.effort.map(|effort| thinking(effort, output_tokens_max)),
        output_config: output(&request.output)?,
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

fn blocks<'a>(to: &Anthropic, message: &'a Message) -> Result<Vec<Block<'a>>, String> {
    let mut blocks = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        let kind = match part {
            // Empty texts are refused there.
            Part::Text(text) if text.is_empty() => continue,
            Part::Text(text) => Kind::Text { text },
            Part::Media(media) => Kind::Image { source: source(media)? },
            Part::Reasoning(thought) => match thought_of(to, thought) {
                Some(kind) => kind,
                None => continue,
            },
            Part::ToolCall(call) => {
                let input = object(&call.arguments_json, "the arguments of a tool call")?;
                Kind::ToolUse { id: &call.id, name: &call.name, input }
            }
            Part::ToolResult(result) => self::result(result)?,
        };
        blocks.push(Block { kind, cache_control: None });
    }
    if message.cache
        && let Some(last) = blocks.last_mut()
    {
        last.cache_control = Some(CacheControl::Ephemeral);
    }
    Ok(blocks)
}

/// A thought that this model had and signed; those of others mean nothing to it.
fn thought_of<'a>(to: &Anthropic, thought: &'a Reasoning) -> Option<Kind<'a>> {
    let opaque = thought.opaque.as_deref().filter(|_| thought.origin == to.origin)?;
    let opaque = String::from_utf8_lossy(opaque);
    Some(match &thought.text {
        Some(text) => Kind::Thinking { thinking: text, signature: opaque },
        None => Kind::RedactedThinking { data: opaque },
    })
}

fn result(result: &ToolResult) -> Result<Kind<'_>, String> {
    let content = result.parts.iter().map(|part| {
        let kind = match part {
            ResultPart::Text(text) | ResultPart::Json(text) => Kind::Text { text },
            ResultPart::Media(media) => Kind::Image { source: source(media)? },
        };
        Ok(Block { kind, cache_control: None })
    });
    let content = content.collect::<Result<_, String>>()?;
    Ok(Kind::ToolResult { tool_use_id: &result.call_id, is_error: result.failed, content })
}

fn source(media: &Media) -> Result<Source<'_>, String> {
    image(media)?;
    Ok(match &media.source {
        MediaSource::Bytes(bytes) => Source::Base64 { media_type: &media.mime, data: base64(bytes) },
        MediaSource::Url(url) => Source::Url { url },
    })
}

fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    match choice {
        ToolChoice::Automatic => None,
        ToolChoice::None => Some(Choice::None),
        ToolChoice::Required => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool { name }),
    }
}

/// A part of the answer's length: thoughts count towards it. An answer too short to think in is given without.
fn thinking(effort: Effort, output_tokens_max: u64) -> Thinking {
    let quarters = match effort {
        Effort::Off => return Thinking::Disabled,
        Effort::Low => 1,
        Effort::Medium => 2,
        Effort::High => 3,
    };
    if output_tokens_max <= THINKING_TOKENS_MIN {
        return Thinking::Disabled;
    }
    Thinking::Enabled { budget_tokens: (output_tokens_max / 4 * quarters).max(THINKING_TOKENS_MIN) }
}

fn output(form: &OutputForm) -> Result<Option<OutputConfig<'_>>, String> {
    match form {
        OutputForm::Text => Ok(None),
        OutputForm::Json => Err("this model writes JSON only to a schema: use `schema`".to_owned()),
        OutputForm::Schema(schema) => {
            let schema = object(schema, "the schema of the answer")?;
            Ok(Some(OutputConfig { format: Format::JsonSchema { schema } }))
        }
    }
}
