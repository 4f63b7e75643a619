//! Ollama's own interface: the window that a model is loaded with, how long it stays in memory, and thinking, which its chat completions
//! do not have. It decides nothing.
//!
//! Source: Ollama documentation, "API", `POST /api/chat`, "Thinking", "Structured outputs".

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::capabilities::{Thinking, To};
use super::draft::{Counts, Draft};
use super::history::arguments;
use super::loose::{Count, Loose, Written};
use super::media::{self, MediaKind};
use super::remote::{self, Dialect, Heard};
use super::sse::Event;
use super::target::Target;
use super::trouble::{self, Trouble};
use super::wire::object;
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Message, OutputForm, Part, Request, ResultPart, Role, StopReason, ToolChoice, ToolResult,
};

/// A model behind Ollama's chat.
pub(crate) struct Ollama {
    pub(super) target: Target,
    /// The window that it is loaded with; without one Ollama takes a small one and forgets the beginning.
    pub(super) context_tokens: u64,
}

impl Dialect for Ollama {
    type Answer = Answer;

    fn target(&self) -> &Target {
        &self.target
    }

    fn body(&self, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String> {
        self.target.body(|to| body(to, request, output_tokens_max, self.context_tokens))
    }

    fn answer(&self) -> Answer {
        Answer
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think<'a>>,
    options: Options<'a>,
}

#[derive(Serialize)]
struct Options<'a> {
    num_ctx: u64,
    num_predict: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Word(&'static str),
    Schema(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think<'a> {
    Switch(bool),
    Level(&'a str),
}

#[derive(Default, Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    function: CallOf<'a>,
}

#[derive(Serialize)]
struct CallOf<'a> {
    name: &'a str,
    arguments: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

fn body(to: &To<'_>, request: &Request, output_tokens_max: u64, context_tokens: u64) -> Result<Vec<u8>, String> {
    if matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) && !request.tools.is_empty() {
        return Err("this model cannot be made to call a tool: leave `tool-choice` automatic".to_owned());
    }
    let mut messages = Vec::with_capacity(request.messages.len());
    let mut names = HashMap::new();
    for message in &request.messages {
        turns(to, message, &mut names, &mut messages)?;
    }
    // To call none it is told of none.
    let told = if request.tool_choice == ToolChoice::None { &[][..] } else { &request.tools[..] };
    let tools = told.iter().map(|tool| {
        let parameters = object(&tool.schema_json, "the schema of a tool")?;
        let function = Function { name: &tool.name, description: &tool.description, parameters };
        Ok(Tool { kind: "function", function })
    });
    let format = match &request.output {
        OutputForm::Text => None,
        OutputForm::Json => Some(Format::Word("json")),
        OutputForm::Schema(schema) => Some(Format::Schema(object(schema, "the schema of the answer")?)),
    };
    let takes = to.takes;
    let body = Body {
        model: to.model,
        messages,
        stream: true,
        tools: tools.collect::<Result<_, String>>()?,
        format,
        think: request.effort.and_then(|effort| think(to, effort)),
        options: Options {
            num_ctx: context_tokens,
            num_predict: output_tokens_max,
            temperature: request.temperature.filter(|_| takes.temperature),
            top_p: request.top_p.filter(|_| takes.top_p),
            seed: request.seed.map(|seed| seed & 0x7fff_ffff),
            stop: &request.stop,
        },
    };
    serde_json::to_vec(&body).map_err(|why| why.to_string())
}

/// Models whose thinking has levels take their names, all others a switch.
fn think<'a>(to: &To<'a>, effort: Effort) -> Option<Think<'a>> {
    if to.takes.effort.is_empty() {
        return None;
    }
    match to.takes.thinking {
        Thinking::Level => to.takes.effort_word(effort).map(Think::Level),
        Thinking::None | Thinking::Budget | Thinking::Adaptive | Thinking::Toggle => {
            Some(Think::Switch(effort != Effort::Off))
        }
    }
}

fn turns<'a>(
    to: &To<'_>,
    message: &'a Message,
    names: &mut HashMap<&'a str, &'a str>,
    turns: &mut Vec<Turn<'a>>,
) -> Result<(), String> {
    let role = match message.role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut turn = Turn { role, ..Turn::default() };
    for part in &message.parts {
        match part {
            Part::Text(text) if turn.content.is_empty() => turn.content = Cow::Borrowed(text),
            Part::Text(text) => turn.content.to_mut().push_str(&format!("\n{text}")),
            Part::Media(media) => match media::kind(media)? {
                MediaKind::Image => turn.images.push(media::bytes(media)?),
                MediaKind::Pdf | MediaKind::Audio(_) => return Err("this model takes no media but images".to_owned()),
            },
            Part::Reasoning(thought) if thought.origin == to.origin => {
                turn.thinking.get_or_insert_default().push_str(thought.text.as_deref().unwrap_or_default());
            }
            // Another model's thoughts mean nothing to this one.
            Part::Reasoning(_) => {}
            Part::ToolCall(call) => {
                names.insert(&call.id, &call.name);
                let function = CallOf { name: &call.name, arguments: arguments(&call.arguments_json) };
                turn.tool_calls.push(CallOut { function });
            }
            Part::ToolResult(result) => turns.push(Turn {
                role: "tool",
                content: Cow::Owned(result_text(result)?),
                tool_name: names.get(&*result.call_id).copied(),
                ..Turn::default()
            }),
        }
    }
    if !turn.content.is_empty() || !turn.images.is_empty() || !turn.tool_calls.is_empty() {
        turns.push(turn);
    }
    Ok(())
}

fn result_text(result: &ToolResult) -> Result<String, String> {
    let texts = result.parts.iter().map(|part| match part {
        ResultPart::Text(text) | ResultPart::Json(text) => Ok(text.as_str()),
        ResultPart::Media(_) => Err("this model takes no media in the result of a tool".to_owned()),
    });
    let text = texts.collect::<Result<Vec<_>, _>>()?.join("\n");
    Ok(if result.failed { format!("error: {text}") } else { text })
}

/// Nothing has to be kept from one line to the next.
pub(crate) struct Answer;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(default)]
    done: Value,
    #[serde(borrow, default)]
    done_reason: Loose<'a>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Loose<'a>,
    #[serde(borrow, default)]
    thinking: Loose<'a>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<CallLine<'a>>>,
}

#[derive(Deserialize)]
struct CallLine<'a> {
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow)]
    function: FunctionLine<'a>,
}

#[derive(Deserialize)]
struct FunctionLine<'a> {
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    arguments: Written<'a>,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let line: Line<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is no message: {why}")))?;
        if let Some(said) = line.message {
            draft.reasoning(said.thinking.text());
            draft.text(said.content.text());
            for call in said.tool_calls.into_iter().flatten() {
                let index = draft.call(&call.id.written(), &call.function.name.written())?;
                draft.arguments(index, call.function.arguments.text());
            }
        }
        draft.usage(Counts { input_fresh: line.prompt_eval_count.0, output: line.eval_count.0, ..Counts::default() });
        if line.done != true {
            return Ok(Heard::More);
        }
        draft.stop(match line.done_reason.text() {
            "" | "stop" => StopReason::End,
            "length" => StopReason::MaxOutput,
            // The model was put into memory or taken out of it, and asked nothing.
            word @ ("load" | "unload") => return Err(trouble::broken_off(word, "")),
            other => trouble::other_reason(other, "")?,
        });
        Ok(Heard::Last)
    }
}
