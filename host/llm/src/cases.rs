//! Answers as servers in use really give them, each a line: what comes, and what is right. Most were reported somewhere as what broke a
//! client.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::amazon::{event_frame, frame};
use super::fixtures::{Server, Step, asks, events, permit, permit_retrying, status, text_of};
use super::tests::{KEY, model_with};
use super::*;
use agentry_abi::bindings::agentry::agent::llm::{Part, StopReason};
use agentry_abi::bindings::agentry::agent::types::Error;

mod calls;
mod counts;
mod endings;
mod framing;
mod keys;
mod odd;
mod others;
mod refusals;
mod responses;

/// What a server sends, and what the guest and the books have of it.
pub(super) struct Case {
    /// It goes on until the case is over.
    _server: Server,
    pub(super) finished: Finished,
    pub(super) deltas: Vec<Delta>,
    pub(super) took: Duration,
}

/// Asks a server that does this.
pub(super) async fn played(kind: &str, steps: Vec<Step>) -> Case {
    let server = Server::start(steps).await;
    let (_home, entry) = model_with(kind, &server.url, 700);
    let heard = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let sink = Sink::new(move |delta| ear.lock().push(delta.clone()));
    let began = Instant::now();
    let finished = entry.ask(began, &permit(1000), asks("hello"), sink, CancellationToken::new()).await;
    let deltas = heard.lock().clone();
    Case { _server: server, finished, deltas, took: began.elapsed() }
}

/// Chat completions in these chunks, then `[DONE]`.
pub(super) async fn chat(chunks: &[Value]) -> Case {
    let mut data: Vec<String> = chunks.iter().map(Value::to_string).collect();
    data.push("[DONE]".to_owned());
    played("openai-compatible", vec![Step::Send(all(&data))]).await
}

/// Messages in these events.
pub(super) async fn messages(data: &[Value]) -> Case {
    let data: Vec<String> = data.iter().map(Value::to_string).collect();
    played("anthropic", vec![Step::Send(all(&data))]).await
}

pub(super) fn all(data: &[String]) -> Vec<u8> {
    events(&data.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A chunk with this delta.
pub(super) fn chunk(delta: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

/// A chunk of text.
pub(super) fn text(text: &str) -> Value {
    chunk(json!({"content": text}))
}

/// A chunk that ends the answer.
pub(super) fn stop(word: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": word}]})
}

/// A chunk of counts.
pub(super) fn usage(usage: Value) -> Value {
    json!({"choices": [], "usage": usage})
}

/// The counts of a short answer.
pub(super) fn counted() -> Value {
    usage(json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}))
}

/// Anthropic's first event.
pub(super) fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}})
}

/// One text of Anthropic's.
pub(super) fn says(text: &str) -> Vec<Value> {
    vec![
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
    ]
}

/// Anthropic's last event but one.
pub(super) fn ends(word: &str, output: Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": word, "stop_sequence": null}, "usage": {"output_tokens": output}})
}

impl Case {
    /// The answer, which must be there.
    #[track_caller]
    pub(super) fn answer(&self) -> &Response {
        self.finished.result.as_ref().unwrap_or_else(|why| panic!("{why:?}, {:?}", self.finished.note))
    }

    /// All that it says.
    #[track_caller]
    pub(super) fn says(&self) -> String {
        text_of(self.answer())
    }

    /// Its tool calls: name and arguments.
    #[track_caller]
    pub(super) fn calls(&self) -> Vec<(&str, &str)> {
        let parts = self.answer().parts.iter();
        parts
            .filter_map(|part| match part {
                Part::ToolCall(call) => Some((&*call.name, &*call.arguments_json)),
                _ => None,
            })
            .collect()
    }

    /// Why there is none.
    #[track_caller]
    pub(super) fn why(&self) -> &Error {
        &self.finished.result.as_ref().expect_err("an answer").why
    }

    /// What came before it broke.
    #[track_caller]
    pub(super) fn partial(&self) -> String {
        self.finished.result.as_ref().expect_err("an answer").partial.as_ref().map(text_of).unwrap_or_default()
    }

    /// What the admin is told.
    pub(super) fn note(&self) -> &str {
        self.finished.note.as_deref().unwrap_or_default()
    }
}
