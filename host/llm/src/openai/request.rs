//! The body of a chat completion. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Carried;
use crate::capabilities::{Capabilities, MaxTokens, Seed, Thinking, Thoughts, To};
use crate::history::{arguments_text, call_id};
use crate::media::{self, MediaKind};
use crate::wire::{data_url, object};
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, Message, OutputForm, Part, Request, ResultPart, Role, Tool, ToolChoice, ToolResult,
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random_seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a, FunctionOf<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Switch>,
}

/// DeepSeek's, and that of others who follow it.
#[derive(Serialize)]
struct Switch {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Default, Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
}

impl Turn<'_> {
    /// Puts back what the provider wants back, where it stood. `ids` are those of the calls as they came.
    fn carry(&mut self, carried: Carried, ids: &[&str]) {
        let Carried { call, extra_content, reasoning_details } = carried;
        self.reasoning_details = reasoning_details.or(self.reasoning_details.take());
        match call {
            None => self.extra_content = extra_content.or(self.extra_content.take()),
            Some(id) => {
                let calls = ids.iter().zip(&mut self.tool_calls).filter(|(known, _)| **known == id);
                calls.for_each(|(_, call)| call.extra_content.clone_from(&extra_content));
            }
        }
    }
}

#[derive(Default, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    #[default]
    Null,
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
    File { file: File },
    InputAudio { input_audio: Audio },
}

#[derive(Serialize)]
struct File {
    filename: &'static str,
    file_data: String,
}

#[derive(Serialize)]
struct Audio {
    data: String,
    format: &'static str,
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CallOf<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct CallOf<'a> {
    name: &'a str,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
struct Function<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    function: T,
}

#[derive(Serialize)]
struct FunctionOf<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named(Function<'a, Name<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema { json_schema: Schema<'a> },
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    schema: &'a RawValue,
}

fn function<T>(function: T) -> Function<'static, T> {
    Function { kind: "function", function }
}

/// The body. What a guest only hints at and this model does not take is left out.
///
/// # Errors
/// What in the request this model cannot be told, by its name; a sentence for the guest.
pub(super) fn body(to: &To<'_>, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    let takes = to.takes;
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        turns(to, message, &mut messages)?;
    }
    let tools = request.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    if !takes.stop && !request.stop.is_empty() {
        return Err("this model takes no `stop`: cut its answer yourself".to_owned());
    }
    let old_name = takes.max_tokens == MaxTokens::MaxTokens;
    // Some servers keep a seed in 32 bits, signed.
    let seed = request.seed.map(|seed| seed & 0x7fff_ffff);
    let thinks = if tools.is_empty() { None } else { takes.effort_with_tools.as_deref() };
    let body = Body {
        model: to.model,
        messages,
        stream: true,
        stream_options: takes.stream_options.then_some(StreamOptions { include_usage: true }),
        max_tokens: old_name.then_some(output_tokens_max),
        max_completion_tokens: (!old_name).then_some(output_tokens_max),
        temperature: request.temperature.filter(|_| takes.temperature).map(|value| value.min(takes.temperature_max)),
        top_p: request.top_p.filter(|_| takes.top_p),
        seed: seed.filter(|_| takes.seed == Seed::Plain),
        random_seed: seed.filter(|_| takes.seed == Seed::Random),
        stop: &request.stop,
        tool_choice: if tools.is_empty() { None } else { choice(&request.tool_choice) },
        tools,
        response_format: format(takes, &request.output)?,
        reasoning_effort: thinks.or_else(|| effort(takes, request.effort?)),
        thinking: request.effort.and_then(|effort| switch(takes, effort)),
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

/// One message is one turn, or several: each result of a tool is a turn of its own.
fn turns<'a>(to: &To<'_>, message: &'a Message, turns: &mut Vec<Turn<'a>>) -> Result<(), String> {
    let mut turn = Turn { role: role(message.role), ..Turn::default() };
    let (mut pieces, mut carried, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(text) => pieces.push(Piece::Text { text }),
            Part::Media(media) => pieces.push(piece(media)?),
            Part::Reasoning(thought) if thought.origin == to.origin => {
                carried.extend(Carried::of(thought));
                if to.takes.thoughts == Thoughts::ReasoningContent
                    && let Some(text) = &thought.text
                {
                    turn.reasoning_content.get_or_insert_default().push_str(text);
                }
            }
            // Another model's thoughts mean nothing to this one.
            Part::Reasoning(_) => {}
            Part::ToolCall(call) => {
                ids.push(call.id.as_str());
                turn.tool_calls.push(CallOut {
                    id: call_id(&call.id, to.takes.call_ids),
                    kind: "function",
                    function: CallOf { name: &call.name, arguments: arguments_text(&call.arguments_json) },
                    extra_content: None,
                });
            }
            Part::ToolResult(result) => turns.push(Turn {
                role: "tool",
                content: Content::Text(result_text(result)?),
                tool_call_id: Some(call_id(&result.call_id, to.takes.call_ids)),
                ..Turn::default()
            }),
        }
    }
    carried.into_iter().for_each(|carried| turn.carry(carried, &ids));
    turn.content = match pieces.as_slice() {
        [] => Content::Null,
        [Piece::Text { text }] => Content::Text(Cow::Borrowed(text)),
        _ => Content::Pieces(pieces),
    };
    if !matches!(turn.content, Content::Null) || !turn.tool_calls.is_empty() {
        turns.push(turn);
    }
    Ok(())
}

fn piece(media: &Media) -> Result<Piece<'_>, String> {
    Ok(match media::kind(media)? {
        MediaKind::Image => Piece::ImageUrl { image_url: ImageUrl { url: data_url(media) } },
        MediaKind::Pdf => {
            let file_data = format!("data:application/pdf;base64,{}", media::bytes(media)?);
            Piece::File { file: File { filename: "document.pdf", file_data } }
        }
        MediaKind::Audio(format) => Piece::InputAudio { input_audio: Audio { data: media::bytes(media)?, format } },
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

fn result_text(result: &ToolResult) -> Result<Cow<'_, str>, String> {
    let text = |part: &'_ ResultPart| match part {
        ResultPart::Text(text) | ResultPart::Json(text) => Ok(text.clone()),
        ResultPart::Media(_) => Err("this model takes no media in the result of a tool".to_owned()),
    };
    Ok(match result.parts.as_slice() {
        [ResultPart::Text(only) | ResultPart::Json(only)] if !result.failed => Cow::Borrowed(only.as_str()),
        parts => {
            let texts = parts.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n");
            // There is no field for it here.
            Cow::Owned(if result.failed { format!("error: {texts}") } else { texts })
        }
    })
}

fn tool(tool: &Tool) -> Result<Function<'_, FunctionOf<'_>>, String> {
    let parameters = object(&tool.schema_json, "the schema of a tool")?;
    Ok(function(FunctionOf { name: &tool.name, description: &tool.description, parameters }))
}

fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    match choice {
        ToolChoice::Automatic => None,
        ToolChoice::None => Some(Choice::Word("none")),
        ToolChoice::Required => Some(Choice::Word("required")),
        ToolChoice::Named(name) => Some(Choice::Named(function(Name { name }))),
    }
}

fn format<'a>(takes: &Capabilities, form: &'a OutputForm) -> Result<Option<Format<'a>>, String> {
    Ok(match form {
        OutputForm::Text => None,
        OutputForm::Json => Some(Format::JsonObject),
        OutputForm::Schema(schema) => {
            let schema = object(schema, "the schema of the answer")?;
            let strict = takes.strict_schema.then_some(true);
            Some(Format::JsonSchema { json_schema: Schema { name: "answer", strict, schema } })
        }
    })
}

fn effort(takes: &Capabilities, effort: Effort) -> Option<&str> {
    // Of a model that has a switch, the words are those of thinking that is on.
    if effort == Effort::Off && takes.thinking == Thinking::Toggle { None } else { takes.effort_word(effort) }
}

fn switch(takes: &Capabilities, effort: Effort) -> Option<Switch> {
    let kind = if effort == Effort::Off { "disabled" } else { "enabled" };
    (takes.thinking == Thinking::Toggle).then_some(Switch { kind })
}
