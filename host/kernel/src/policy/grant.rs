//! One grant file: from its table to a [`Grant`], or to mistakes. Nothing is guessed and nothing unknown is skipped.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml::de::DeTable;

use super::document::{Document, Span, Words, quoted};
use super::extra::extra;
use super::scope::{expires, pattern, publisher};
use super::table::GrantTable;
use super::trial::{self, Trial};
use super::{Grant, budget, condition, near, outside, warnings};
use crate::call::Class;
use crate::limits::RETRIES_MAX;
use crate::refusal::Rule;
use crate::rights::shapes;
use crate::rights::{Access, FilesRight, LlmRight, MemoryRight, Rights, ToolRight};
use crate::text;

const FILE: Words = Words {
    table: "a grant",
    known: &[
        "format",
        "layer",
        "agent",
        "package",
        "publisher",
        "mode",
        "expires",
        "why",
        "llm",
        "memory",
        "files",
        "http",
        "secrets",
        "agents",
        "human",
        "allow",
        "budget",
        "test",
    ],
    later: &["context", "labels", "egress", "rate"],
};
const LLM: Words = Words {
    table: "`llm`",
    known: &["models", "max_tokens", "class", "retries", "why"],
    later: &["privacy", "rate", "labels"],
};
const MEMORY: Words = Words { table: "`memory`", known: &["read", "write", "labels", "why"], later: &["rate", "ttl"] };
const FILES: Words = Words { table: "`files`", known: &["root", "at", "access", "labels", "why"], later: &["rate"] };
const ALLOW: Words = Words {
    table: "[[allow]]",
    known: &["id", "tool", "args", "unless", "rate", "approval", "labels", "why"],
    later: &["effect", "when"],
};

/// A grant and where its agent is named.
pub(super) struct Read {
    pub(super) grant: Grant,
    pub(super) trials: Vec<Trial>,
    agent: Span,
}

/// Reads a grant; none, with mistakes, where it is not one.
pub(super) fn read(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<Read> {
    document.closed(table, &FILE);
    why(document, table);
    let agent = required(document, (table, &(0..0)), "agent", "\"reporter\"");
    let agent = agent.filter(|(agent, place)| fits(document, place, "agent", agent, text::label(agent)));
    let package = document.string(table, "package", "\"acme:reporter@^1.2\"");
    let package = package.and_then(|(text, place)| pattern(document, text, &place));
    let publisher = publisher(document, table);
    let expires = expires(document, table);
    let line = document.line(&agent.as_ref().map_or(0..0, |(_, place)| place.clone()));
    let name = agent.as_ref().map_or("", |(agent, _)| *agent);
    let rights = Rights {
        llm: llm(document, table),
        memory: memory(document, table),
        files: files(document, table),
        tools: tools(document, table),
        http: outside::http(document, table, name),
        secrets: outside::secrets(document, table),
        agents: outside::agents(document, table),
        human: outside::human(document, table),
        others: Vec::new(),
    };
    let rule = Rule { id: name.into(), file: document.file().into(), line };
    let budget = budget::read(document, table, &rule);
    let rules = GrantTable::of(&rights.tools, &rights.http);
    let trials = trial::read(document, table, Some(name));
    let grant = Grant { agent: name.into(), package, publisher, expires, rights, budget, rule, rules };
    let (_, place) = agent?;
    warnings::find(document, table, &grant);
    Some(Read { grant, trials, agent: place })
}

/// A second grant for an agent: which of the two should hold?
pub(super) fn twice(document: &mut Document<'_>, second: &Read, first: &Grant) {
    let message = format!("agent `{}` has a grant already, in {}:{}", first.agent, first.rule.file, first.rule.line);
    document.mistake(second.agent.clone(), message, "one agent has one grant: put both together, or remove one");
}

/// A text that must be there; `place` is where the table stands.
pub(super) fn required<'t>(
    document: &mut Document<'_>,
    (table, place): (&'t DeTable<'_>, &Span),
    key: &str,
    example: &str,
) -> Option<(&'t str, Span)> {
    if !table.contains_key(key) {
        document.lacks((table, place), &[key], format!("`{key}` is missing"), format!("add `{key} = {example}`"));
    }
    document.string(table, key, example)
}

/// Reports what is wrong with a text; true if nothing is.
pub(super) fn fits(
    document: &mut Document<'_>,
    place: &Span,
    key: &str,
    value: &str,
    checked: Result<(), text::TextFlaw>,
) -> bool {
    if let Err(flaw) = checked {
        document.mistake(place.clone(), format!("`{key}` {flaw}: {}", quoted(value)), near::line(key, value));
    }
    checked.is_ok()
}

pub(super) fn why(document: &mut Document<'_>, table: &DeTable<'_>) {
    if let Some((why, place)) = document.string(table, "why", "\"Sends the weekly report.\"") {
        if why.trim().is_empty() {
            document.mistake(place.clone(), "`why` is empty", "say who needs it and what for, or leave it out");
        }
        fits(document, &place, "why", why, text::sentence(why));
    }
}

fn llm(document: &mut Document<'_>, file: &DeTable<'_>) -> Option<LlmRight> {
    let (table, place) = document.table(file, "llm", "{ models = [\"small-*\"] }")?;
    document.closed(table, &LLM);
    why(document, table);
    let models = names(document, table, "models", "[\"small-*\"]", shapes::name);
    if !table.contains_key("models") {
        let hint = "for example `models = [\"small-*\"]`";
        document.lacks((table, &place), &["models"], "`llm` grants no model", hint);
    }
    let max_tokens = document.number(table, "max_tokens", "4096").map(|(max, _)| max);
    let class = document.string(table, "class", "\"normal\"").and_then(|(word, place)| {
        let class = [Class::Interactive, Class::Normal, Class::Batch].into_iter().find(|class| class.word() == word);
        if class.is_none() {
            let message = format!("no class {} can be granted", quoted(word));
            document.mistake(place, message, "\"interactive\", \"normal\" or \"batch\"");
        }
        class
    });
    let retries = document.number(table, "retries", "2").map_or(0, |(retries, place)| {
        if retries > RETRIES_MAX {
            let message = format!("`retries` is over {RETRIES_MAX}");
            document.mistake(place, message, "who is turned away so often is not let in; for example `retries = 2`");
        }
        retries
    });
    Some(LlmRight { models, max_tokens, class, retries, line: document.line(&place) })
}

fn memory(document: &mut Document<'_>, file: &DeTable<'_>) -> Option<MemoryRight> {
    let (table, place) = document.table(file, "memory", "{ read = [\"team/**\"] }")?;
    document.closed(table, &MEMORY);
    why(document, table);
    let read = names(document, table, "read", "[\"team/**\"]", shapes::namespace);
    let write = names(document, table, "write", "[\"agent/me/**\"]", shapes::namespace);
    let labels = super::extra::names(document, table, "labels");
    Some(MemoryRight { read, write, labels, line: document.line(&place) })
}

fn files(document: &mut Document<'_>, file: &DeTable<'_>) -> Vec<FilesRight> {
    let mut rights = Vec::new();
    for (table, place) in document.tables(file, "files", "[{ root = \"reports\", access = \"r\" }]") {
        document.closed(table, &FILES);
        why(document, table);
        let root = required(document, (table, &place), "root", "\"reports\"");
        let root = root.filter(|(root, place)| fits(document, place, "root", root, text::label(root)));
        let at = document.string(table, "at", "\"/out\"").map_or("/", |(at, place)| {
            fits(document, &place, "at", at, shapes::subtree(at));
            at
        });
        let access = required(document, (table, &place), "access", "\"r\"").and_then(|(word, place)| {
            let access = [Access::Read, Access::ReadWrite].into_iter().find(|access| access.word() == word);
            if access.is_none() {
                let message = format!("unknown access {}", quoted(word));
                let write = ["w", "write", "wr", "r+w", "a"].contains(&word);
                let hint = if write {
                    "write \"rw\": whoever writes reads, too"
                } else {
                    "\"r\" to read, \"rw\" to read and write"
                };
                document.mistake(place, message, hint);
            }
            access
        });
        let labels = super::extra::names(document, table, "labels");
        if let (Some((root, _)), Some(access)) = (root, access) {
            rights.push(FilesRight { root: root.into(), at: at.into(), access, labels, line: document.line(&place) });
        }
    }
    rights
}

/// An id for a rule that has none: of this agent, for this tool.
fn id_of(file: &DeTable<'_>, rule: &DeTable<'_>) -> String {
    let text = |table: &DeTable<'_>, key: &str| Some(String::from(table.get(key)?.get_ref().as_str()?));
    let tool = text(rule, "tool")
        .map(|tool| tool.trim_end_matches(['*', '.']).into())
        .filter(|tool: &String| !tool.is_empty());
    let (agent, tool) = (text(file, "agent").unwrap_or_else(|| "me".into()), tool.unwrap_or_else(|| "mail".into()));
    format!("\"{}/{}\"", text::show(&agent), text::show(&tool))
}

fn tools(document: &mut Document<'_>, file: &DeTable<'_>) -> Vec<ToolRight> {
    let mut rights: Vec<ToolRight> = Vec::new();
    for (table, place) in document.tables(file, "allow", "[{ id = \"me/mail\", tool = \"mail.send\" }]") {
        document.closed(table, &ALLOW);
        why(document, table);
        let id = required(document, (table, &place), "id", &id_of(file, table));
        let id = id.filter(|(id, place)| fits(document, place, "id", id, text::path(id)));
        let tool = required(document, (table, &place), "tool", "\"mail.send\"");
        let tool = tool.filter(|(tool, place)| fits(document, place, "tool", tool, shapes::name(tool)));
        let args = condition::arguments(document, table);
        let line = document.line(&place);
        let named = id.as_ref().map_or("", |(id, _)| *id);
        let rule = Rule { id: named.into(), file: document.file().into(), line };
        let extra = extra(document, table, &rule);
        let (Some((id, id_place)), Some((tool, _))) = (id, tool) else { continue };
        if let Some(first) = rights.iter().find(|right| right.id == id) {
            let message = format!("rule {} stands already in line {}", quoted(id), first.line);
            document.mistake(id_place, message, "give each rule an id of its own: refusals name it");
        }
        rights.push(ToolRight { tool: tool.into(), args, extra, id: id.into(), line });
    }
    rights
}

fn names(
    document: &mut Document<'_>,
    table: &DeTable<'_>,
    key: &str,
    example: &str,
    check: impl Fn(&str) -> Result<(), text::TextFlaw>,
) -> Vec<String> {
    let mut names = Vec::new();
    for (name, place) in document.strings(table, key, example) {
        if fits(document, &place, key, name, check(name)) {
            names.push(name.to_string());
        }
    }
    names
}
