//! A call as people write it in a question: the words of `call` in a policy's `[[test]]`, as JSON.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::call::{Call, Class, Completion, Fetch, Place};
use crate::digest::Digest;
use crate::json::Value;
use crate::policy::Act;
use crate::text;

/// Every word of a call.
const WORDS: [&str; 13] =
    ["tool", "args", "model", "memory", "root", "path", "act", "http", "method", "secret", "agent", "letter", "human"];

/// The words that say what is called, and those that may stand beside each.
const KINDS: [(&str, &[&str]); 8] = [
    ("tool", &["args"]),
    ("model", &[]),
    ("memory", &["act"]),
    ("root", &["path", "act"]),
    ("http", &["method", "secret"]),
    ("agent", &[]),
    ("letter", &[]),
    ("human", &[]),
];

/// Reads a call: `{"tool": "mail.send", "args": {…}}`, or `model`, `memory`, `root`, `http`, `agent`, `letter` or `human` instead of `tool`.
///
/// # Errors
/// A sentence about the first word that makes no sense, with what to write instead.
pub fn read(value: &Value) -> Result<Call, String> {
    let Some(entries) = value.entries() else { return Err(format!("a call is an object, not {}", value.kind())) };
    let mut named = KINDS.iter().filter(|(kind, _)| value.get(kind).is_some());
    let (Some((kind, beside)), None) = (named.next(), named.next()) else {
        return Err(
            "a call names one of `tool`, `model`, `memory`, `root`, `http`, `agent`, `letter` or `human`".into()
        );
    };
    for (word, _) in entries {
        if word != kind && !beside.contains(&word.as_str()) {
            let shown = text::show(word);
            let near = text::nearest(word, WORDS.into_iter()).filter(|near| near != word);
            return Err(match near {
                Some(near) => format!("`{shown}` is no word of a call: did you mean `{near}`?"),
                None => format!("`{shown}` makes no sense beside `{kind}`"),
            });
        }
    }
    let text = |word: &str| match value.get(word) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{word}` is {}; it must be a text", other.kind())),
    };
    let name = text(kind)?.unwrap_or_default();
    let act = match text("act")? {
        None => Act::Read,
        Some(word) => Act::ALL
            .into_iter()
            .find(|act| act.word() == word)
            .ok_or_else(|| format!("`act` is \"read\", \"write\" or \"delete\", not \"{}\"", text::show(&word)))?,
    };
    Ok(match *kind {
        "tool" => tool(name, value.get("args").cloned().unwrap_or_else(|| Value::Object(Vec::new()))),
        "model" => model(name),
        "memory" => memory(name, act),
        "root" => file(Place { root: name, path: text("path")?.unwrap_or_default() }, act),
        "agent" => Call::to_agent(&name),
        "letter" => Call::letter_to(&name),
        "human" => human(&name)?,
        _ => fetch(text("method")?.unwrap_or_else(|| "GET".into()), name, text("secret")?),
    })
}

/// A call in the form that [`read`] reads; its name alone where it has no such form.
pub fn show(call: &Call) -> Value {
    let text = |text: &str| Value::Text(text.into());
    let object = |entries: &[(&str, Option<Value>)]| {
        let given = entries.iter().filter_map(|(word, value)| Some((word.to_string(), value.clone()?)));
        let mut entries: Vec<_> = given.collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Value::Object(entries)
    };
    let in_memory =
        |namespace: &str, act: Act| object(&[("memory", Some(text(namespace))), ("act", Some(text(act.word())))]);
    let in_files = |place: &Place, act: Act| {
        object(&[("root", Some(text(&place.root))), ("path", Some(text(&place.path))), ("act", Some(text(act.word())))])
    };
    match call {
        Call::ToolsCall { name, value, .. } => object(&[("tool", Some(text(name))), ("args", Some((**value).clone()))]),
        Call::LlmComplete(ask) | Call::LlmStream(ask) => object(&[("model", Some(text(&ask.model)))]),
        Call::LlmEmbed { model, .. } | Call::LlmCountTokens { model } => object(&[("model", Some(text(model)))]),
        Call::MemoryGet { namespace, .. } | Call::MemoryList { namespace, .. } => in_memory(namespace, Act::Read),
        Call::MemoryPut { namespace, .. } => in_memory(namespace, Act::Write),
        Call::MemoryDelete { namespace, .. } => in_memory(namespace, Act::Delete),
        Call::Memory { function, namespace } => {
            in_memory(namespace, if function.ends_with("rollback") { Act::Write } else { Act::Read })
        }
        Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => in_files(place, Act::Read),
        Call::FilesWrite { place, .. } => in_files(place, Act::Write),
        Call::FilesDelete(place) => in_files(place, Act::Delete),
        Call::Fetch(fetch) => {
            let secret = fetch.secret.as_deref().map(text);
            object(&[("http", Some(text(&fetch.url))), ("method", Some(text(&fetch.method))), ("secret", secret)])
        }
        Call::AgentsCall(delegation) => object(&[("agent", Some(text(&delegation.agent)))]),
        Call::AgentsSend(post) => object(&[("letter", Some(text(&post.agent)))]),
        Call::LlmModels | Call::ToolsList | Call::Context(_) | Call::HttpFetch { .. } => text(call.name()),
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => text(call.name()),
        Call::BudgetRemaining | Call::BudgetSplit | Call::LogEvent { .. } => text(call.name()),
        Call::HumanAsk { .. } => object(&[("human", Some(text("ask")))]),
        Call::HumanNotify { .. } => object(&[("human", Some(text("notify")))]),
        Call::Human(_) => text(call.name()),
        Call::Agents(_) | Call::AgentsFind { .. } | Call::AgentsReply { .. } => text(call.name()),
        Call::AgentsReceive { .. } => text(call.name()),
    }
}

/// What one can do towards people.
fn human(function: &str) -> Result<Call, String> {
    match function {
        "ask" => Ok(Call::HumanAsk { question: Digest::default(), expires_ms: None }),
        "notify" => Ok(Call::HumanNotify { text: Digest::default() }),
        other => Err(format!("`human` is \"ask\" or \"notify\", not \"{}\"", text::show(other))),
    }
}

pub(super) fn tool(name: String, arguments: Value) -> Call {
    Call::ToolsCall { name, arguments: Digest::default(), value: Arc::new(arguments) }
}

/// The least that one can ask of a model.
pub(super) fn model(alias: String) -> Call {
    Call::LlmComplete(Completion {
        model: alias,
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: 0,
        output_tokens_max: None,
        class: Class::Batch,
        local_only: false,
        microusd_max: None,
    })
}

pub(super) fn memory(namespace: String, act: Act) -> Call {
    let (key, content) = (String::from("key"), Digest::default());
    match act {
        Act::Read => Call::MemoryGet { namespace, key },
        Act::Write => Call::MemoryPut { namespace, key, content, bytes: 0, grows: 0 },
        Act::Delete => Call::MemoryDelete { namespace, key },
    }
}

pub(super) fn file(place: Place, act: Act) -> Call {
    match act {
        Act::Read => Call::FilesRead(place),
        Act::Write => Call::FilesWrite { place, content: Digest::default(), bytes: 0, grows: 0 },
        Act::Delete => Call::FilesDelete(place),
    }
}

pub(super) fn fetch(method: String, url: String, secret: Option<String>) -> Call {
    Call::Fetch(Fetch { method, url, content: Digest::default(), bytes: 0, secret })
}
