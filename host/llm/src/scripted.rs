//! A provider that answers from a file, for tests of everything around a model. It never guesses: what the script does not say is an error.
//!
//! # The script
//!
//! JSON lines; empty lines and lines that begin with `#` are skipped. Each line is one answer; answers are given in the order of the file, each
//! once. When they have run out, every further call is `unavailable`. A first line with `script` sets up the model:
//!
//! ```json
//! {"script": 1, "repeat": true, "slots": 4, "context_tokens": 8192, "max_output_tokens": 1024,
//!  "price": {"input": 1000000, "output": 2000000, "cache_read": 0, "cache_write": 0}}
//! ```
//!
//! All of its fields but `script` are optional. `repeat` begins again at the top when the answers have run out; a script without
//! `price` costs nothing, and `"price": null` is a model whose price nobody knows.
//!
//! An answer has any of these:
//!
//! | field | meaning |
//! |---|---|
//! | `text` | what it says, in one piece |
//! | `chunks` | what it says, in these pieces (instead of `text`) |
//! | `reasoning` | what it thinks before |
//! | `tool_calls` | `[{"name": "weather", "arguments": {"city": "Bern"}, "id": "call-1"}]`; `id` is optional |
//! | `stop` | `end`, `max-output`, `tool-calls`, `filtered`, `context-full`, or any other word; the default fits the answer |
//! | `usage` | `{"input_fresh": 10, "cache_read": 0, "cache_write": 0, "output": 5, "reasoning": 0}`; counted in bytes if absent |
//! | `delay_ms` | how long it waits before each piece, and before it ends |
//! | `error` | `{"kind": "unavailable", "text": "busy", "retry_after_ms": 50, "after": 2}`: breaks after 2 pieces. The kinds are the cases of `types.error` |
//! | `if_contains` | the answer is for a call whose messages contain this text; others pass it over |
//!
//! Calls that run at the same time take answers in the order in which they arrive, so a script for several gives each `if_contains`.

use std::path::Path;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::llm::{Part, Request, ResultPart, StopReason};
use agentry_abi::bindings::agentry::agent::types::{Denial, Error, Exhaustion, ResourceKind};
use agentry_kernel::Permit;
use agentry_kernel::model::{Price, Usage};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::draft::{Draft, unavailable};
use super::{Finished, Provider, Sink, count};

/// A script: longer ones are no tests any more.
const SCRIPT_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read.
    #[error(
        "cannot read the script `{file}`: {why}\nhint: scripted:FILE names a file of answers, one JSON object a line"
    )]
    Read {
        /// As it was named.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// It is too long.
    #[error("the script `{file}` is longer than {SCRIPT_MAX_BYTES} bytes\nhint: split it")]
    TooLong {
        /// As it was named.
        file: String,
    },
    /// A line is not an answer.
    #[error("{file}:{line}: {why}\nhint: each line is a JSON object such as {{\"text\": \"hello\"}}")]
    Line {
        /// As it was named.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A model that reads its answers from a script.
#[derive(Debug)]
pub struct Scripted {
    settings: Settings,
    answers: Vec<Answer>,
    used: Mutex<Vec<bool>>,
}

/// What a script says of its model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(rename = "script")]
    version: u32,
    #[serde(default)]
    repeat: bool,
    /// Calls at once.
    #[serde(default = "Settings::slots")]
    pub slots: u32,
    /// Of prompt and answer together.
    #[serde(default = "Settings::context_tokens")]
    pub context_tokens: u32,
    /// Of the longest answer.
    #[serde(default = "Settings::max_output_tokens")]
    pub max_output_tokens: u32,
    /// None if nobody knows it.
    #[serde(default = "Settings::price", deserialize_with = "price_or_null")]
    pub price: Option<Price>,
}

impl Settings {
    fn slots() -> u32 {
        64
    }
    fn context_tokens() -> u32 {
        1_000_000
    }
    fn max_output_tokens() -> u32 {
        65_536
    }
    fn price() -> Option<Price> {
        Some(Price::default())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: 1,
            repeat: false,
            slots: Self::slots(),
            context_tokens: Self::context_tokens(),
            max_output_tokens: Self::max_output_tokens(),
            price: Self::price(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceLine {
    input: u64,
    output: u64,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

/// What is wrong with one line of JSON: in which line that is, whoever reads a file of them says.
fn flaw(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

fn price_or_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Price>, D::Error> {
    let line: Option<PriceLine> = Option::deserialize(from)?;
    Ok(line.map(|line| Price {
        input: line.input,
        output: line.output,
        cache_read: line.cache_read.unwrap_or(line.input),
        cache_write: line.cache_write.unwrap_or(line.input),
    }))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answer {
    text: Option<String>,
    chunks: Vec<String>,
    reasoning: Option<String>,
    tool_calls: Vec<ToolCallLine>,
    stop: Option<String>,
    usage: Option<UsageLine>,
    delay_ms: u64,
    error: Option<ErrorLine>,
    if_contains: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCallLine {
    id: Option<String>,
    name: String,
    arguments: serde_json::Value,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsageLine {
    input_fresh: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorLine {
    kind: ErrorKind,
    #[serde(default)]
    text: String,
    retry_after_ms: Option<u64>,
    /// Pieces that come before.
    #[serde(default)]
    after: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ErrorKind {
    Denied,
    Exhausted,
    Invalid,
    NotFound,
    Conflict,
    Unavailable,
    Interrupted,
    Cancelled,
    TimedOut,
}

impl ErrorLine {
    fn error(&self) -> Error {
        let text = self.text.clone();
        match self.kind {
            ErrorKind::Denied => Error::Denied(Denial { code: text, argument: None, reference: String::new() }),
            ErrorKind::Exhausted => Error::Exhausted(Exhaustion { what: ResourceKind::Tokens, refills_in_s: None }),
            ErrorKind::Invalid => Error::Invalid(text),
            ErrorKind::NotFound => Error::NotFound(text),
            ErrorKind::Conflict => Error::Conflict(text),
            ErrorKind::Unavailable => unavailable(&text, self.retry_after_ms),
            ErrorKind::Interrupted => Error::Interrupted(text),
            ErrorKind::Cancelled => Error::Cancelled,
            ErrorKind::TimedOut => Error::TimedOut,
        }
    }
}

impl Scripted {
    /// Reads a script.
    ///
    /// # Errors
    /// If it cannot be read, or a line is not an answer; the error names the line.
    pub fn open(file: &Path) -> Result<Self, ScriptError> {
        let name = file.display().to_string();
        let read = |why| ScriptError::Read { file: name.clone(), why };
        if std::fs::metadata(file).map_err(read)?.len() > SCRIPT_MAX_BYTES {
            return Err(ScriptError::TooLong { file: name });
        }
        let text = std::fs::read_to_string(file).map_err(read)?;
        Self::parse(&name, &text)
    }

    /// Reads the text of a script that errors name `file`.
    ///
    /// # Errors
    /// If a line is not an answer.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScriptError> {
        let mut settings = None;
        let mut answers: Vec<Answer> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |why: String| ScriptError::Line { file: file.to_owned(), line: index + 1, why };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let value: serde_json::Value = serde_json::from_str(line).map_err(|why| wrong(flaw(&why)))?;
            if value.get("script").is_some() {
                if settings.is_some() || !answers.is_empty() {
                    return Err(wrong("`script` stands on the first line only".to_owned()));
                }
                settings = Some(Settings::deserialize(value).map_err(|why| wrong(why.to_string()))?);
                if settings.as_ref().is_some_and(|settings| settings.version != 1) {
                    return Err(wrong("this version reads scripts of `\"script\": 1`".to_owned()));
                }
                continue;
            }
            let answer = Answer::deserialize(value).map_err(|why| wrong(why.to_string()))?;
            answer.check().map_err(wrong)?;
            answers.push(answer);
        }
        let used = Mutex::new(vec![false; answers.len()]);
        Ok(Self { settings: settings.unwrap_or_default(), answers, used })
    }

    /// What the script says of its model.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The next answer for this request, which nobody else gets.
    fn take(&self, request: &Request) -> Option<&Answer> {
        let mut used = self.used.lock();
        let fits = |used: &[bool]| {
            self.answers.iter().enumerate().position(|(index, answer)| !used[index] && answer.is_for(request))
        };
        let index = fits(&used).or_else(|| {
            // A new round begins for those answers that this request could have had.
            let again = |index: usize| self.answers[index].is_for(request);
            self.settings.repeat.then(|| (0..used.len()).filter(|i| again(*i)).for_each(|i| used[i] = false));
            fits(&used)
        })?;
        used[index] = true;
        Some(&self.answers[index])
    }

    async fn answer(&self, output_tokens_max: u64, request: &Request, sink: Sink, cut: &CancellationToken) -> Finished {
        let Some(answer) = self.take(request) else {
            let left = self.used.lock().iter().filter(|used| !**used).count();
            let why = match left {
                0 => "the script has no answer left for this call".to_owned(),
                1 => {
                    "the one answer left in the script is not for this call: its `if_contains` does not fit".to_owned()
                }
                left => {
                    format!("none of the {left} answers left in the script is for this call: no `if_contains` fits")
                }
            };
            return Finished::unasked(unavailable(&why, None));
        };
        let mut draft = Draft::new(sink, "scripted", "", (self.input_tokens_max(request), output_tokens_max));
        if let Some(usage) = answer.usage {
            draft.exact_usage(usage.into());
        }
        if let Some(error) = &answer.error
            && error.after == 0
            && answer.usage.is_none()
        {
            return if answer.pause(cut).await {
                Finished::unasked(error.error())
            } else {
                Finished::unasked(Error::Cancelled)
            };
        }
        for (number, piece) in answer.pieces().iter().enumerate() {
            if answer.error.as_ref().is_some_and(|error| error.after <= number) {
                break;
            }
            if !answer.pause(cut).await {
                return draft.fail(Error::Cancelled);
            }
            piece.write(number, &mut draft);
        }
        if !answer.pause(cut).await {
            return draft.fail(Error::Cancelled);
        }
        match &answer.error {
            Some(error) => draft.fail(error.error()),
            None => {
                draft.stop(answer.stop_reason());
                draft.finish()
            }
        }
    }
}

impl Provider for Scripted {
    fn input_tokens_max(&self, request: &Request) -> u64 {
        count::input_tokens_max(request)
    }

    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Finished> {
        async move { self.answer(permit.output_tokens_max(), &request, sink, &cancelled).await }.boxed()
    }
}

enum Piece<'a> {
    Reasoning(&'a str),
    Text(&'a str),
    Call(&'a ToolCallLine),
}

impl Piece<'_> {
    fn write(&self, number: usize, draft: &mut Draft) {
        match self {
            Piece::Reasoning(thought) => draft.reasoning(thought),
            Piece::Text(text) => draft.text(text),
            Piece::Call(call) => {
                let id = call.id.clone().unwrap_or_else(|| format!("call-{number}"));
                if let Ok(index) = draft.call(&id, &call.name) {
                    draft.arguments(index, &call.arguments.to_string());
                }
            }
        }
    }
}

impl Answer {
    /// Waits as the script says; false if the call was cut meanwhile.
    async fn pause(&self, cut: &CancellationToken) -> bool {
        if self.delay_ms == 0 {
            return !cut.is_cancelled();
        }
        tokio::select! {
            biased;
            () = cut.cancelled() => false,
            () = tokio::time::sleep(Duration::from_millis(self.delay_ms)) => true,
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.text.is_some() && !self.chunks.is_empty() {
            return Err("an answer has `text` or `chunks`, not both".to_owned());
        }
        if self.text.is_none() && self.chunks.is_empty() && self.tool_calls.is_empty() && self.error.is_none() {
            return Err("an answer needs `text`, `chunks`, `tool_calls` or `error`".to_owned());
        }
        if self.tool_calls.iter().any(|call| !call.arguments.is_object()) {
            return Err("the `arguments` of a tool call are an object".to_owned());
        }
        Ok(())
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let thoughts = self.reasoning.iter().map(|thought| Piece::Reasoning(thought));
        let texts = self.text.iter().chain(&self.chunks).map(|text| Piece::Text(text));
        thoughts.chain(texts).chain(self.tool_calls.iter().map(Piece::Call)).collect()
    }

    fn is_for(&self, request: &Request) -> bool {
        let Some(wanted) = &self.if_contains else { return true };
        let within = |text: &str| text.contains(wanted.as_str());
        request.messages.iter().flat_map(|message| &message.parts).any(|part| match part {
            Part::Text(text) => within(text),
            Part::ToolCall(call) => within(&call.name) || within(&call.arguments_json),
            Part::ToolResult(result) => result.parts.iter().any(|part| match part {
                ResultPart::Text(text) | ResultPart::Json(text) => within(text),
                ResultPart::Media(_) => false,
            }),
            Part::Media(_) | Part::Reasoning(_) => false,
        })
    }

    fn stop_reason(&self) -> StopReason {
        match self.stop.as_deref() {
            None if !self.tool_calls.is_empty() => StopReason::ToolCalls,
            None | Some("end") => StopReason::End,
            Some("max-output") => StopReason::MaxOutput,
            Some("tool-calls") => StopReason::ToolCalls,
            Some("filtered") => StopReason::Filtered,
            Some("context-full") => StopReason::ContextFull,
            Some(other) => StopReason::Other(other.to_owned()),
        }
    }
}

impl From<UsageLine> for Usage {
    fn from(line: UsageLine) -> Self {
        let UsageLine { input_fresh, cache_read, cache_write, output, reasoning } = line;
        Self { input_fresh, cache_read, cache_write, output, reasoning, estimated: false }
    }
}
