//! The body of a message. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, Message, OutputForm, Part, Reasoning, Request, ResultPart, Role, ToolChoice, ToolResult,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::capabilities::{Thinking as Form, ThinkingOff, To};
use crate::history::{arguments, call_id};
use crate::media::{self, MediaKind};
use crate::wire::{base64, object};

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
    Document { source: Source<'a> },
    Thinking { thinking: &'a str, signature: Cow<'a, str> },
    RedactedThinking { data: Cow<'a, str> },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Cow<'a, RawValue> },
    ToolResult { tool_use_id: Cow<'a, str>, is_error: bool, content: Vec<Block<'a>> },
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
    Adaptive,
    BetweenTools,
    Disabled,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { schema: &'a RawValue },
}

/// The body. What a guest only hints at and this model does not take is left out.
///
/// # Errors
/// What in the request this model cannot be told, by its name; a sentence for the guest.
pub(super) fn body(to: &To<'_>, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    let takes = to.takes;
    let (mut system, mut messages) = (Vec::new(), Vec::new());
    for message in &request.messages {
        let content = blocks(to, message)?;
        match message.role {
            Role::System => system.extend(content),
            _ if content.is_empty() => {}
            role => messages.push(Turn { role: if role == Role::Assistant { "assistant" } else { "user" }, content }),
        }
    }
    if !takes.prefill && messages.last().is_some_and(|turn| turn.role == "assistant") {
        return Err(
            "this model does not go on from an answer that was begun for it: end with a message of the user".to_owned()
        );
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
    let forced = !tools.is_empty() && matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    if forced && !takes.forced_tools {
        return Err("this model cannot be made to call a tool: leave `tool-choice` automatic".to_owned());
    }
    // No model thinks before a call that it is made to make.
    let hint = if forced { request.effort.map(|_| Effort::Off) } else { request.effort };
    let (thinking, effort) = hint.map_or((None, None), |hint| think(to, hint, output_tokens_max));
    let thinks = matches!(thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive));
    let temperature = request.temperature.filter(|_| takes.temperature && !thinks);
    let temperature = temperature.map(|value| value.min(takes.temperature_max));
    let body = Body {
        model: to.model,
        max_tokens: output_tokens_max,
        system,
        messages,
        stream: true,
        temperature,
        // Newer models take one of the two.
        top_p: request.top_p.filter(|_| takes.top_p && temperature.is_none() && !thinks),
        stop_sequences: &request.stop,
        tool_choice: if tools.is_empty() { None } else { choice(&request.tool_choice) },
        tools,
        thinking,
        output_config: output(effort, &request.output)?,
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

fn blocks<'a>(to: &To<'_>, message: &'a Message) -> Result<Vec<Block<'a>>, String> {
    let mut blocks = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        let kind = match part {
            // Empty texts are refused there.
            Part::Text(text) if text.is_empty() => continue,
            Part::Text(text) => Kind::Text { text },
            Part::Media(media) => file(media)?,
            Part::Reasoning(thought) => match thought_of(to, thought) {
                Some(kind) => kind,
                None => continue,
            },
            Part::ToolCall(call) => {
                let id = call_id(&call.id, to.takes.call_ids);
                Kind::ToolUse { id, name: &call.name, input: arguments(&call.arguments_json) }
            }
            Part::ToolResult(result) => self::result(to, result)?,
        };
        blocks.push(Block { kind, cache_control: None });
    }
    if message.cache
        && to.takes.cache_marks
        && let Some(last) = blocks.last_mut()
    {
        last.cache_control = Some(CacheControl::Ephemeral);
    }
    Ok(blocks)
}

/// A thought that this model had and signed; those of others mean nothing to it.
fn thought_of<'a>(to: &To<'_>, thought: &'a Reasoning) -> Option<Kind<'a>> {
    let opaque = thought.opaque.as_deref().filter(|_| thought.origin == to.origin)?;
    let opaque = String::from_utf8_lossy(opaque);
    // A thought that was left out is signed as well; one that was made unreadable has no text at all.
    Some(match &thought.text {
        Some(text) => Kind::Thinking { thinking: text, signature: opaque },
        None => Kind::RedactedThinking { data: opaque },
    })
}

fn result<'a>(to: &To<'_>, result: &'a ToolResult) -> Result<Kind<'a>, String> {
    let content = result.parts.iter().map(|part| {
        let kind = match part {
            ResultPart::Text(text) | ResultPart::Json(text) => Kind::Text { text },
            ResultPart::Media(media) => file(media)?,
        };
        Ok(Block { kind, cache_control: None })
    });
    let content = content.collect::<Result<_, String>>()?;
    Ok(Kind::ToolResult { tool_use_id: call_id(&result.call_id, to.takes.call_ids), is_error: result.failed, content })
}

fn file(media: &Media) -> Result<Kind<'_>, String> {
    let source = match &media.source {
        MediaSource::Bytes(bytes) => Source::Base64 { media_type: &media.mime, data: base64(bytes) },
        MediaSource::Url(url) => Source::Url { url },
    };
    match media::kind(media)? {
        MediaKind::Image => Ok(Kind::Image { source }),
        MediaKind::Pdf => Ok(Kind::Document { source }),
        MediaKind::Audio(_) => Err("this model takes no sound".to_owned()),
    }
}

fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    match choice {
        ToolChoice::Automatic => None,
        ToolChoice::None => Some(Choice::None),
        ToolChoice::Required => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool { name }),
    }
}

/// How the model is told to think, and its word for how long.
fn think<'a>(to: &To<'a>, effort: Effort, output_tokens_max: u64) -> (Option<Thinking>, Option<&'a str>) {
    let takes = to.takes;
    match (takes.thinking, effort, takes.thinking_off) {
        (Form::Budget, Effort::Off, ThinkingOff::Omit) => (None, None),
        (Form::Budget, _, _) => (Some(budget(effort, output_tokens_max)), None),
        (Form::Adaptive, Effort::Off, ThinkingOff::Disabled) => (Some(Thinking::Disabled), None),
        (Form::Adaptive, Effort::Off, ThinkingOff::BetweenTools) => (Some(Thinking::BetweenTools), None),
        (Form::Adaptive, Effort::Off, ThinkingOff::Omit) => (None, None),
        (Form::Adaptive, Effort::Off, ThinkingOff::Least) => (None, takes.effort_word(effort)),
        (Form::Adaptive, _, _) => (Some(Thinking::Adaptive), takes.effort_word(effort)),
        (Form::None | Form::Level | Form::Toggle, _, _) => (None, None),
    }
}

/// A part of the answer's length: thoughts count towards it. An answer too short to think in is given without.
fn budget(effort: Effort, output_tokens_max: u64) -> Thinking {
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

fn output<'a>(effort: Option<&'a str>, form: &'a OutputForm) -> Result<Option<OutputConfig<'a>>, String> {
    let format = match form {
        OutputForm::Text => None,
        OutputForm::Json => return Err("this model writes JSON only to a schema: use `schema`".to_owned()),
        OutputForm::Schema(schema) => Some(Format::JsonSchema { schema: object(schema, "the schema of the answer")? }),
    };
    Ok((effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format }))
}
