//! Rights: what a grant gives or a manifest asks for, in one form, and whether a call lies within.
//!
//! Patterns are closed on purpose: a name, a name that ends in `*`, or a path whose last part is `**`.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::call::Class;

/// What may be asked for; everything else is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Models.
    pub llm: Option<LlmRight>,
    /// Namespaces of memory.
    pub memory: Option<MemoryRight>,
    /// Named roots.
    pub files: Vec<FilesRight>,
    /// Tools by name.
    pub tools: Vec<ToolRight>,
    /// Interfaces that a manifest may declare and no grant can give yet, by name: `http`, `agents`, `human`, `context`.
    pub others: Vec<String>,
}

/// Models that may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmRight {
    /// Aliases: `small`, `small-*`, `*`.
    pub models: Vec<String>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u64>,
    /// The most urgent class.
    pub class: Option<Class>,
    /// Where it stands.
    pub line: u32,
}

/// Namespaces that may be read and written: `team/board`, `agent/reminder/**`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRight {
    /// Namespaces to read.
    pub read: Vec<String>,
    /// Namespaces to write.
    pub write: Vec<String>,
    /// Where it stands.
    pub line: u32,
}

/// A root that may be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesRight {
    /// The name that the guest uses.
    pub root: String,
    /// The subtree of the root; `/` is all of it.
    pub at: String,
    /// Whether it may be written.
    pub access: Access,
    /// Where it stands.
    pub line: u32,
}

/// What may be done with a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Read, list and stat.
    #[serde(rename = "r")]
    Read,
    /// That, and write and delete.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// A tool that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRight {
    /// Its name, or its beginning and `*`.
    pub tool: String,
    /// The rule's id.
    pub id: String,
    /// Where it stands.
    pub line: u32,
}
