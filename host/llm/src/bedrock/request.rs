//! The body of a question to Converse. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::capabilities::{Thinking, ThinkingOff, To};
use crate::history::{arguments, call_id};
use crate::media::{self, MediaKind};
use crate::wire::object;
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, Message, OutputForm, Part, Reasoning, Request, ResultPart, Role, ToolChoice, ToolResult,
};

/// The least that a model is let think, if it is let think at all.
const THINKING_TOKENS_MIN: u64 = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Extra<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    max_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

/// Fields of the model's own interface.
#[derive(Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<ThinkingOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ThinkingOut {
    Enabled { budget_tokens: u64 },
    Adaptive,
    BetweenTools,
    Disabled,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    effort: &'a str,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Block<'a> {
    Text(&'a str),
    Image {
        format: &'a str,
        source: Source,
    },
    Document {
        format: &'static str,
        name: &'static str,
        source: Source,
    },
    #[serde(rename_all = "camelCase")]
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    #[serde(rename_all = "camelCase")]
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        status: &'static str,
    },
    ReasoningContent(Thought<'a>),
    #[serde(rename_all = "camelCase")]
    CachePoint {
        r#type: &'static str,
    },
}

#[derive(Serialize)]
struct Source {
    bytes: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Thought<'a> {
    ReasoningText { text: &'a str, signature: Cow<'a, str> },
    RedactedContent(Cow<'a, str>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolOut<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    json: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Choice<'a> {
    Any {},
    Tool { name: &'a str },
}

/// The body. What a guest only hints at and this model does not take is left out.
///
/// # Errors
/// What in the request this model cannot be told, by its name; a sentence for the guest.
pub(super) fn body(to: &To<'_>, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    let takes = to.takes;
    if request.output != OutputForm::Text {
        return Err("this interface takes no form of an answer but text: ask for JSON in words".to_owned());
    }
    let (mut system, mut messages) = (Vec::new(), Vec::new());
    for message in &request.messages {
        let content = blocks(to, message)?;
        match message.role {
            Role::System => system.extend(content),
            _ if content.is_empty() => {}
            role => messages.push(Turn { role: if role == Role::Assistant { "assistant" } else { "user" }, content }),
        }
    }
    let forced =
        !request.tools.is_empty() && matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    if forced && !takes.forced_tools {
        return Err("this model cannot be made to call a tool: leave `tool-choice` automatic".to_owned());
    }
    let hint = if forced { request.effort.map(|_| Effort::Off) } else { request.effort };
    let extra = hint.and_then(|hint| thinking(to, hint, output_tokens_max));
    let thinks = extra.as_ref().is_some_and(|extra| !matches!(extra.thinking, None | Some(ThinkingOut::Disabled)));
    let temperature = request.temperature.filter(|_| takes.temperature && !thinks);
    let body = Body {
        messages,
        system,
        inference_config: InferenceConfig {
            max_tokens: output_tokens_max,
            temperature: temperature.map(|value| value.min(takes.temperature_max)),
            // Newer models take one of the two.
            top_p: request.top_p.filter(|_| takes.top_p && temperature.is_none() && !thinks),
            stop_sequences: &request.stop,
        },
        tool_config: tools(request)?,
        additional_model_request_fields: extra,
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

fn blocks<'a>(to: &To<'_>, message: &'a Message) -> Result<Vec<Block<'a>>, String> {
    let mut blocks = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        blocks.push(match part {
            // Empty texts are refused there.
            Part::Text(text) if text.is_empty() => continue,
            Part::Text(text) => Block::Text(text),
            Part::Media(media) => file(media)?,
            Part::Reasoning(thought) => match thought_of(to, thought) {
                Some(thought) => Block::ReasoningContent(thought),
                None => continue,
            },
            Part::ToolCall(call) => {
                let tool_use_id = call_id(&call.id, to.takes.call_ids);
                Block::ToolUse { tool_use_id, name: &call.name, input: arguments(&call.arguments_json) }
            }
            Part::ToolResult(result) => self::result(to, result)?,
        });
    }
    if message.cache && to.takes.cache_marks && !blocks.is_empty() {
        blocks.push(Block::CachePoint { r#type: "default" });
    }
    Ok(blocks)
}

fn thought_of<'a>(to: &To<'_>, thought: &'a Reasoning) -> Option<Thought<'a>> {
    let opaque = thought.opaque.as_deref().filter(|_| thought.origin == to.origin)?;
    let opaque = String::from_utf8_lossy(opaque);
    Some(match &thought.text {
        Some(text) => Thought::ReasoningText { text, signature: opaque },
        None => Thought::RedactedContent(opaque),
    })
}

fn result<'a>(to: &To<'_>, result: &'a ToolResult) -> Result<Block<'a>, String> {
    let content = result.parts.iter().map(|part| match part {
        ResultPart::Text(text) | ResultPart::Json(text) => Ok(Block::Text(text)),
        ResultPart::Media(media) => file(media),
    });
    let status = if result.failed { "error" } else { "success" };
    let tool_use_id = call_id(&result.call_id, to.takes.call_ids);
    Ok(Block::ToolResult { tool_use_id, content: content.collect::<Result<_, String>>()?, status })
}

fn file(media: &Media) -> Result<Block<'_>, String> {
    let kind = media::kind(media)?;
    let source = Source { bytes: media::bytes(media)? };
    match kind {
        MediaKind::Image => Ok(Block::Image { format: media.mime.trim_start_matches("image/"), source }),
        MediaKind::Pdf => Ok(Block::Document { format: "pdf", name: "document", source }),
        MediaKind::Audio(_) => Err("this model takes no sound".to_owned()),
    }
}

fn tools(request: &Request) -> Result<Option<ToolConfig<'_>>, String> {
    if request.tools.is_empty() || request.tool_choice == ToolChoice::None {
        return Ok(None);
    }
    let tools = request.tools.iter().map(|tool| {
        let json = object(&tool.schema_json, "the schema of a tool")?;
        let input_schema = Schema { json };
        Ok(ToolOut { tool_spec: ToolSpec { name: &tool.name, description: &tool.description, input_schema } })
    });
    let tool_choice = match &request.tool_choice {
        ToolChoice::Automatic | ToolChoice::None => None,
        ToolChoice::Required => Some(Choice::Any {}),
        ToolChoice::Named(name) => Some(Choice::Tool { name }),
    };
    Ok(Some(ToolConfig { tools: tools.collect::<Result<_, String>>()?, tool_choice }))
}

/// Claude's ways to be told; others are told nothing.
fn thinking<'a>(to: &To<'a>, effort: Effort, output_tokens_max: u64) -> Option<Extra<'a>> {
    let takes = to.takes;
    let word = || takes.effort_word(effort).map(|effort| OutputConfig { effort });
    let only = |thinking| Extra { thinking: Some(thinking), output_config: None };
    let quarters = match effort {
        Effort::Off => 0,
        Effort::Low => 1,
        Effort::Medium => 2,
        Effort::High => 3,
    };
    match (takes.thinking, effort, takes.thinking_off) {
        (Thinking::Adaptive, Effort::Off, ThinkingOff::Disabled) => Some(only(ThinkingOut::Disabled)),
        (Thinking::Adaptive, Effort::Off, ThinkingOff::BetweenTools) => Some(only(ThinkingOut::BetweenTools)),
        (Thinking::Adaptive, Effort::Off, ThinkingOff::Least) => Some(Extra { thinking: None, output_config: word() }),
        (Thinking::Adaptive | Thinking::Budget, Effort::Off, _) => None,
        (Thinking::Adaptive, _, _) => Some(Extra { thinking: Some(ThinkingOut::Adaptive), output_config: word() }),
        (Thinking::Budget, _, _) if output_tokens_max > THINKING_TOKENS_MIN => {
            let budget_tokens = (output_tokens_max / 4 * quarters).max(THINKING_TOKENS_MIN);
            Some(only(ThinkingOut::Enabled { budget_tokens }))
        }
        (Thinking::None | Thinking::Budget | Thinking::Level | Thinking::Toggle, _, _) => None,
    }
}
