//! A set of tools, by name: those of `tools.toml`, and those that the program of the host brings. It is made whole or not at all, and is never
//! changed once a host has it; another one takes its place.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentry_kernel::Digest;
use agentry_kernel::json::{self, Value};
use agentry_kernel::tool::Tool;
use agentry_store::limits::{TOOL_OUTPUT_MAX_BYTES, TOOL_TIMEOUT_MAX_MS, TOOLS_MAX};
use sha2::{Digest as _, Sha256};

use super::adapter::{Adapter, Bounded};
use super::config::{self, Registered, ToolLine, ToolsConfig};
use super::schema::Schema;
use super::{Entry, Shared};

/// The tools of a host at one time.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<String, Arc<Entry>>,
}

/// Where a tool comes from.
pub(super) enum Origin {
    /// `tools.toml`.
    File,
    /// The program of the host, with this adapter.
    Program(Arc<dyn Adapter>),
}

/// Why a host cannot have such a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be a tool of this host: {why}")]
pub struct NotAdded {
    /// The tool.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Registry {
    /// All of them, by name.
    pub fn list(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(Arc::as_ref)
    }

    /// A tool by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name)
    }

    /// What the kernel knows of them.
    pub fn kernel_tools(&self) -> Vec<Tool> {
        self.list().map(Entry::kernel_tool).collect()
    }

    /// What it is with another file. A tool of which the same is said stays what it was.
    pub(super) fn of_file(before: &Self, config: ToolsConfig, shared: &Arc<Shared>) -> Result<Self, NotAdded> {
        let mut after = before.only(|origin| matches!(origin, Origin::Program(_)));
        for Registered { tool, reach } in config.tools {
            let definition = digest(&(&tool, &reach));
            let same = before.get(&tool.name).filter(|entry| entry.definition == definition).cloned();
            let entry = same.unwrap_or_else(|| {
                let schema = Schema::new(&tool.schema).expect("its reader has compiled it");
                Arc::new(Entry::new(tool, schema, reach.adapter(shared), Origin::File, definition))
            });
            after.insert(entry)?;
        }
        Ok(after)
    }

    /// What it is if the program brings these. A tool with the adapter that it had, of which the same is said, stays what it was.
    pub(super) fn of_program(before: &Self, tools: Vec<(ToolLine, Arc<dyn Adapter>)>) -> Result<Self, NotAdded> {
        let mut after = before.only(|origin| matches!(origin, Origin::File));
        for (tool, adapter) in tools {
            let (tool, schema) = checked(tool)?;
            let same = before.get(&tool.name).filter(|entry| entry.is(&tool, &adapter)).cloned();
            let entry = same.unwrap_or_else(|| {
                let definition = digest(&(&tool, serial()));
                let bounded = Arc::new(Bounded(Arc::clone(&adapter)));
                Arc::new(Entry::new(tool, schema, bounded, Origin::Program(adapter), definition))
            });
            after.insert(entry)?;
        }
        Ok(after)
    }

    fn only(&self, keeps: impl Fn(&Origin) -> bool) -> Self {
        let kept = self.entries.iter().filter(|(_, entry)| keeps(&entry.origin));
        Self { entries: kept.map(|(name, entry)| (name.clone(), Arc::clone(entry))).collect() }
    }

    fn insert(&mut self, entry: Arc<Entry>) -> Result<(), NotAdded> {
        let name = entry.name().to_owned();
        let not = |why: String| NotAdded { name: name.clone(), why };
        if self.entries.contains_key(&name) {
            return Err(not("there is one of this name".to_owned()));
        }
        if self.entries.len() >= TOOLS_MAX {
            return Err(not(format!("there are {TOOLS_MAX} tools already")));
        }
        self.entries.insert(name, entry);
        Ok(())
    }
}

impl Entry {
    /// True if it is this tool of the program, behind this adapter.
    fn is(&self, tool: &ToolLine, adapter: &Arc<dyn Adapter>) -> bool {
        matches!(&self.origin, Origin::Program(own) if Arc::ptr_eq(own, adapter)) && self.line == *tool
    }
}

/// A tool of a program, its schema in the canonical form.
fn checked(mut tool: ToolLine) -> Result<(ToolLine, Schema), NotAdded> {
    let not = |why: &str| NotAdded { name: tool.name.clone(), why: why.to_owned() };
    if !config::is_name(&tool.name) {
        return Err(not("a name has letters, digits, `.`, `_` and `-`, and few of them"));
    }
    if tool.timeout.is_zero() || tool.timeout > Duration::from_millis(TOOL_TIMEOUT_MAX_MS) {
        return Err(not(&format!("its timeout is not of 1 to {TOOL_TIMEOUT_MAX_MS} ms")));
    }
    if !(1..=TOOL_OUTPUT_MAX_BYTES).contains(&tool.output_max_bytes) {
        return Err(not(&format!("its answers are not of 1 to {TOOL_OUTPUT_MAX_BYTES} bytes")));
    }
    let canonical = json::parse(&tool.schema).map_err(|flaw| not(&format!("its schema is not JSON: {flaw}")))?;
    if canonical.get("type").and_then(Value::as_str) != Some("object") {
        return Err(not("its schema is not of an object"));
    }
    let canonical = canonical.to_string();
    let schema = Schema::new(&canonical).map_err(|why| not(&format!("its schema is none: {why}")))?;
    tool.schema = canonical;
    Ok((tool, schema))
}

/// All that is said of a tool, by name.
fn digest(said: &impl Debug) -> Digest {
    Digest(Sha256::digest(format!("{said:?}")).into())
}

/// What an adapter of a program does cannot be read off it, so each new one makes another tool.
fn serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}
