//! Reads an answer as it came from a provider, on standard input, and prints what it says as JSON. Its one argument names the interface:
//! `chat`, `messages`, `responses`, `gemini`, `ollama`, `converse`. It asks nobody; tests hold it against other clients.

use std::io::Read as _;

use agentry_abi::bindings::agentry::agent::llm::{Part, Response, StopReason};
use agentry_llm::Sink;
use agentry_llm::reading::{Interface, read};
use serde_json::{Value, json};

/// Longer than any answer that is compared.
const OUTPUT_TOKENS_MAX: u64 = 100_000;

fn main() {
    let interface = match std::env::args().nth(1).as_deref() {
        Some("chat") => Interface::Chat,
        Some("messages") => Interface::Messages,
        Some("responses") => Interface::Responses,
        Some("gemini") => Interface::Gemini,
        Some("ollama") => Interface::Ollama,
        Some("converse") => Interface::Converse,
        _ => {
            eprintln!("error: which interface?\nhint: chat, messages, responses, gemini, ollama or converse");
            std::process::exit(2);
        }
    };
    let mut bytes = Vec::new();
    if let Err(why) = std::io::stdin().read_to_end(&mut bytes) {
        eprintln!("error: cannot read the answer: {why}");
        std::process::exit(2);
    }
    let finished = read(interface, "sk-live-0123456789", &[&bytes], OUTPUT_TOKENS_MAX, Sink::NONE);
    let (answer, why) = match &finished.result {
        Ok(answer) => (Some(answer), None),
        Err(failure) => (failure.partial.as_ref(), Some(format!("{:?}", failure.why))),
    };
    let usage = &finished.usage;
    let told = json!({
        "why": why,
        "note": finished.note,
        "answer": answer.map(said),
        "usage": {
            "input_fresh": usage.input_fresh,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "output": usage.output,
            "reasoning": usage.reasoning,
            "estimated": usage.estimated,
        },
    });
    println!("{told}");
}

fn said(response: &Response) -> Value {
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &response.parts {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Reasoning(thought) => thoughts.push_str(thought.text.as_deref().unwrap_or_default()),
            Part::ToolCall(call) => {
                calls.push(json!({"id": call.id, "name": call.name, "arguments": call.arguments_json}));
            }
            Part::Media(_) | Part::ToolResult(_) => {}
        }
    }
    let stop = match &response.stop {
        StopReason::End => "end",
        StopReason::MaxOutput => "max-output",
        StopReason::Sequence(_) => "sequence",
        StopReason::ToolCalls => "tool-calls",
        StopReason::Filtered => "filtered",
        StopReason::ContextFull => "context-full",
        StopReason::Cancelled => "cancelled",
        StopReason::Other(word) => word,
    };
    json!({"text": text, "thoughts": thoughts, "calls": calls, "stop": stop})
}
