//! The tests that stand in policy files: a call and what the policy must say to it. Read here; held in `kernel/trials.rs`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use toml::de::{DeTable, DeValue};

use super::Mistake;
use super::condition::unknown;
use super::document::{Document, Span, Words};
use super::extra::names;
use super::grant::{fits, required, why};
use super::subject::Act;
use crate::call::{Call, Class, Completion, Fetch, Place as FilePlace};
use crate::digest::Digest;
use crate::json::Value;
use crate::labels::Labels;
use crate::refusal::Code;
use crate::text;

const TEST: Words = Words { table: "[[test]]", known: &["expect", "agent", "call", "labels", "why"], later: &["at"] };
const CALL: Words = Words {
    table: "`call`",
    known: &[
        "tool", "args", "model", "memory", "root", "path", "act", "http", "method", "secret", "agent", "letter",
        "human",
    ],
    later: &[],
};

/// A call and what the policy must say to it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Who asks.
    pub agent: String,
    /// What for.
    pub call: Call,
    /// What the run holds.
    pub labels: Labels,
    /// What must come out.
    pub expect: Expect,
    /// Where it stands; its message is what to say if it fails.
    pub place: Mistake,
}

/// What must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `"allow"`: yes, and nobody is asked.
    Allow,
    /// `"ask"`: yes, once people have said so.
    Ask,
    /// `"deny"`, or `"deny:CODE"`.
    Deny(Option<Code>),
}

/// Reads the tests of a file; those of a grant are about its own agent.
pub(super) fn read(document: &mut Document<'_>, file: &DeTable<'_>, agent: Option<&str>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (table, place) in document.tables(file, "test", "[{ expect = \"allow\", call = { tool = \"mail.send\" } }]") {
        document.closed(table, &TEST);
        why(document, table);
        let expect = required(document, (table, &place), "expect", "\"deny:no-grant\"");
        let expect = expect.and_then(|(text, place)| expectation(document, text, place));
        let named = document.string(table, "agent", "\"reporter\"").map(|(agent, _)| agent);
        if named.or(agent).is_none() {
            let hint = "a test of the site names the agent that asks";
            document.lacks((table, &place), &["agent"], "`agent` is missing", hint);
        }
        if let (Some(named), Some(own)) = (named, agent)
            && named != own
        {
            document.mistake(place.clone(), format!("the grant is for `{own}`"), "leave `agent` out");
        }
        if !table.contains_key("call") {
            let hint = "for example `call = { tool = \"mail.send\" }`";
            document.lacks((table, &place), &["call"], "`call` is missing", hint);
        }
        let call = document.table(table, "call", "{ tool = \"mail.send\" }");
        let call = call.and_then(|(call, place)| self::call(document, call, &place));
        let labels = names(document, table, "labels");
        let (Some(expect), Some(agent), Some(call)) = (expect, named.or(agent), call) else { continue };
        let hint = "a file whose tests fail is not loaded: change the test or the rules";
        let place = document.note(place, "this test fails", hint);
        trials.push(Trial { agent: agent.into(), call, labels, expect, place });
    }
    trials
}

fn expectation(document: &mut Document<'_>, text: &str, place: Span) -> Option<Expect> {
    let expect = match text.split_once(':') {
        None if text == "allow" => Some(Expect::Allow),
        None if text == "ask" => Some(Expect::Ask),
        None if text == "deny" => Some(Expect::Deny(None)),
        Some(("deny", code)) => match Code::from_word(code) {
            Some(code) => Some(Expect::Deny(Some(code))),
            None => {
                unknown(document, place, "code", code, &Code::ALL.map(Code::word));
                return None;
            }
        },
        _ => None,
    };
    if expect.is_none() {
        unknown(document, place, "expectation", text, &["allow", "ask", "deny", "deny:CODE"]);
    }
    expect
}

fn call(document: &mut Document<'_>, table: &DeTable<'_>, place: &Span) -> Option<Call> {
    document.closed(table, &CALL);
    let text = |document: &mut Document<'_>, key: &str| document.string(table, key, "\"…\"").map(|(text, _)| text);
    let act = match document.string(table, "act", "\"read\"") {
        None => Act::Read,
        Some((word, place)) => match Act::ALL.into_iter().find(|act| act.word() == word) {
            Some(act) => act,
            None => {
                unknown(document, place, "act", word, &Act::ALL.map(Act::word));
                return None;
            }
        },
    };
    if let Some(tool) = text(document, "tool") {
        let arguments = table.get("args").map_or_else(|| Value::Object(Vec::new()), |value| value_of(value.get_ref()));
        return Some(Call::ToolsCall { name: tool.into(), arguments: Digest::default(), value: Arc::new(arguments) });
    }
    if let Some(model) = text(document, "model") {
        return Some(Call::LlmComplete(question(model)));
    }
    if let Some(namespace) = text(document, "memory") {
        let (namespace, key, content) = (namespace.to_string(), String::from("key"), Digest::default());
        return Some(match act {
            Act::Read => Call::MemoryGet { namespace, key },
            Act::Write => Call::MemoryPut { namespace, key, content, bytes: 0, grows: 0 },
            Act::Delete => Call::MemoryDelete { namespace, key },
        });
    }
    if let Some(root) = text(document, "root") {
        let path = text(document, "path").unwrap_or_default().to_string();
        let place = FilePlace { root: root.into(), path };
        return Some(match act {
            Act::Read => Call::FilesRead(place),
            Act::Write => Call::FilesWrite { place, content: Digest::default(), bytes: 0, grows: 0 },
            Act::Delete => Call::FilesDelete(place),
        });
    }
    if let Some((url, place)) = document.string(table, "http", "\"https://api.example.org/\"") {
        fits(document, &place, "http", url, text::name(url));
        let method = text(document, "method").unwrap_or("GET").to_string();
        let secret = text(document, "secret").map(String::from);
        return Some(Call::Fetch(Fetch { method, url: url.into(), content: Digest::default(), bytes: 0, secret }));
    }
    if let Some(agent) = text(document, "agent") {
        return Some(Call::to_agent(agent));
    }
    if let Some(agent) = text(document, "letter") {
        return Some(Call::letter_to(agent));
    }
    if let Some((function, place)) = document.string(table, "human", "\"ask\"") {
        return match function {
            "ask" => Some(Call::HumanAsk { question: Digest::default(), expires_ms: None }),
            "notify" => Some(Call::HumanNotify { text: Digest::default() }),
            other => {
                unknown(document, place, "function", other, &["ask", "notify"]);
                None
            }
        };
    }
    let hint = "it names a `tool`, a `model`, a `memory`, a `root`, an address as `http`, an `agent`, who gets a `letter` or a function of `human`";
    document.mistake(place.clone(), "`call` calls nothing", hint);
    None
}

fn question(model: &str) -> Completion {
    Completion {
        model: model.into(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: 0,
        output_tokens_max: None,
        class: Class::Batch,
        local_only: false,
        microusd_max: None,
    }
}

/// TOML as JSON; a date is the text that it was written as.
fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(number.to_string()),
        },
        DeValue::Float(number) => crate::json::parse(number.as_str()).unwrap_or(Value::Null),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| value_of(item.get_ref())).collect()),
        DeValue::Table(table) => {
            let mut entries: Vec<_> =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), value_of(value.get_ref()))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries)
        }
    }
}
