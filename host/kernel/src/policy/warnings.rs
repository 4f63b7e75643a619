//! What is well formed and yet probably not meant. A warning never changes what is granted.

use alloc::format;
use alloc::vec::Vec;

use toml::de::{DeTable, DeValue};

use super::Grant;
use super::document::{Document, Span};
use crate::budget::Resource;
use crate::pattern::{name_fits, namespace_fits, path_fits};
use crate::rights::ToolRight;
use crate::text;
use crate::within;

/// Looks at one grant.
pub(super) fn find(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    package(document, table, grant);
    reasons(document, table);
    breadth(document, table, grant);
    shadows(document, table, grant);
    for (rule, place) in document.tables(table, "allow", "") {
        empty_lists(document, rule, "args", &place);
    }
    dead_rules(document, table, grant);
    methods(document, table);
    budget(document, table, grant);
}

fn package(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    let agent = Document::place(table, "agent");
    match &grant.package {
        None => {
            let hint = "for example `package = \"publisher:name@^1.2\"`";
            document.warn(agent, "any package of this name gets this grant", hint);
        }
        Some(package) if package.name.split_once(':').is_none_or(|(_, name)| name != grant.agent) => {
            let message = format!("never matches: package `{}` is not agent `{}`", package.name, grant.agent);
            document.warn(
                Document::place(table, "package"),
                message,
                "an agent is named as its package, after the `:`",
            );
        }
        Some(_) => {}
    }
}

/// Methods that servers know (the registry of RFC 9110, and two that many know besides).
const METHODS: [&str; 43] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// A method of which hardly a server has heard is probably misspelt.
fn methods(document: &mut Document<'_>, table: &DeTable<'_>) {
    for (inner, _) in document.tables(table, "http", "") {
        for (method, place) in document.strings(inner, "methods", "[\"GET\"]") {
            if !METHODS.contains(&method) {
                let hint = match text::nearest(method, METHODS.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "if its server knows it, leave it".into(),
                };
                document.warn(place, format!("no common method is called `{}`", text::show(method)), hint);
            }
        }
    }
}

/// Every grant says why.
fn reasons(document: &mut Document<'_>, table: &DeTable<'_>) {
    let hint = "say who needs it and what for, for whoever reviews this next";
    for key in ["llm", "memory"] {
        if let Some((inner, place)) = document.table(table, key, "")
            && !inner.contains_key("why")
        {
            document.warn(place, format!("`{key}` has no `why`"), hint);
        }
    }
    for key in ["files", "allow"] {
        for (inner, place) in document.tables(table, key, "") {
            if !inner.contains_key("why") {
                document.warn(place, format!("`{key}` has no `why`"), hint);
            }
        }
    }
}

/// Lists of which each item is looked at, and of which none need be there.
pub(super) fn empty_lists(document: &mut Document<'_>, rule: &DeTable<'_>, key: &str, place: &Span) {
    let Some(DeValue::Table(arguments)) = rule.get(key).map(|value| value.get_ref()) else { return };
    for (name, value) in arguments.iter() {
        let DeValue::Table(tests) = value.get_ref() else { continue };
        if tests.contains_key("each_in") && !tests.contains_key("min_items") {
            let name: &str = name.get_ref();
            let message =
                format!("an empty list passes: `{}` says nothing of how many there must be", text::show(name));
            let hint = "add `min_items = 1` beside `each_in`";
            let at = if value.span().is_empty() { place.clone() } else { value.span() };
            document.warn(at, message, hint);
        }
    }
}

fn breadth(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    if let Some(llm) = &grant.rights.llm {
        let place = Document::place(table, "llm");
        if llm.models.is_empty() {
            document.warn(place.clone(), "never matches: `models` is empty", "name a model, or remove `llm`");
        }
        if llm.models.iter().any(|model| model == "*") {
            document.warn(place.clone(), "grants every model, the dearest too", "name the models that it needs");
        }
        if llm.max_tokens == Some(0) {
            document.warn(place, "grants answers of no length", "raise `max_tokens`, or remove `llm`");
        }
    }
    if let Some(memory) = &grant.rights.memory {
        let place = Document::place(table, "memory");
        if memory.read.is_empty() && memory.write.is_empty() {
            let hint = "name a namespace in `read` or `write`, or remove `memory`";
            document.warn(place.clone(), "never matches: `memory` names no namespace", hint);
        }
        if memory.write.iter().any(|pattern| pattern == "**") {
            let hint = "grant `agent/NAME/**`, and what it shares with others by name";
            document.warn(place, "may write every agent's memory", hint);
        }
    }
    if grant.rights.tools.iter().any(|right| right.tool == "*") {
        document.warn(Document::place(table, "allow"), "grants every tool", "name the tools that it needs");
    }
}

/// Rules that change nothing, because a wider one stands before or behind them.
fn shadows(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    let hint = "remove one of them";
    let places: Vec<_> = document.tables(table, "files", "").into_iter().map(|(_, place)| place).collect();
    let mut shadowed = |place: Span, narrow: &str, wide: &str| {
        let message = format!("`{narrow}` changes nothing beside `{wide}`");
        document.warn(place, message, hint);
    };
    let pairs = |len: usize| (0..len).flat_map(move |i| (0..len).map(move |j| (i, j))).filter(|(i, j)| i != j);
    let same_is_once = |narrow: &str, wide: &str, (i, j): (usize, usize)| narrow != wide || i > j;
    if let Some(llm) = &grant.rights.llm {
        for (i, j) in pairs(llm.models.len()) {
            let (narrow, wide) = (llm.models[i].as_str(), llm.models[j].as_str());
            if name_fits(wide, narrow) && same_is_once(narrow, wide, (i, j)) {
                shadowed(Document::place(table, "llm"), narrow, wide);
            }
        }
    }
    for list in grant.rights.memory.iter().flat_map(|memory| [&memory.read, &memory.write]) {
        for (i, j) in pairs(list.len()) {
            let (narrow, wide) = (list[i].as_str(), list[j].as_str());
            if namespace_fits(wide, narrow) && same_is_once(narrow, wide, (i, j)) {
                shadowed(Document::place(table, "memory"), narrow, wide);
            }
        }
    }
    let files = &grant.rights.files;
    for (i, j) in pairs(files.len()) {
        let (narrow, wide) = (&files[i], &files[j]);
        let within = path_fits(&wide.at, narrow.at.trim_start_matches('/'));
        let accessed = wide.access == narrow.access || wide.allows(&wide.root, wide.at.trim_start_matches('/'), true);
        let once = (&narrow.at, narrow.access) != (&wide.at, wide.access) || i > j;
        if narrow.root == wide.root && within && accessed && once {
            // What was read is all that stands there, in the same order.
            let place = places.get(i).cloned().unwrap_or(Document::place(table, "files"));
            shadowed(place, &format!("{}{}", narrow.root, narrow.at), &format!("{}{}", wide.root, wide.at));
        }
    }
}

/// Rules for tools that change nothing, because another gives all that they give.
fn dead_rules(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    let rules = &grant.rights.tools;
    let covers = |wide: &ToolRight, narrow: &ToolRight| {
        // A rate is a right of its own: two rules with one each give the sum.
        wide.extra.rate.is_none() && wide.extra.labels == narrow.extra.labels && within::tool(narrow, wide)
    };
    let places: Vec<_> = document.tables(table, "allow", "").into_iter().map(|(_, place)| place).collect();
    for (at, narrow) in rules.iter().enumerate() {
        let wider = |(other, wide): &(usize, &ToolRight)| {
            *other != at && covers(wide, narrow) && (*other < at || !covers(narrow, wide))
        };
        if let Some((_, wide)) = rules.iter().enumerate().find(wider) {
            let message = format!("rule `{}` changes nothing beside `{}`", narrow.id, wide.id);
            let place = places.iter().find(|place| document.line(place) == narrow.line).cloned().unwrap_or(0..0);
            document.warn(place, message, "remove one of them");
        }
    }
}

fn budget(document: &mut Document<'_>, table: &DeTable<'_>, grant: &Grant) {
    if grant.rights.llm.is_some() && !grant.budget.has(Resource::Usd) && !grant.budget.has(Resource::Tokens) {
        let hint = "for example `usd_day = \"2.00\"` or `tokens_day = 400_000` under [budget]";
        document.warn(Document::place(table, "llm"), "models without a limit in money or tokens", hint);
    }
    for what in Resource::ALL {
        let (Some(run), Some(day)) = (grant.budget.run.get(what), grant.budget.day.get(what)) else { continue };
        if run > day {
            let message = format!("a run never gets its {}: a day has less", what.name());
            document.warn(Document::place(table, "budget"), message, "lower the limit of the run to that of the day");
        }
    }
}
