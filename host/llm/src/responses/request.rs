//! The body of a question for a response. It borrows what the guest said and writes it once.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::capabilities::To;
use crate::history::{arguments_text, call_id};
use crate::media::{self, MediaKind};
use crate::wire::{data_url, object};
use agentry_abi::bindings::agentry::agent::llm::{
    Media, Message, OutputForm, Part, Request, ResultPart, Role, ToolChoice, ToolResult,
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    stream: bool,
    store: bool,
    max_output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    /// A thought as it came, byte for byte.
    Thought(&'a RawValue),
    Known(Known<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known<'a> {
    Message { role: &'static str, content: Vec<Piece<'a>> },
    FunctionCall { call_id: Cow<'a, str>, name: &'a str, arguments: Cow<'a, str> },
    FunctionCallOutput { call_id: Cow<'a, str>, output: Output<'a> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(String),
    Pieces(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    InputText { text: Cow<'a, str> },
    OutputText { text: &'a str },
    InputImage { image_url: Cow<'a, str> },
    InputFile { filename: &'static str, file_data: String },
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema {
        name: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        schema: &'a RawValue,
    },
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    summary: &'static str,
}

/// The body. What a guest only hints at and this model does not take is left out.
///
/// # Errors
/// What in the request this model cannot be told, by its name; a sentence for the guest.
pub(super) fn body(to: &To<'_>, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    if !request.stop.is_empty() {
        return Err("this model takes no `stop`: cut its answer yourself".to_owned());
    }
    let takes = to.takes;
    let mut input = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        items(to, message, &mut input)?;
    }
    let tools = request.tools.iter().map(|tool| {
        let parameters = object(&tool.schema_json, "the schema of a tool")?;
        // Strict would want schemas in which everything is required, which guests' are not.
        Ok(Tool { kind: "function", name: &tool.name, description: &tool.description, parameters, strict: false })
    });
    let tools: Vec<Tool<'_>> = tools.collect::<Result<_, String>>()?;
    // Models that take no words for it do not think.
    let thinks = !takes.effort.is_empty();
    let effort = request.effort.and_then(|effort| takes.effort_word(effort));
    let body = Body {
        model: to.model,
        input,
        stream: true,
        store: false,
        max_output_tokens: output_tokens_max,
        temperature: request.temperature.filter(|_| takes.temperature),
        top_p: request.top_p.filter(|_| takes.top_p),
        tool_choice: if tools.is_empty() { None } else { choice(&request.tool_choice) },
        tools,
        text: format(to, &request.output)?.map(|format| Text { format }),
        reasoning: thinks.then_some(Reasoning { effort, summary: "auto" }),
        include: if thinks { vec!["reasoning.encrypted_content"] } else { Vec::new() },
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

/// One message is one item, or several: calls, their results and thoughts are items of their own, in their order.
fn items<'a>(to: &To<'_>, message: &'a Message, items: &mut Vec<Item<'a>>) -> Result<(), String> {
    let role = match message.role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut pieces = Vec::new();
    let say = |pieces: &mut Vec<Piece<'a>>, items: &mut Vec<Item<'a>>| {
        if !pieces.is_empty() {
            items.push(Item::Known(Known::Message { role, content: std::mem::take(pieces) }));
        }
    };
    for part in &message.parts {
        match part {
            Part::Text(text) if message.role == Role::Assistant => pieces.push(Piece::OutputText { text }),
            Part::Text(text) => pieces.push(Piece::InputText { text: Cow::Borrowed(text) }),
            Part::Media(media) => pieces.push(piece(media)?),
            Part::Reasoning(thought) if thought.origin == to.origin => {
                let opaque =
                    thought.opaque.as_deref().and_then(|opaque| serde_json::from_slice::<&RawValue>(opaque).ok());
                if let Some(item) = opaque.filter(|item| item.get().starts_with('{')) {
                    say(&mut pieces, items);
                    items.push(Item::Thought(item));
                }
            }
            // Another model's thoughts mean nothing to this one.
            Part::Reasoning(_) => {}
            Part::ToolCall(call) => {
                say(&mut pieces, items);
                items.push(Item::Known(Known::FunctionCall {
                    call_id: call_id(&call.id, to.takes.call_ids),
                    name: &call.name,
                    arguments: arguments_text(&call.arguments_json),
                }));
            }
            Part::ToolResult(result) => {
                say(&mut pieces, items);
                let call_id = call_id(&result.call_id, to.takes.call_ids);
                items.push(Item::Known(Known::FunctionCallOutput { call_id, output: output(result)? }));
            }
        }
    }
    say(&mut pieces, items);
    Ok(())
}

fn piece(media: &Media) -> Result<Piece<'_>, String> {
    match media::kind(media)? {
        MediaKind::Image => Ok(Piece::InputImage { image_url: data_url(media) }),
        MediaKind::Pdf => {
            let file_data = format!("data:application/pdf;base64,{}", media::bytes(media)?);
            Ok(Piece::InputFile { filename: "document.pdf", file_data })
        }
        MediaKind::Audio(_) => Err("this model takes no sound".to_owned()),
    }
}

fn output(result: &ToolResult) -> Result<Output<'_>, String> {
    let media = |part: &ResultPart| matches!(part, ResultPart::Media(_));
    if !result.parts.iter().any(media) {
        let texts = result.parts.iter().map(|part| match part {
            ResultPart::Text(text) | ResultPart::Json(text) => text.as_str(),
            ResultPart::Media(_) => "",
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        // There is no field for it here.
        return Ok(Output::Text(if result.failed { format!("error: {text}") } else { text }));
    }
    let failed = result.failed.then_some(Ok(Piece::InputText { text: Cow::Borrowed("error:") }));
    let pieces = result.parts.iter().map(|part| match part {
        ResultPart::Text(text) | ResultPart::Json(text) => Ok(Piece::InputText { text: Cow::Borrowed(text) }),
        ResultPart::Media(media) => piece(media),
    });
    Ok(Output::Pieces(failed.into_iter().chain(pieces).collect::<Result<_, String>>()?))
}

fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    match choice {
        ToolChoice::Automatic => None,
        ToolChoice::None => Some(Choice::Word("none")),
        ToolChoice::Required => Some(Choice::Word("required")),
        ToolChoice::Named(name) => Some(Choice::Named { kind: "function", name }),
    }
}

fn format<'a>(to: &To<'_>, form: &'a OutputForm) -> Result<Option<Format<'a>>, String> {
    Ok(match form {
        OutputForm::Text => None,
        OutputForm::Json => Some(Format::JsonObject),
        OutputForm::Schema(schema) => {
            let strict = to.takes.strict_schema.then_some(true);
            Some(Format::JsonSchema { name: "answer", strict, schema: object(schema, "the schema of the answer")? })
        }
    })
}
