//! The surface: each syscall, refusal code, policy word, configuration key and option has a test that uses it and one
//! that is refused it, both named in `tests/surface.toml`, both there.

use std::collections::BTreeSet;

use super::names::interfaces;
use super::{Findings, Tree};

const FILE: &str = "tests/surface.toml";

/// Checks that the list is complete and that its tests exist.
pub fn check(tree: &Tree, findings: &mut Findings) {
    let Some(file) = tree.get(FILE) else {
        findings.missing(FILE, "the list of the surface is gone");
        return;
    };
    let table = match file.text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => return findings.file(file, 1, error.message()),
    };
    let listed = |section: &str| -> BTreeSet<String> {
        table
            .get(section)
            .and_then(toml::Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    let sections = [
        ("syscalls", syscalls(tree)),
        ("codes", codes(tree)),
        ("policy", policy_words(tree)),
        ("config", config_keys(tree)),
        ("tools", tool_keys(tree)),
        ("agents", agent_keys(tree)),
    ];
    for (section, found) in sections {
        let listed = listed(section);
        for name in found.difference(&listed) {
            findings.file(file, 1, format_args!("[{section}] lacks `{name}`"));
        }
        for name in listed.difference(&found) {
            findings.file(file, 1, format_args!("[{section}] lists `{name}`, which is gone"));
        }
    }
    let tests = tests(tree);
    for (section, entries) in &table {
        for (name, entry) in entries.as_table().into_iter().flatten() {
            for kind in ["allow", "deny"] {
                match entry.get(kind).and_then(toml::Value::as_str) {
                    None => findings.file(file, 1, format_args!("[{section}] `{name}` names no test under `{kind}`")),
                    Some(test) if !tests.contains(test) => {
                        findings.file(file, 1, format_args!("[{section}] `{name}`: there is no test `{test}`"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// `llm.complete` and so on, out of `wit/`.
fn syscalls(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for interface in interfaces(tree) {
        let Some(file) = tree.get(format!("wit/{interface}.wit")) else { continue };
        for (_, line) in file.lines() {
            if let Some((name, rest)) = line.trim().split_once(':')
                && rest.trim_start().starts_with("func")
            {
                found.insert(format!("{interface}.{}", name.trim_start_matches('%')));
            }
        }
    }
    found
}

/// The stable words of refusals, out of `Code::word`.
fn codes(tree: &Tree) -> BTreeSet<String> {
    let Some(file) = tree.get("host/kernel/src/refusal.rs") else { return BTreeSet::new() };
    let lines =
        file.text.lines().skip_while(|line| !line.contains("fn word(self)")).take_while(|line| *line != "    }");
    lines.filter_map(|line| Some(line.split_once("=> \"")?.1.split('"').next()?.to_owned())).collect()
}

/// `llm.models`, `budget.usd_run` and so on, out of the tables of known words that the policy's parser refuses by.
fn policy_words(tree: &Tree) -> BTreeSet<String> {
    let text = |path: &str| tree.get(path).map_or("", |file| file.text.as_str());
    let mut found = BTreeSet::new();
    let files = ["grant", "outside", "extra", "condition", "site", "trial"];
    let tables = files.map(|file| text(&format!("host/kernel/src/policy/{file}.rs")));
    for table in tables.iter().flat_map(|text| text.split("table: \"").skip(1)) {
        let Some((name, rest)) = table.split_once("known: &") else { continue };
        let Some((name, _)) = name.split_once('"') else { continue };
        let prefix = match name {
            "a grant" => String::new(),
            "a site file" => "site.".to_owned(),
            "a constraint" => "args.".to_owned(),
            "`unless` of a grant" => "unless.".to_owned(),
            "`call`" => "test.call.".to_owned(),
            section => format!("{}.", section.trim_matches(['[', ']', '`'])),
        };
        let known = rest.split(']').next().unwrap_or_default();
        found.extend(known.split('"').skip(1).step_by(2).map(|word| format!("{prefix}{word}")));
    }
    // What any rule of the site may be about.
    let target = text("host/kernel/src/policy/site.rs").split("const TARGET: ").nth(1).unwrap_or_default();
    let target = target.split(';').nth(1).unwrap_or_default();
    found.extend(target.split('"').skip(1).step_by(2).map(|word| format!("rule.{word}")));
    let file = text("host/kernel/src/policy/budget.rs");
    let asks = file.split("const ASK: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    found.extend(asks.split('"').skip(1).step_by(2).map(|word| format!("budget.{word}")));
    let words = text("host/kernel/src/budget/words.rs");
    let budget = words.split("word(\"").skip(1);
    found.extend(budget.filter_map(|rest| Some(format!("budget.{}", rest.split('"').next()?))));
    found
}

/// `default`, `models.slots`, `models.price.input` and so on, out of the lists by which the configuration refuses others.
fn config_keys(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let files = [
        "config/src/secret",
        "llm/src/config",
        "llm/src/config/providers",
        "drivers/src/secrets/config",
        "runtime/src/config",
        "runtime/src/config/retention",
        "packages/src/config",
        "packages/src/config/cosign",
        "packages/src/config/registry",
    ];
    for file in files {
        found.extend(keys(tree, &format!("host/{file}.rs"), config_prefix));
    }
    // Providers and models have these in common.
    for key in keys(tree, "host/llm/src/config/adjust.rs", config_prefix) {
        found.extend(["providers", "models"].map(|table| format!("{table}.{key}")));
    }
    found
}

fn config_prefix(table: &str) -> Option<&'static str> {
    Some(match table {
        "FILE" => "",
        "AUDIT" => "audit.",
        "IDLE" => "idle.",
        "ENGINE" => "engine.",
        "RETENTION" => "retention.",
        "PACKAGES" => "packages.",
        "INDEX" => "packages.indexes.",
        "REGISTRY" => "packages.registries.",
        "COSIGN" => "packages.cosign.",
        "PUBLISHER" => "packages.publishers.",
        "PROVIDER" => "providers.",
        "REQUEST" => "",
        "SECRET" => "providers.key.",
        "MODEL" => "models.",
        "PRICE" => "models.price.",
        "HANDLE" => "secrets.",
        _ => return None,
    })
}

/// The keys of `agents.toml`.
fn agent_keys(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["agents", "triggers"] {
        found.extend(keys(tree, &format!("host/runtime/src/config/{file}.rs"), agent_prefix));
    }
    found
}

fn agent_prefix(table: &str) -> Option<&'static str> {
    Some(match table {
        "AGENTS_FILE" => "",
        "AGENT" => "agents.",
        "TRIGGER" => "agents.start.",
        "WEBHOOKS" => "webhooks.",
        "HEALTH" => "health.",
        _ => return None,
    })
}

/// The keys of `tools.toml`: those of every tool, and those of each adapter, which stand in its file.
fn tool_keys(tree: &Tree) -> BTreeSet<String> {
    let files = tree.files().filter_map(|file| file.path.to_str());
    files
        .filter(|path| path.starts_with("host/drivers/src/tools/"))
        .flat_map(|path| keys(tree, path, tool_prefix))
        .collect()
}

/// The tables of `tools.toml`.
fn tool_prefix(table: &str) -> Option<&'static str> {
    Some(match table {
        "TOOLS_FILE" => "",
        "TOOL" => "tools.",
        "COMMAND" => "tools.command.",
        "ENDPOINT" => "tools.http.",
        "CLOCK" => "tools.clock.",
        _ => return None,
    })
}

/// The keys of the tables of a file, each behind its table's prefix.
fn keys(tree: &Tree, path: &str, prefix: fn(&str) -> Option<&'static str>) -> BTreeSet<String> {
    let Some(file) = tree.get(path) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for list in file.text.split("const ").skip(1) {
        let Some((table, rest)) = list.split_once("_KEYS: [&str;") else { continue };
        // A table that nobody here knows must not go unseen.
        let prefix = prefix(table).unwrap_or(table);
        let keys = rest.split(';').next().unwrap_or_default();
        found.extend(keys.split('"').skip(1).step_by(2).map(|key| format!("{prefix}{key}")));
    }
    found
}

/// The names of all tests.
fn tests(tree: &Tree) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for file in tree.files().filter(|file| file.is_rust()) {
        let mut is_test = false;
        for (_, line) in file.lines() {
            let line = line.trim();
            if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.contains("::test");
            } else if let Some(name) = function(line) {
                if is_test {
                    found.insert(name);
                }
                is_test = false;
            }
        }
    }
    found
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}
