//! A small universe that policies and calls are drawn from: few names, so that rules and calls meet often, and every word of the
//! language. Texts are plain: how tricks of spelling are read is ours alone, and has tests of its own in the kernel.

use std::fmt::Write as _;
use std::sync::Arc;

use agentry_kernel::inquiry::{Question, Scenario, read_call};
use agentry_kernel::model::Model;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Digest, Labels, Millis, json};

use crate::chance::Chance;

/// The agent that everything is about.
pub const AGENT: &str = "a";

const TOOLS: [(&str, Effect); 5] = [
    ("mail.send", Effect::Egress),
    ("mail.read", Effect::Read),
    ("pay.send", Effect::Irreversible),
    ("pay.plan", Effect::Reversible),
    ("note", Effect::Idempotent),
];
const TOOL_PATTERNS: [&str; 7] = ["mail.send", "mail.*", "pay.send", "pay.*", "p*", "note", "*"];
const MODELS: [&str; 3] = ["small-1", "small-2", "large"];
const MODEL_PATTERNS: [&str; 4] = ["small-1", "small-*", "large", "*"];
const NAMESPACES: [&str; 6] = ["team", "team/board", "team/board/x", "agent/a", "agent/a/b", "teammate"];
const NAMESPACE_PATTERNS: [&str; 6] = ["team/**", "team/board", "team/board/**", "agent/a/**", "agent/a", "**"];
const PATHS: [&str; 6] = ["", "out", "out/a", "out/a/b", "outside", "in/c"];
const SUBTREES: [&str; 4] = ["/", "/out", "/out/a", "/in"];
const HOSTS: [&str; 5] = ["api.example.org", "b.api.example.org", "www.example.org", "example.org", "evil.test"];
const HOST_PATTERNS: [&str; 5] = ["api.example.org", "*.example.org", "*.api.example.org", "evil.test", "*"];
const URL_PATHS: [&str; 5] = ["/", "/v1", "/v1/x", "/v10", "/v2"];
const URL_PATTERNS: [&str; 5] = ["/**", "/v1/**", "/v1", "/", "/v2/**"];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const LABELS: [&str; 3] = ["secret", "untrusted", "pii"];
const TEXTS: [&str; 7] = ["", "a", "ab", "abc", "b", "report 1", "ops@example.org"];
const LITERALS: [&str; 7] = ["\"a\"", "\"ab\"", "\"b\"", "\"ops@example.org\"", "1", "5", "true"];
const VALUES: [&str; 14] = [
    "0",
    "1",
    "3",
    "5",
    "9",
    "true",
    "false",
    "null",
    "1.5",
    "[]",
    "[\"a\"]",
    "[\"a\",\"b\"]",
    "[\"ops@example.org\",1,\"b\"]",
    "{}",
];
const ARGUMENTS: [&str; 3] = ["cents", "subject", "to"];

/// A policy: the text of a site file and of a grant.
pub fn policy(chance: &mut Chance) -> [String; 2] {
    [site(chance), grant(chance)]
}

/// The policy of these files, as a host reads it.
///
/// # Panics
/// If it does not parse: then the universe is wrong.
pub fn parse(files: &[String; 2]) -> Policy {
    let sources = [Source { file: "0.toml", text: &files[0] }, Source { file: "1.toml", text: &files[1] }];
    Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}\n{files:?}", mistakes[0]))
}

/// The scenario under a policy.
pub fn scenario(policy: Policy) -> Scenario {
    let model = |alias: &str| Model {
        alias: alias.into(),
        price: None,
        context_tokens: 1000,
        output_tokens_max: 100,
        slots: 1,
        local: true,
    };
    let tool = |(name, effect): (&str, Effect)| Tool { name: name.into(), effect, ..Tool::default() };
    Scenario {
        policy: Arc::new(policy),
        models: MODELS.into_iter().map(model).collect(),
        tools: TOOLS.into_iter().map(tool).collect(),
        at: Millis(1_800_000_000_000),
    }
}

/// What a tool of the universe does.
pub fn effect(name: &str) -> &'static str {
    TOOLS.into_iter().find(|(tool, _)| *tool == name).map_or("irreversible", |(_, effect)| effect.word())
}

/// A call by a run that has read something.
pub fn question(chance: &mut Chance) -> Question {
    let mut text = String::from("{");
    let acts = ["read", "write", "delete"];
    let _ = match chance.below(8) {
        0..=3 => {
            write!(text, "\"tool\":\"{}\",\"args\":{}", chance.one(&TOOLS.map(|(name, _)| name)), arguments(chance))
        }
        4 => write!(text, "\"model\":\"{}\"", chance.one(&MODELS)),
        5 => write!(text, "\"memory\":\"{}\",\"act\":\"{}\"", chance.one(&NAMESPACES), chance.one(&acts)),
        6 => write!(text, "\"root\":\"r\",\"path\":\"{}\",\"act\":\"{}\"", chance.one(&PATHS), chance.one(&acts)),
        _ => {
            let (host, path, method) = (chance.one(&HOSTS), chance.one(&URL_PATHS), chance.one(&METHODS));
            write!(text, "\"http\":\"https://{host}{path}\",\"method\":\"{method}\"")
        }
    };
    text.push('}');
    let value = json::parse(&text).expect("the universe writes JSON");
    let call = read_call(&value).expect("the universe writes calls");
    let labels = Labels::of(LABELS.into_iter().filter(|_| chance.percent(35)));
    Question { agent: AGENT.into(), package: None, labels, call }
}

fn arguments(chance: &mut Chance) -> String {
    let mut entries = Vec::new();
    for name in ARGUMENTS.into_iter().chain(["other"]) {
        if !chance.percent(if name == "other" { 5 } else { 55 }) {
            continue;
        }
        let value = match (name, chance.percent(15)) {
            ("cents", false) => chance.one(&["0", "1", "3", "5", "9"]).to_owned(),
            ("subject", false) => format!("\"{}\"", chance.one(&TEXTS)),
            ("to", false) => chance.one(&VALUES[9..13]).to_owned(),
            _ => chance.one(&VALUES).to_owned(),
        };
        entries.push(format!("\"{name}\":{value}"));
    }
    format!("{{{}}}", entries.join(","))
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn grant(chance: &mut Chance) -> String {
    let mut text = format!("format = 1\nlayer = \"grant\"\nagent = \"{AGENT}\"\n");
    if chance.percent(70) {
        let _ = writeln!(text, "llm = {{ models = [{}] }}", quoted(&chance.some(&MODEL_PATTERNS)));
    }
    if chance.percent(70) {
        let (read, write) = (quoted(&chance.some(&NAMESPACE_PATTERNS)), quoted(&chance.some(&NAMESPACE_PATTERNS)));
        let _ = writeln!(text, "memory = {{ read = [{read}], write = [{write}] }}");
    }
    for _ in 0..chance.below(3) {
        let (at, access) = (chance.one(&SUBTREES), chance.one(&["r", "rw"]));
        let _ = writeln!(text, "[[files]]\nroot = \"r\"\nat = \"{at}\"\naccess = \"{access}\"");
    }
    for _ in 0..chance.below(3) {
        let (methods, paths) = (quoted(&chance.some(&METHODS)), quoted(&chance.some(&URL_PATTERNS)));
        let to = chance.one(&HOST_PATTERNS);
        let _ = writeln!(
            text,
            "[[http]]\nto = \"https://{to}\"\nmethods = [{methods}]\npaths = [{paths}]\n{}",
            extra(chance)
        );
    }
    for place in 0..chance.below(5) {
        let _ = writeln!(
            text,
            "[[allow]]\nid = \"a/{place}\"\ntool = \"{}\"\n{}",
            chance.one(&TOOL_PATTERNS),
            extra(chance)
        );
        if chance.percent(15) {
            text.push_str("args = \"any\"\n");
            continue;
        }
        for name in ARGUMENTS {
            if chance.percent(60) {
                let optional = if chance.percent(50) { ", optional = true" } else { "" };
                let _ = writeln!(text, "args.{name} = {{ {}{optional} }}", constraint(chance, name));
            }
        }
    }
    text
}

fn extra(chance: &mut Chance) -> String {
    let mut text = String::new();
    if chance.percent(25) {
        let _ = writeln!(text, "unless = {{ {} }}", labels(chance));
    }
    if chance.percent(15) {
        text.push_str("approval = { from = \"anyone\" }\n");
    }
    text
}

fn labels(chance: &mut Chance) -> String {
    let key = chance.one(&["labels_any", "labels_all"]);
    format!("{key} = [{}]", quoted(&chance.some(&LABELS)))
}

fn constraint(chance: &mut Chance, name: &str) -> String {
    let literals = |chance: &mut Chance| chance.some(&LITERALS).join(", ");
    let min = chance.below(4);
    let max = min + chance.below(6);
    let kind = chance.below(10);
    match name {
        _ if kind == 0 => "any = true".into(),
        _ if kind == 1 => format!("in = [{}]", literals(chance)),
        "cents" => format!("min = {min}, max = {max}"),
        "subject" if kind <= 4 => format!("prefix = \"{}\"", chance.one(&["a", "ab", "report"])),
        "subject" if kind <= 6 => format!("prefix = \"a\", max_bytes = {max}"),
        "subject" => format!("max_bytes = {max}"),
        _ if kind <= 5 => format!("each_in = [{}]", literals(chance)),
        _ if kind <= 7 => format!("each_in = [{}], min_items = 1", literals(chance)),
        _ => format!("min_items = {min}, max_items = {max}"),
    }
}

fn site(chance: &mut Chance) -> String {
    let mut text = String::from("format = 1\nlayer = \"site\"\n");
    if chance.percent(30) {
        text.push_str("[ceiling]\n");
        if chance.percent(60) {
            let _ = writeln!(text, "models = [{}]", quoted(&chance.some(&MODEL_PATTERNS)));
        }
        if chance.percent(60) {
            let _ = writeln!(text, "tools = [{}]", quoted(&chance.some(&TOOL_PATTERNS)));
        }
        let hosts = chance.some(&HOST_PATTERNS).iter().map(|host| format!("\"https://{host}\"")).collect::<Vec<_>>();
        let _ = writeln!(text, "egress = [{}]", hosts.join(", "));
    }
    for place in 0..chance.below(5) {
        let kind = chance.one(&["forbid", "forbid", "require"]);
        let _ = writeln!(text, "[[{kind}]]\nid = \"site/{place}\"");
        if chance.percent(20) {
            let _ = writeln!(text, "agent = \"{}\"", chance.one(&["a", "somebody-else"]));
        }
        let about_tools = target(chance, &mut text);
        conditions(chance, &mut text, about_tools);
        if kind == "require" {
            text.push_str("approval = { from = \"anyone\" }\n");
        }
    }
    text
}

/// What a rule is about; true if that has arguments.
fn target(chance: &mut Chance, text: &mut String) -> bool {
    let acts = |chance: &mut Chance| {
        if chance.percent(50) {
            format!("acts = [{}]\n", quoted(&chance.some(&["read", "write", "delete"])))
        } else {
            String::new()
        }
    };
    let kind = chance.below(8);
    let _ = match kind {
        0..=2 => writeln!(text, "tool = \"{}\"", chance.one(&TOOL_PATTERNS)),
        3 => writeln!(
            text,
            "effect = \"{}\"",
            chance.one(&["egress", "irreversible", "read", "reversible", "idempotent"])
        ),
        4 => writeln!(text, "model = \"{}\"", chance.one(&MODEL_PATTERNS)),
        5 => writeln!(text, "memory = \"{}\"\n{}", chance.one(&["team/**", "team/board", "agent/a/**"]), acts(chance)),
        6 => writeln!(text, "root = \"r\"\nat = \"{}\"\n{}", chance.one(&SUBTREES), acts(chance)),
        _ => {
            let _ = writeln!(text, "host = \"{}\"", chance.one(&HOST_PATTERNS));
            if chance.percent(40) {
                let _ = writeln!(text, "methods = [{}]", quoted(&chance.some(&METHODS)));
            }
            if chance.percent(40) {
                let _ = writeln!(text, "paths = [{}]", quoted(&chance.some(&["/v1", "/v2"])));
            }
            Ok(())
        }
    };
    kind <= 3
}

fn conditions(chance: &mut Chance, text: &mut String, about_tools: bool) {
    let mut when = Vec::new();
    if chance.percent(40) {
        when.push(labels(chance));
    }
    if about_tools && chance.percent(30) {
        let name = chance.one(&ARGUMENTS);
        when.push(format!("{name} = {{ {} }}", constraint(chance, name)));
    }
    if !when.is_empty() {
        let _ = writeln!(text, "when = {{ {} }}", when.join(", "));
    }
    if about_tools && chance.percent(30) {
        let name = chance.one(&ARGUMENTS);
        let _ = writeln!(text, "unless = {{ {name} = {{ {} }} }}", constraint(chance, name));
    }
}
