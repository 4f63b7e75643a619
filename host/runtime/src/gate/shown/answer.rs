//! What an agent heard of a call, as a text for people; of what is no text, its size. It reads what the journal kept and decides nothing.

use agentry_abi::bindings::agentry::agent::agents::Letter;
use agentry_abi::bindings::agentry::agent::files::FileStat;
use agentry_abi::bindings::agentry::agent::http;
use agentry_abi::bindings::agentry::agent::llm::{Part, Response, ResultPart};
use agentry_abi::bindings::agentry::agent::memory::{Entry, Page, Value};
use agentry_abi::bindings::agentry::agent::tools::Answer;
use agentry_kernel::Call;
use serde::de::DeserializeOwned;

/// What the agent heard, if it is for people to read; `encoded` is the answer as the journal keeps it.
pub fn answer(what: &Call, encoded: &[u8]) -> Option<String> {
    match what {
        Call::LlmComplete(_) | Call::LlmStream(_) => {
            let Response { parts, .. } = of(encoded)?;
            Some(lines(parts.iter().filter_map(said)))
        }
        Call::ToolsCall { .. } => {
            let Answer { failed, parts, .. } = of(encoded)?;
            let failed = failed.then(|| "the tool failed:".to_owned());
            Some(lines(failed.into_iter().chain(parts.iter().map(part))))
        }
        Call::AgentsCall(_) | Call::HumanAsk { .. } | Call::AgentsSend(_) => of(encoded),
        Call::FilesRead(_) => Some(text_of(of(encoded)?)),
        Call::FilesStat(_) => Some(stat(&of(encoded)?)),
        Call::FilesList(_) => Some(lines(of::<Vec<FileStat>>(encoded)?.iter().map(stat))),
        Call::MemoryGet { .. } => Some(
            of::<Option<Entry>>(encoded)?.map_or_else(|| "nothing is there".to_owned(), |entry| value(entry.value)),
        ),
        Call::MemoryPut { .. } => Some(format!("version {}", of::<u64>(encoded)?)),
        Call::MemoryList { .. } => {
            let Page { entries, next } = of(encoded)?;
            let more = next.map(|next| format!("and more behind {next}"));
            Some(lines(entries.into_iter().map(|entry| format!("{}: {}", entry.key, value(entry.value))).chain(more)))
        }
        Call::Fetch(_) => {
            let http::Response { status, headers, body, .. } = of(encoded)?;
            let headers = headers.iter().map(|header| format!("{}: {}", header.name, header.value));
            let head = std::iter::once(format!("status {status}")).chain(headers);
            Some(lines(head.chain([String::new(), text_of(body)])))
        }
        Call::AgentsReceive { .. } => {
            let Some(Letter { id, sender, subject, body_json, .. }) = of(encoded)? else {
                return Some("no letter".to_owned());
            };
            Some(lines([format!("{id} of {sender}: {subject}"), body_json]))
        }
        // Answers that say nothing, or what stands in the journal's line, or what no person reads.
        Call::LlmModels | Call::LlmEmbed { .. } | Call::LlmCountTokens { .. } | Call::Context(_) => None,
        Call::MemoryDelete { .. } | Call::Memory { .. } | Call::FilesWrite { .. } | Call::FilesDelete(_) => None,
        Call::ToolsList | Call::HttpFetch { .. } | Call::AgentsReply { .. } | Call::AgentsFind { .. } => None,
        Call::Agents(_) | Call::Human(_) | Call::HumanNotify { .. } | Call::LogEvent { .. } => None,
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => None,
        Call::BudgetRemaining | Call::BudgetSplit => None,
    }
}

fn of<T: DeserializeOwned>(encoded: &[u8]) -> Option<T> {
    postcard::from_bytes(encoded).ok()
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// Bytes as a text if they are one.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| format!("{} bytes that are no text", error.as_bytes().len()))
}

fn value(value: Value) -> String {
    match value {
        Value::Text(text) | Value::Json(text) => text,
        Value::Bytes(bytes) => text_of(bytes),
    }
}

fn stat(stat: &FileStat) -> String {
    let FileStat { path, size, directory, .. } = stat;
    if *directory { format!("{path}/") } else { format!("{path}: {size} bytes") }
}

/// What a part of a tool's answer says.
fn part(part: &ResultPart) -> String {
    match part {
        ResultPart::Text(text) | ResultPart::Json(text) => text.clone(),
        ResultPart::Media(media) => format!("media, {}", media.mime),
    }
}

/// What a part of a model's answer says, as a line.
fn said(part: &Part) -> Option<String> {
    match part {
        Part::Text(text) => Some(text.clone()),
        Part::ToolCall(call) => Some(format!("{} {}", call.name, call.arguments_json)),
        Part::Media(_) | Part::Reasoning(_) | Part::ToolResult(_) => None,
    }
}
