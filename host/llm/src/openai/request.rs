//! The body of a chat completion. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Carried, OpenAi, Whose};
use crate::wire::{data_url, image, object};
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Message, OutputForm, Part, Request, ResultPart, Role, Tool, ToolChoice, ToolResult,
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    stream: bool,
    stream_options: StreamOptions,
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a, FunctionOf<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
}

impl Turn<'_> {
    /// Puts back what the provider wants back, where it stood.
    fn carry(&mut self, carried: Carried) {
        let Carried { call, extra_content, reasoning_details } = carried;
        self.reasoning_details = reasoning_details.or(self.reasoning_details.take());
        match call {
            None => self.extra_content = extra_content.or(self.extra_content.take()),
            Some(id) => {
                let calls = self.tool_calls.iter_mut().filter(|call| call.id == id);
                calls.for_each(|call| call.extra_content.clone_from(&extra_content));
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
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    id: &'a str,
    #[serde(flatten)]
    call: Function<'a, CallOf<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct CallOf<'a> {
    name: &'a str,
    arguments: &'a str,
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
    strict: bool,
    schema: &'a RawValue,
}

fn function<T>(function: T) -> Function<'static, T> {
    Function { kind: "function", function }
}

/// The body.
///
/// # Errors
/// What in the request these servers cannot be told; a sentence for the guest.
pub(super) fn body(to: &OpenAi, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        turns(to, message, &mut messages)?;
    }
    let tools = request.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    let own = to.whose == Whose::OpenAi;
    let body = Body {
        model: &to.model,
        messages,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        // Compatible servers know only the old name; OpenAI refuses it for models that think.
        max_tokens: (!own).then_some(output_tokens_max),
        max_completion_tokens: own.then_some(output_tokens_max),
        temperature: request.temperature,
        top_p: request.top_p,
        // Some servers keep a seed in 32 bits, signed.
        seed: request.seed.map(|seed| seed & 0x7fff_ffff),
        stop: &request.stop,
        tool_choice: if tools.is_empty() { None } else { choice(&request.tool_choice) },
        tools,
        response_format: format(&request.output)?,
        reasoning_effort: request.effort.map(effort),
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

/// One message is one turn, or several: each result of a tool is a turn of its own.
fn turns<'a>(to: &OpenAi, message: &'a Message, turns: &mut Vec<Turn<'a>>) -> Result<(), String> {
    let mut turn = Turn { role: role(message.role), ..Turn::default() };
    let (mut pieces, mut carried) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text(text) => pieces.push(Piece::Text { text }),
            Part::Media(media) => {
                image(media)?;
                pieces.push(Piece::ImageUrl { image_url: ImageUrl { url: data_url(media) } });
            }
            Part::Reasoning(thought) if to.whose == Whose::Compatible && thought.origin == to.origin => {
                if let Some(text) = &thought.text {
                    turn.reasoning_content.get_or_insert_default().push_str(text);
                }
                carried.extend(Carried::of(thought));
            }
            // Another model's thoughts mean nothing to this one, and OpenAI takes none back here.
            Part::Reasoning(_) => {}
            Part::ToolCall(call) => {
                object(&call.arguments_json, "the arguments of a tool call")?;
                let call_of = CallOf { name: &call.name, arguments: &call.arguments_json };
                turn.tool_calls.push(CallOut { id: &call.id, call: function(call_of), extra_content: None });
            }
            Part::ToolResult(result) => turns.push(Turn {
                role: "tool",
                content: Content::Text(result_text(result)?),
                tool_call_id: Some(&result.call_id),
                ..Turn::default()
            }),
        }
    }
    carried.into_iter().for_each(|carried| turn.carry(carried));
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

fn format(form: &OutputForm) -> Result<Option<Format<'_>>, String> {
    Ok(match form {
        OutputForm::Text => None,
        OutputForm::Json => Some(Format::JsonObject),
        OutputForm::Schema(schema) => {
            let schema = object(schema, "the schema of the answer")?;
            Some(Format::JsonSchema { json_schema: Schema { name: "answer", strict: true, schema } })
        }
    })
}

fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Off => "none",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
    }
}
