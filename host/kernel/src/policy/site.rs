//! One site file: from its table to ceiling and rules, or to mistakes. What it says bounds every grant.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::condition::{listed, texts, unknown};
use super::document::{Document, Span, Words, quoted};
use super::extra::{approval, names};
use super::grant::{fits, required, why};
use super::outside::origin;
use super::rules::{Ceiling, Duty, SiteRule, Target, When};
use super::subject::Act;
use super::{Budget, Policy, budget, trial};
use crate::refusal::Rule;
use crate::rights::Origin;
use crate::rights::shapes;
use crate::text;
use crate::tool::Effect;

const FILE: Words = Words {
    table: "a site file",
    known: &["format", "layer", "mode", "why", "ceiling", "forbid", "require", "label", "test"],
    later: &["expires", "publisher"],
};
const CEILING: Words = Words {
    table: "[ceiling]",
    known: &["models", "tools", "egress", "budget", "why"],
    later: &["memory", "files", "secrets", "agents"],
};

/// What may stand in a rule, whatever it does: what it is about, and when.
const TARGET: [&str; 10] = ["tool", "effect", "model", "memory", "root", "at", "host", "methods", "paths", "acts"];
const FORBID: Words =
    Words { table: "[[forbid]]", known: &words(&["id", "agent", "when", "unless", "why"]), later: &[] };
const REQUIRE: Words =
    Words { table: "[[require]]", known: &words(&["id", "agent", "when", "unless", "why", "approval"]), later: &[] };
const LABEL: Words =
    Words { table: "[[label]]", known: &words(&["id", "agent", "when", "why", "adds", "removes"]), later: &[] };

/// The words of a target and these.
const fn words<const OWN: usize>(own: &[&'static str; OWN]) -> [&'static str; 16] {
    let mut all = ["id"; 16];
    let mut at = 0;
    while at < TARGET.len() {
        all[at] = TARGET[at];
        at += 1;
    }
    while at < TARGET.len() + OWN {
        all[at] = own[at - TARGET.len()];
        at += 1;
    }
    all
}

/// Reads a site file into the policy.
pub(super) fn read(document: &mut Document<'_>, table: &DeTable<'_>, observed: bool, policy: &mut Policy) {
    document.closed(table, &FILE);
    why(document, table);
    ceiling(document, table, observed, policy);
    let mut ids = policy.rules.iter().map(|rule| (rule.rule.id.clone(), (rule.rule.clone(), None))).collect();
    for (key, words) in [("forbid", &FORBID), ("require", &REQUIRE), ("label", &LABEL)] {
        for (inner, place) in document.tables(table, key, "[{ id = \"site/no\", tool = \"pay.*\" }]") {
            policy.rules.extend(rule(document, (inner, &place), words, observed, &mut ids));
        }
    }
    policy.trials.extend(trial::read(document, table, None));
}

fn ceiling(document: &mut Document<'_>, file: &DeTable<'_>, observed: bool, policy: &mut Policy) {
    let Some((table, place)) = document.table(file, "ceiling", "{ models = [\"small-*\"] }") else { return };
    document.closed(table, &CEILING);
    why(document, table);
    let rule = Rule { id: "site/ceiling".into(), file: document.file().into(), line: document.line(&place) };
    let egress: Option<Vec<Origin>> = table.contains_key("egress").then(|| {
        let origins = document.strings(table, "egress", "[\"https://*.example.org\"]");
        origins.into_iter().filter_map(|(text, place)| origin(document, "egress", text, &place)).collect()
    });
    let models = texts(document, table, "models", "\"small-*\"", shapes::name);
    let tools = texts(document, table, "tools", "\"mail.*\"", shapes::name);
    if table.contains_key("budget") {
        let site = Rule { id: "site".into(), ..rule.clone() };
        let budget = budget::read_ceiling(document, table, &site);
        match (observed, policy.budget.rule.line) {
            (true, _) => {
                let hint = "a budget is held or it is not: put it into a file that is in force";
                document.mistake(Document::place(table, "budget"), "a budget cannot be observed", hint);
            }
            (false, 0) => policy.budget = budget,
            (false, line) => twice(document, Document::place(table, "budget"), &policy.budget, line),
        }
    }
    policy.ceilings.push(Ceiling { rule, models, tools, egress, observed });
}

fn twice(document: &mut Document<'_>, place: Span, first: &Budget, line: u32) {
    let message = format!("the site has a budget already, in {}:{line}", first.rule.file);
    document.mistake(place, message, "the site has one budget: put both together, or remove one");
}

fn rule(
    document: &mut Document<'_>,
    (table, place): (&DeTable<'_>, &Span),
    words: &Words,
    observed: bool,
    ids: &mut BTreeMap<String, (Rule, Option<Span>)>,
) -> Option<SiteRule> {
    document.closed(table, words);
    why(document, table);
    let id = required(document, (table, place), "id", "\"site/pay-cap\"");
    let id = id.filter(|(id, place)| fits(document, place, "id", id, text::path(id)));
    let (id, id_place) = id.map_or(("", place.clone()), |(id, place)| (id, place));
    let rule = Rule { id: id.into(), file: document.file().into(), line: document.line(place) };
    if !id.is_empty() {
        only(document, id, (&rule, id_place), ids);
    }
    let agent = document.string(table, "agent", "\"reporter\"");
    let agent = agent.filter(|(agent, place)| fits(document, place, "agent", agent, text::label(agent)));
    let target = target(document, table, place);
    let when = when(document, table);
    let unless = unless(document, table);
    if let Some(target) = &target
        && !matches!(target, Target::Tool(_) | Target::Effect(_))
        && !(when.args.is_empty() && unless.is_empty())
    {
        document.mistake(place.clone(), "only tools have arguments", "test labels here, or name a `tool`");
    }
    let duty = match words.table {
        "[[forbid]]" => Some(Duty::Forbid),
        "[[require]]" => {
            if !table.contains_key("approval") {
                let hint = "for example `approval = { from = \"group:ops\", factor = \"totp\" }`";
                document.lacks((table, place), &["approval"], "`approval` is missing", hint);
            }
            approval(document, table, &rule).map(Duty::Require)
        }
        _ => marks(document, table, place),
    };
    let why = document.string(table, "why", "\"…\"").map_or("", |(why, _)| why);
    if why.is_empty() && !table.contains_key("why") {
        let hint = "say what it protects, for whoever is refused and whoever reviews this next";
        document.warn(place.clone(), format!("{} has no `why`", words.table), hint);
    }
    let (why, agent) = (why.to_string(), agent.map(|(agent, _)| agent.to_string()));
    Some(SiteRule { rule, duty: duty?, target: target?, agent, when, unless, why, observed })
}

/// Tells a second rule of the same id, where it stands: rules are read by kinds, and not in the order of the file.
fn only(
    document: &mut Document<'_>,
    id: &str,
    (rule, place): (&Rule, Span),
    ids: &mut BTreeMap<String, (Rule, Option<Span>)>,
) {
    let Some((other, its)) = ids.get(id) else {
        ids.insert(id.into(), (rule.clone(), Some(place)));
        return;
    };
    let (first, second) = match its {
        Some(its) if its.start > place.start => (rule, its.clone()),
        _ => (other, place),
    };
    let message = format!("rule {} stands already in {}:{}", quoted(id), first.file, first.line);
    document.mistake(second, message, "give each rule an id of its own: refusals name it");
}

fn marks(document: &mut Document<'_>, table: &DeTable<'_>, place: &Span) -> Option<Duty> {
    let (adds, removes) = (names(document, table, "adds"), names(document, table, "removes"));
    if adds.is_empty() && removes.is_empty() {
        let hint = "for example `adds = [\"untrusted\"]`";
        document.lacks((table, place), &["adds", "removes"], "it adds and removes nothing", hint);
        return None;
    }
    if let Some(both) = adds.iter().find(|label| removes.has(label)) {
        let hint = "take it out of one of them: what is added is held, what is removed is not";
        document.mistake(Document::place(table, "removes"), format!("`{both}` is added and removed"), hint);
        return None;
    }
    Some(Duty::Mark { adds, removes })
}

/// What the rule is about: exactly one thing.
fn target(document: &mut Document<'_>, table: &DeTable<'_>, place: &Span) -> Option<Target> {
    const KINDS: [(&str, &[&str]); 6] = [
        ("tool", &[]),
        ("effect", &[]),
        ("model", &[]),
        ("memory", &["acts"]),
        ("root", &["at", "acts"]),
        ("host", &["methods", "paths"]),
    ];
    let mut named = KINDS.iter().filter(|(key, _)| table.contains_key(*key));
    let (Some((key, parts)), None) = (named.next(), named.next()) else {
        let hint = "it names one of `tool`, `effect`, `model`, `memory`, `root` or `host`";
        let kinds = KINDS.map(|(key, _)| key);
        match kinds.iter().filter(|key| table.contains_key(**key)).count() {
            0 => document.lacks((table, place), &kinds, "the rule must be about exactly one thing", hint),
            _ => document.mistake(place.clone(), "the rule must be about exactly one thing", hint),
        }
        return None;
    };
    for (part, _) in
        table.iter().filter(|(part, _)| ["at", "acts", "methods", "paths"].contains(&(part.get_ref() as &str)))
    {
        if !parts.contains(&(part.get_ref() as &str)) {
            let message = format!("`{}` makes no sense beside `{key}`", part.get_ref());
            document.mistake(part.span(), message, "take it out, or name what it belongs to");
        }
    }
    let (name, name_place) = document.string(table, key, "\"pay.*\"")?;
    Some(match *key {
        "tool" if fits(document, &name_place, key, name, shapes::name(name)) => Target::Tool(name.into()),
        "model" if fits(document, &name_place, key, name, shapes::name(name)) => Target::Model(name.into()),
        "effect" => match Effect::from_word(name) {
            Some(effect) => Target::Effect(effect),
            None => {
                unknown(document, name_place, "effect", name, &Effect::ALL.map(Effect::word));
                return None;
            }
        },
        "memory" if fits(document, &name_place, key, name, shapes::namespace(name)) => {
            let namespace = name.strip_suffix("**").unwrap_or(name).trim_end_matches('/').to_string();
            Target::Memory { namespace, acts: acts(document, table) }
        }
        "root" if fits(document, &name_place, key, name, text::label(name)) => {
            let at = document.string(table, "at", "\"/archive\"");
            let at = at.filter(|(at, place)| fits(document, place, "at", at, shapes::subtree(at)));
            let at = at.map_or_else(|| "/".to_string(), |(at, _)| at.to_string());
            Target::Files { root: name.into(), at, acts: acts(document, table) }
        }
        "host" if fits(document, &name_place, key, name, shapes::host(name)) => Target::Http {
            host: name.into(),
            methods: texts(document, table, "methods", "\"POST\"", shapes::method).unwrap_or_default(),
            paths: texts(document, table, "paths", "\"/admin\"", shapes::url_path)
                .unwrap_or_default()
                .into_iter()
                .map(|path| path.strip_suffix("/**").unwrap_or(&path).to_string())
                .collect(),
        },
        _ => return None,
    })
}

fn acts(document: &mut Document<'_>, table: &DeTable<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    for (word, place) in document.strings(table, "acts", "[\"delete\"]") {
        match Act::ALL.into_iter().find(|act| act.word() == word) {
            Some(act) => acts.push(act),
            None => unknown(document, place, "act", word, &Act::ALL.map(Act::word)),
        }
    }
    if let Some(DeValue::Array(list)) = table.get("acts").map(Spanned::get_ref)
        && list.is_empty()
    {
        document.mistake(Document::place(table, "acts"), "`acts` is empty", "leave it out for every act");
    }
    acts
}

fn when(document: &mut Document<'_>, table: &DeTable<'_>) -> When {
    let Some((inner, place)) = document.table(table, "when", "{ labels_all = [\"untrusted\", \"secret\"] }") else {
        return When::default();
    };
    if inner.is_empty() {
        document.mistake(place.clone(), "`when` is empty", "leave it out if the rule always applies");
    }
    let labels = tests_of_labels(document, inner);
    When {
        labels_any: names(document, inner, LABEL_TESTS[0]),
        labels_all: names(document, inner, LABEL_TESTS[1]),
        args: listed(document, inner, &place, &labels),
    }
}

/// The tests of labels; all else that stands beside them is an argument.
const LABEL_TESTS: [&str; 2] = ["labels_any", "labels_all"];

/// The keys that test labels or were meant to. A list of labels under another word would test an argument of that name, which no call has.
fn tests_of_labels<'t>(document: &mut Document<'_>, table: &'t DeTable<'_>) -> Vec<&'t str> {
    let mut keys = LABEL_TESTS.to_vec();
    for (name, value) in table.iter() {
        let key: &str = name.get_ref();
        let is_list = matches!(value.get_ref(), DeValue::Array(_) | DeValue::String(_));
        if is_list && key.starts_with("label") && !LABEL_TESTS.contains(&key) {
            let hint = "write `labels_all` if a run must hold all of them, `labels_any` if one is enough";
            document.mistake(name.span(), format!("`{}` is no test of labels", text::show(key)), hint);
            keys.push(key);
        }
    }
    keys
}

fn unless(document: &mut Document<'_>, table: &DeTable<'_>) -> Vec<(String, crate::constraint::Constraint)> {
    let Some((inner, place)) = document.table(table, "unless", "{ cents = { min = 1, max = 50_000 } }") else {
        return Vec::new();
    };
    if inner.is_empty() {
        document.mistake(place.clone(), "`unless` is empty", "leave it out if nothing lifts the rule");
    }
    for key in LABEL_TESTS {
        if let Some((name, _)) = inner.get_key_value(key) {
            let hint = "whoever reads more would be allowed more: test labels in `when`";
            document.mistake(name.span(), "a label lifts no rule", hint);
        }
    }
    super::warnings::empty_lists(document, table, "unless", &place);
    let labels = tests_of_labels(document, inner);
    listed(document, inner, &place, &labels)
}
