//! A grant as text, made from what a package asks for. What a package says is escaped; nothing of it is trusted.

use alloc::format;
use alloc::string::{String, ToString};

use crate::budget::words::Amount;
use crate::manifest::{Manifest, Wants};
use crate::publisher::PublisherKey;
use crate::text;

/// What an author who suggests no budget is given to start with.
const BUDGET: [(&str, &str); 5] = [
    ("usd_run", "\"0.10\""),
    ("usd_day", "\"1.00\""),
    ("tokens_run", "200_000"),
    ("tokens_day", "2_000_000"),
    ("wall_run", "\"10m\""),
];

pub(super) fn draft(manifest: &Manifest, signer: Option<PublisherKey>) -> String {
    let agent = manifest.agent();
    let mut draft = format!(
        "# What agent `{agent}` may do. Made from what its package asks for: review every line before you save it.\n\
         # A `why` below is the author's word. What you take out is denied.\n\
         format = 1\n\
         layer = \"grant\"\n\
         agent = {}\n\
         package = {}\n\
         {}mode = \"enforce\"\n",
        quoted(agent),
        quoted(&format!("{}@^{}", manifest.name, version(&manifest.version))),
        signer.map_or_else(String::new, |key| format!("publisher = \"{key}\"\n")),
    );
    if !manifest.description.is_empty() {
        draft.push_str(&format!("why = {}\n", quoted(&manifest.description)));
    }
    wants(&mut draft, agent, &manifest.wants);
    draft.push('\n');
    draft.push_str(&budget(manifest));
    draft
}

/// The part of it that says what the agent may spend.
pub(super) fn budget(manifest: &Manifest) -> String {
    let mut draft = String::from("[budget]\n");
    if manifest.budget.is_empty() {
        BUDGET.iter().for_each(|(key, amount)| draft.push_str(&ours(key, amount)));
    }
    lacking(manifest).for_each(|(key, amount)| draft.push_str(&ours(key, amount)));
    for (key, amount) in &manifest.budget {
        let amount = match amount {
            Amount::Number(number) => number.to_string(),
            Amount::Text(text) => quoted(text),
        };
        draft.push_str(&format!("{key} = {amount}\n"));
    }
    draft
}

/// A limit that nobody asked for.
fn ours(key: &str, amount: &str) -> String {
    format!("{key} = {amount}    # Agentry's default, not asked for\n")
}

fn wants(draft: &mut String, agent: &str, wants: &Wants) {
    if let Some(llm) = &wants.llm {
        draft.push_str(&format!("\n[llm]\nmodels = {}\n", list(&llm.models)));
        if let Some(max_tokens) = llm.max_tokens {
            draft.push_str(&format!("max_tokens = {max_tokens}\n"));
        }
        if let Some(class) = llm.class {
            draft.push_str(&format!("class = {}\n", quoted(class.word())));
        }
        draft.push_str(&why(&llm.why, llm.optional));
    }
    if let Some(memory) = &wants.memory {
        draft.push_str(&format!("\n[memory]\nread = {}\nwrite = {}\n", list(&memory.read), list(&memory.write)));
        draft.push_str(&why(&memory.why, memory.optional));
    }
    for files in &wants.files {
        let (root, access) = (quoted(&files.root), quoted(files.access.word()));
        draft.push_str(&format!("\n[[files]]\nroot = {root}\nat = \"/\"\naccess = {access}\n"));
        draft.push_str(&why(&files.why, files.optional));
    }
    for (count, tool) in wants.tools.iter().enumerate() {
        let id = format!("{agent}/tool-{}", count + 1);
        draft.push_str(&format!("\n[[allow]]\nid = {}\ntool = {}\n", quoted(&id), quoted(&tool.tool)));
        draft.push_str("args = \"any\"    # narrow it: `args.NAME = { … }` for each argument that it needs\n");
        draft.push_str(&why(&tool.why, tool.optional));
    }
    if let Some(http) = &wants.http {
        let methods = if http.methods.is_empty() { "[\"GET\"]".to_string() } else { list(&http.methods) };
        for host in &http.hosts {
            draft.push_str(&format!("\n[[http]]\nto = {}\nmethods = {methods}\n", quoted(host)));
            draft.push_str(&why(&http.why, http.optional));
        }
        if http.hosts.is_empty() {
            draft.push_str(&format!("\n# It also asks for `http`: {}. Name the hosts:\n", quoted(&http.why)));
            let lines = "[[http]]\nto = \"https://api.example.org\"\nmethods = [\"GET\"]\npaths = [\"/v1/**\"]\n";
            draft.push_str(&commented(&format!("{lines}{}", why(&http.why, http.optional))));
        }
    }
    for secret in &wants.secrets {
        let only_to = secret.origin().map_or_else(|| secret.only_to.clone(), |origin| origin.to_string());
        draft.push_str(&format!(
            "\n[[secrets]]\nhandle = {}\nonly_to = {}\n",
            quoted(&secret.handle),
            quoted(&only_to)
        ));
        draft.push_str(&why(&secret.why, secret.optional));
    }
    if let Some(human) = &wants.human {
        draft.push_str("\n[human]\nask = true\nnotify = true\n");
        draft.push_str(&why(&human.why, human.optional));
    }
    if let Some(agents) = &wants.agents {
        let lists = [("call", &agents.call), ("send", &agents.send), ("receive", &agents.receive)];
        let named = lists.iter().filter(|(_, list)| !list.is_empty());
        let lines: String = named.map(|(key, names)| format!("{key} = {}\n", list(names))).collect();
        if lines.is_empty() {
            draft.push_str(&format!("\n# It also asks for `agents`: {}. Name them:\n", quoted(&agents.why)));
            let lines = "[agents]\ncall = [\"fetcher\"]\nsend = [\"fetcher\"]\nreceive = [\"fetcher\"]\n";
            draft.push_str(&commented(&format!("{lines}{}", why(&agents.why, agents.optional))));
        } else {
            draft.push_str(&format!("\n[agents]\n{lines}"));
            draft.push_str(&why(&agents.why, agents.optional));
        }
    }
    for (name, other) in wants.others() {
        draft.push_str(&format!(
            "\n# It also asks for `{name}`, which this version cannot grant: {}\n",
            quoted(&other.why)
        ));
    }
}

/// Lines that are to be uncommented. Each block begins with a heading of its own, because TOML counts a line to the heading above it:
/// so it holds wherever it stands.
fn commented(lines: &str) -> String {
    lines.lines().map(|line| format!("# {line}\n")).collect()
}

/// Limits that its author did not think of, on what it asks for.
fn lacking(manifest: &Manifest) -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = |prefix: &str| manifest.budget.keys().any(|key| key.starts_with(prefix));
    let wants = &manifest.wants;
    let money = wants.llm.is_some() && !manifest.budget.is_empty() && !names("usd_") && !names("tokens_");
    let tools = !wants.tools.is_empty() && !names("tool_calls_");
    let web = wants.http.is_some() && !names("egress_");
    let lines =
        [(money, ("usd_day", "\"1.00\"")), (tools, ("tool_calls_run", "60")), (web, ("egress_day", "\"10MiB\""))];
    lines.into_iter().filter_map(|(lacks, line)| lacks.then_some(line))
}

fn why(why: &str, optional: bool) -> String {
    let note = if optional { "    # it says that it works without" } else { "" };
    format!("why = {}{note}\n", quoted(why))
}

/// The version without its build, which no requirement may name.
fn version(version: &str) -> &str {
    version.split('+').next().unwrap_or(version)
}

pub(crate) fn list(texts: &[String]) -> String {
    let mut list = String::from("[");
    for (count, text) in texts.iter().enumerate() {
        if count > 0 {
            list.push_str(", ");
        }
        list.push_str(&quoted(text));
    }
    list.push(']');
    list
}

/// A text as a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            char if text::deceives(char) => quoted.push_str(&format!("\\U{:08X}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
