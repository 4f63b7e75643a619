//! The body of a question to Gemini. It borrows what the guest said and writes it once.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Signature;
use crate::capabilities::{Thinking, To};
use crate::history::arguments;
use crate::media;
use crate::wire::{base64, object};
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, Message, OutputForm, Part, Request, ResultPart, Role, ToolChoice, ToolResult,
};

/// Texts that end an answer, that one request may have.
const STOPS_MAX: usize = 5;

/// The least that a model which cannot stop thinking is let think.
const THINKING_TOKENS_MIN: u64 = 128;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<PartOut<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Inline<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileAt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<ResultOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: &'a str,
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileAt<'a> {
    mime_type: &'a str,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct CallOut<'a> {
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct ResultOut<'a> {
    name: &'a str,
    response: ResultBody,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ResultBody {
    Output(String),
    Error(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Function<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    max_output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'a str>,
    include_thoughts: bool,
}

/// The body. What a guest only hints at and this model does not take is left out.
///
/// # Errors
/// What in the request this model cannot be told, by its name; a sentence for the guest.
pub(super) fn body(to: &To<'_>, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
    if request.stop.len() > STOPS_MAX {
        return Err(format!("this model takes at most {STOPS_MAX} texts of `stop`"));
    }
    let takes = to.takes;
    let (mut system, mut contents): (Vec<PartOut<'_>>, Vec<Content<'_>>) = (Vec::new(), Vec::new());
    let mut names = HashMap::new();
    for message in &request.messages {
        let parts = parts(to, message, &mut names)?;
        match message.role {
            Role::System => system.extend(parts),
            _ if parts.is_empty() => {}
            role => {
                let role = if role == Role::Assistant { "model" } else { "user" };
                contents.push(Content { role: Some(role), parts });
            }
        }
    }
    let functions = request.tools.iter().map(|tool| {
        let parameters_json_schema = object(&tool.schema_json, "the schema of a tool")?;
        Ok(Function { name: &tool.name, description: &tool.description, parameters_json_schema })
    });
    let functions: Vec<Function<'_>> = functions.collect::<Result<_, String>>()?;
    let schema = match &request.output {
        OutputForm::Schema(schema) => Some(object(schema, "the schema of the answer")?),
        OutputForm::Text | OutputForm::Json => None,
    };
    let body = Body {
        contents,
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        tool_config: if functions.is_empty() { None } else { choice(&request.tool_choice) },
        tools: if functions.is_empty() { Vec::new() } else { vec![Tools { function_declarations: functions }] },
        generation_config: GenerationConfig {
            max_output_tokens: output_tokens_max,
            temperature: request.temperature.filter(|_| takes.temperature),
            top_p: request.top_p.filter(|_| takes.top_p),
            seed: request.seed.map(|seed| seed & 0x7fff_ffff),
            stop_sequences: &request.stop,
            response_mime_type: (request.output != OutputForm::Text).then_some("application/json"),
            response_json_schema: schema,
            thinking_config: request.effort.and_then(|effort| thinking(to, effort, output_tokens_max)),
        },
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

fn parts<'a>(
    to: &To<'_>,
    message: &'a Message,
    names: &mut HashMap<&'a str, &'a str>,
) -> Result<Vec<PartOut<'a>>, String> {
    let mut parts = Vec::with_capacity(message.parts.len());
    let mut signature = None;
    for part in &message.parts {
        match part {
            Part::Text(text) if text.is_empty() => {}
            Part::Text(text) => parts.push(PartOut { text: Some(text), ..PartOut::default() }),
            Part::Media(media) => parts.push(file(media)?),
            Part::Reasoning(thought) if thought.origin == to.origin => match Signature::of(thought) {
                Some(of_call) if of_call.of_call => signature = Some(of_call.thought_signature),
                // It came behind the text; a part without one holds it as well.
                Some(of_text) => {
                    let thought_signature = Some(of_text.thought_signature);
                    parts.push(PartOut { text: Some(""), thought_signature, ..PartOut::default() });
                }
                None => {}
            },
            // Another model's thoughts mean nothing to this one.
            Part::Reasoning(_) => {}
            Part::ToolCall(call) => {
                names.insert(&call.id, &call.name);
                let function_call = Some(CallOut { name: &call.name, args: arguments(&call.arguments_json) });
                parts.push(PartOut { function_call, thought_signature: signature.take(), ..PartOut::default() });
            }
            Part::ToolResult(result) => {
                let name = names.get(&*result.call_id).copied();
                let name = name.ok_or_else(|| "a tool result answers no call of this conversation".to_owned())?;
                let function_response = Some(ResultOut { name, response: result_body(result)? });
                parts.push(PartOut { function_response, ..PartOut::default() });
            }
        }
    }
    Ok(parts)
}

fn file(media: &Media) -> Result<PartOut<'_>, String> {
    media::kind(media)?;
    Ok(match &media.source {
        MediaSource::Bytes(bytes) => {
            let inline_data = Some(Inline { mime_type: &media.mime, data: base64(bytes) });
            PartOut { inline_data, ..PartOut::default() }
        }
        MediaSource::Url(url) => {
            let file_data = Some(FileAt { mime_type: &media.mime, file_uri: url });
            PartOut { file_data, ..PartOut::default() }
        }
    })
}

fn result_body(result: &ToolResult) -> Result<ResultBody, String> {
    let texts = result.parts.iter().map(|part| match part {
        ResultPart::Text(text) | ResultPart::Json(text) => Ok(text.as_str()),
        ResultPart::Media(_) => Err("this model takes no media in the result of a tool".to_owned()),
    });
    let text = texts.collect::<Result<Vec<_>, _>>()?.join("\n");
    Ok(if result.failed { ResultBody::Error(text) } else { ResultBody::Output(text) })
}

fn choice(choice: &ToolChoice) -> Option<ToolConfig<'_>> {
    let (mode, names) = match choice {
        ToolChoice::Automatic => return None,
        ToolChoice::None => ("NONE", Vec::new()),
        ToolChoice::Required => ("ANY", Vec::new()),
        ToolChoice::Named(name) => ("ANY", vec![name.as_str()]),
    };
    Some(ToolConfig { function_calling_config: CallingConfig { mode, allowed_function_names: names } })
}

/// Newer models have levels, older ones a budget within the answer's length.
fn thinking<'a>(to: &To<'a>, effort: Effort, output_tokens_max: u64) -> Option<ThinkingConfig<'a>> {
    let include_thoughts = effort != Effort::Off;
    match to.takes.thinking {
        Thinking::Level => {
            let thinking_level = Some(to.takes.effort_word(effort)?);
            Some(ThinkingConfig { thinking_budget: None, thinking_level, include_thoughts })
        }
        Thinking::Budget => {
            let quarters = match effort {
                Effort::Off => 0,
                Effort::Low => 1,
                Effort::Medium => 2,
                Effort::High => 3,
            };
            let can_stop = to.takes.effort.iter().any(|word| word == "none");
            let least = if can_stop && effort == Effort::Off { 0 } else { THINKING_TOKENS_MIN };
            // The longest that any of them is let think.
            let budget = (output_tokens_max / 4 * quarters).clamp(least, 24_576);
            Some(ThinkingConfig { thinking_budget: Some(budget), thinking_level: None, include_thoughts })
        }
        Thinking::None | Thinking::Adaptive | Thinking::Toggle => None,
    }
}
