//! What a grant says of the outside: `http`, `secrets`, `agents` and `human`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml::de::{DeTable, DeValue};

use super::condition::{flag, texts};
use super::document::{Document, Span, Words};
use super::extra::extra;
use super::grant::{fits, required, why};
use crate::limits::CHILD_DEPTH_MAX;
use crate::refusal::Rule;
use crate::rights::shapes;
use crate::rights::{AgentsRight, HttpRight, HumanRight, Origin, SecretRight};
use crate::text;

const HTTP: Words = Words {
    table: "`http`",
    known: &["id", "to", "methods", "paths", "private", "unless", "rate", "approval", "labels", "why"],
    later: &[],
};
const SECRETS: Words = Words { table: "`secrets`", known: &["handle", "only_to", "why"], later: &[] };
const AGENTS: Words =
    Words { table: "`agents`", known: &["call", "send", "receive", "max_depth", "why"], later: &["budget"] };

const HUMAN: Words = Words { table: "`human`", known: &["ask", "notify", "why"], later: &["choices", "rate"] };

/// What may be asked where nothing is said: what changes nothing.
const METHODS: [&str; 2] = ["GET", "HEAD"];

/// The deepest that a grant can let calls nest.
const DEPTH_MAX: u64 = CHILD_DEPTH_MAX as u64;

pub(super) fn http(document: &mut Document<'_>, file: &DeTable<'_>, agent: &str) -> Vec<HttpRight> {
    let mut rights: Vec<HttpRight> = Vec::new();
    for (table, place) in document.tables(file, "http", "[{ to = \"https://api.example.org\" }]") {
        document.closed(table, &HTTP);
        why(document, table);
        let line = document.line(&place);
        let id = match document.string(table, "id", "\"me/search\"") {
            Some((id, place)) if fits(document, &place, "id", id, text::path(id)) => id.to_string(),
            _ => format!("{agent}/http"),
        };
        let rule = Rule { id: id.clone(), file: document.file().into(), line };
        let to = required(document, (table, &place), "to", "\"https://api.example.org\"");
        let to = to.and_then(|(text, place)| origin(document, "to", text, &place));
        let methods = texts(document, table, "methods", "\"GET\"", shapes::method)
            .unwrap_or_else(|| METHODS.map(String::from).to_vec());
        let paths = texts(document, table, "paths", "\"/v1/**\"", shapes::url_path)
            .unwrap_or_else(|| alloc::vec![String::from("/**")]);
        let private = flag(document, table, "private");
        let extra = extra(document, table, &rule);
        rights.extend(to.map(|to| HttpRight { id, to, methods, paths, private, extra, line }));
    }
    rights
}

pub(super) fn secrets(document: &mut Document<'_>, file: &DeTable<'_>) -> Vec<SecretRight> {
    let mut rights: Vec<SecretRight> = Vec::new();
    for (table, place) in
        document.tables(file, "secrets", "[{ handle = \"key\", only_to = \"https://api.example.org\" }]")
    {
        document.closed(table, &SECRETS);
        why(document, table);
        let line = document.line(&place);
        let handle = required(document, (table, &place), "handle", "\"crm-key\"");
        let handle = handle.filter(|(handle, place)| fits(document, place, "handle", handle, text::label(handle)));
        let only_to = required(document, (table, &place), "only_to", "\"https://api.example.org\"");
        let only_to = only_to.and_then(|(text, place)| {
            let origin = origin(document, "only_to", text, &place)?;
            if origin.host == "*" {
                document.mistake(place, "a secret for everybody is none", "name the host that may see it");
                return None;
            }
            Some(origin)
        });
        let (Some((handle, _)), Some(only_to)) = (handle, only_to) else { continue };
        rights.push(SecretRight { handle: handle.into(), only_to, line });
    }
    rights
}

pub(super) fn agents(document: &mut Document<'_>, file: &DeTable<'_>) -> Option<AgentsRight> {
    let (table, place) = document.table(file, "agents", "{ call = [\"fetcher\"], max_depth = 2 }")?;
    document.closed(table, &AGENTS);
    why(document, table);
    let mut listed = |key: &str| texts(document, table, key, "\"fetcher\"", shapes::agent).unwrap_or_default();
    let (call, send, receive) = (listed("call"), listed("send"), listed("receive"));
    let whom = ["call", "send", "receive"];
    if !whom.iter().any(|key| table.contains_key(*key)) {
        document.lacks((table, &place), &whom, "`agents` grants no agent", "for example `call = [\"fetcher\"]`");
    }
    let max_depth = match document.number(table, "max_depth", "1") {
        Some((depth, _)) if (1..=DEPTH_MAX).contains(&depth) => u32::try_from(depth).unwrap_or(1),
        Some((_, place)) => {
            document.mistake(
                place,
                format!("`max_depth` must be from 1 to {DEPTH_MAX}"),
                "for example `max_depth = 2`",
            );
            1
        }
        None => 1,
    };
    Some(AgentsRight { call, send, receive, max_depth, line: document.line(&place) })
}

pub(super) fn human(document: &mut Document<'_>, file: &DeTable<'_>) -> Option<HumanRight> {
    let (table, place) = document.table(file, "human", "{ ask = true }")?;
    document.closed(table, &HUMAN);
    why(document, table);
    let right = HumanRight {
        ask: flag(document, table, "ask"),
        notify: flag(document, table, "notify"),
        line: document.line(&place),
    };
    let wrong = |key: &str| table.get(key).is_some_and(|value| !matches!(value.get_ref(), DeValue::Boolean(_)));
    if !right.ask && !right.notify && !wrong("ask") && !wrong("notify") {
        let hint = "for example `ask = true`, or `notify = true`";
        document.lacks((table, &place), &["ask", "notify"], "`human` grants nothing", hint);
    }
    Some(right)
}

/// `https://*.example.org:8443`
pub(super) fn origin(document: &mut Document<'_>, key: &str, text: &str, place: &Span) -> Option<Origin> {
    let parsed = shapes::origin(text);
    fits(document, place, key, text, parsed.as_ref().map(|_| ()).map_err(|flaw| *flaw));
    parsed.ok()
}
