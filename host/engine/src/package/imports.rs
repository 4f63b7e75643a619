//! What a component imports, against what its manifest declares. Everyone has the free interfaces; all else is asked for by name.

use agentry_kernel::manifest::{Manifest, Wants};
use serde::{Deserialize, Serialize};

use super::PackageError;

/// The version of `agentry:agent` that this host speaks.
pub const WIT_VERSION: &str = "0.1.0";

const TABLE: &str = "agentry:agent/";

/// Interfaces of the table that need no declaration: they give types, or what a run has anyway.
const FREE: [&str; 5] = ["types", "outcome", "log", "timers", "budget"];

/// Packages of WASI 0.2 that this host makes up: they reach nothing. Those of sockets refuse whatever they are asked.
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", REFUSED];

/// The one that is there only because runtimes of languages import it.
const REFUSED: &str = "sockets";

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// As the component names it: `agentry:agent/llm@0.1.0`.
    pub interface: String,
    /// Functions that it takes from there, as WIT names them. Toolchains of Rust and C import what is called, others the whole interface.
    pub functions: Vec<String>,
}

impl Import {
    /// The interface's name if it is of our table: `llm`.
    pub fn table_name(&self) -> Option<&str> {
        self.interface.strip_prefix(TABLE).map(|rest| rest.split('@').next().unwrap_or(rest))
    }

    /// Whether it is one of those that refuse whatever they are asked.
    pub fn is_refused(&self) -> bool {
        let of_wasi = self.interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('/'));
        of_wasi.is_some_and(|(package, _)| package == REFUSED)
    }
}

/// Whether an agent that was built against this version of the table runs here.
pub(crate) fn speaks(version: &str) -> Result<(), PackageError> {
    if version == WIT_VERSION {
        return Ok(());
    }
    Err(PackageError::new(
        format!("the agent is built against agentry:agent {}, and this host speaks {WIT_VERSION}", shown(version)),
        format!("build it with an SDK for {WIT_VERSION}, or run it on a host that speaks its version"),
    ))
}

/// Refuses an import that is not declared or not to be had, and names what is declared and not imported.
pub(crate) fn check(imports: &[Import], manifest: &Manifest) -> Result<Vec<String>, PackageError> {
    let declared: Vec<_> = manifest.wants.interfaces().collect();
    let mut missing: Vec<&str> = Vec::new();
    for import in imports {
        match import.table_name() {
            Some("tools") if manifest.wants.calls_tools() => speaks_of(import)?,
            Some(name) if check_table(import, name, &declared)? => {}
            Some(name) => missing.push(name),
            None => check_foreign(import)?,
        }
    }
    missing.dedup();
    if !missing.is_empty() {
        return Err(undeclared(&missing, manifest.agent()));
    }
    // A type of `llm` may be used by another interface, and types are imports too: only interfaces with a function count as used.
    let used = |name: &&str| imports.iter().any(|i| i.table_name() == Some(*name) && !i.functions.is_empty());
    Ok(declared.iter().filter(|name| !used(name)).map(|name| (*name).to_owned()).collect())
}

/// Whether an interface of the table is of a version that this host speaks.
fn speaks_of(import: &Import) -> Result<(), PackageError> {
    speaks(import.interface.split_once('@').map_or("without a version", |(_, version)| version))
}

/// True if it is free, declared or calls nothing; false if the manifest has to ask for it.
fn check_table(import: &Import, name: &str, declared: &[&str]) -> Result<bool, PackageError> {
    speaks_of(import)?;
    // An interface that only lends its types gives no way to call anything.
    if FREE.contains(&name)
        || declared.contains(&name)
        || import.functions.is_empty() && Wants::INTERFACES.contains(&name)
    {
        return Ok(true);
    }
    if !Wants::INTERFACES.contains(&name) {
        return Err(PackageError::new(
            format!("the component imports `{}`, which is not in the table", shown(&import.interface)),
            format!("agentry:agent {WIT_VERSION} has {} and {}", FREE.join(", "), Wants::INTERFACES.join(", ")),
        ));
    }
    Ok(false)
}

/// All that is missing at once, as lines to add.
fn undeclared(missing: &[&str], agent: &str) -> PackageError {
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    let mut hint = String::from("add what it uses to agent.toml, say why, and build again:");
    for name in missing {
        hint.push_str("\n\n");
        hint.push_str(&want(name, agent));
    }
    PackageError::new(format!("the component imports {}, which its manifest does not declare", names.join(", ")), hint)
}

/// A first want, in the form of `agent.toml`.
fn want(interface: &str, agent: &str) -> String {
    let (heading, lines) = match interface {
        "llm" => ("[wants.llm]", "models = [\"*\"]\n".to_owned()),
        "memory" => {
            let own = format!("[\"agent/{agent}/**\"]");
            ("[wants.memory]", format!("read = {own}\nwrite = {own}\n"))
        }
        "tools" => ("[[wants.tools]]", "tool = \"mail.send\"\n".to_owned()),
        "files" => ("[[wants.files]]", "root = \"documents\"\naccess = \"r\"\n".to_owned()),
        "http" => ("[wants.http]", "hosts = [\"https://api.example.org\"]\n".to_owned()),
        "agents" => ("[wants.agents]", "call = [\"fetcher\"]\n".to_owned()),
        _ => return format!("[wants.{interface}]\nwhy = \"Say what for.\""),
    };
    format!("{heading}\n{lines}why = \"Say what for.\"")
}

fn check_foreign(import: &Import) -> Result<(), PackageError> {
    let wasi = import.interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('/'));
    let version = import.interface.split_once('@').map_or("", |(_, version)| version);
    match wasi {
        Some((package, _)) if WASI.contains(&package) && version.starts_with("0.2.") => Ok(()),
        Some((package, _)) if WASI.contains(&package) => Err(PackageError::new(
            format!("the component imports `{}`; this host has WASI 0.2", shown(&import.interface)),
            "build it for wasm32-wasip2",
        )),
        Some(("http", _)) => Err(PackageError::new(
            format!("the component imports `{}`, which no agent is given", shown(&import.interface)),
            "agents have no network of their own; declare `[wants.http]` and use `agentry:agent/http`",
        )),
        _ => Err(PackageError::new(
            format!("the component imports `{}`, which this host does not have", shown(&import.interface)),
            "an agent imports interfaces of `agentry:agent` and of virtual WASI 0.2, and nothing else",
        )),
    }
}

/// A text of the component, cut to a length that an error can carry.
fn shown(text: &str) -> String {
    text.chars().take(120).filter(|letter| !letter.is_control()).collect()
}
