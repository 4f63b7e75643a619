//! Rights: what a grant gives or a manifest asks for, in one form, and whether a call lies within.
//!
//! Patterns are closed on purpose: a name, a name that ends in `*`, or a path whose last part is `**`. Matching
//! allocates nothing and never repairs what a guest passed.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::call::Class;

/// Whether a name fits a pattern: itself, or its beginning where the pattern ends in `*`.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// Whether a namespace fits a pattern: itself, or the subtree where the pattern ends in `/**`, its top included.
pub fn namespace_fits(pattern: &str, namespace: &str) -> bool {
    match pattern.strip_suffix("**") {
        Some("") => true,
        Some(subtree) => {
            namespace.starts_with(subtree) || subtree.strip_suffix('/').is_some_and(|top| namespace == top)
        }
        None => pattern == namespace,
    }
}

/// Whether a path lies in a subtree of its root: `/`, or `/out` for `out` and all below it.
///
/// Both have been checked to have no `.`, `..` or empty name, so that beginnings decide.
pub fn path_fits(at: &str, path: &str) -> bool {
    let at = at.strip_prefix('/').unwrap_or(at);
    match path.strip_prefix(at) {
        _ if at.is_empty() => true,
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

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

impl LlmRight {
    /// Whether this model may be asked.
    pub fn allows(&self, alias: &str) -> bool {
        self.models.iter().any(|pattern| name_fits(pattern, alias))
    }
}

impl MemoryRight {
    /// The namespaces that may be read, or written.
    pub fn patterns(&self, write: bool) -> &[String] {
        if write { &self.write } else { &self.read }
    }

    /// Whether this namespace may be read, or written.
    pub fn allows(&self, namespace: &str, write: bool) -> bool {
        self.patterns(write).iter().any(|pattern| namespace_fits(pattern, namespace))
    }
}

impl FilesRight {
    /// Whether this path may be read, or written.
    pub fn allows(&self, root: &str, path: &str, write: bool) -> bool {
        self.root == root && (!write || self.access == Access::ReadWrite) && path_fits(&self.at, path)
    }
}

impl Access {
    /// The word of the policy language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::ReadWrite => "rw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_of_a_name() {
        assert!(name_fits("small-*", "small-1") && name_fits("*", "x") && name_fits("a", "a"));
        assert!(!name_fits("small-*", "small") && !name_fits("a", "ab") && !name_fits("a", ""));
    }

    #[test]
    fn a_subtree_of_namespaces_is_not_slipped_by_a_longer_name() {
        assert!(namespace_fits("team/**", "team") && namespace_fits("team/**", "team/a/b"));
        assert!(namespace_fits("**", "x") && namespace_fits("team/board", "team/board"));
        assert!(!namespace_fits("team/**", "teammate") && !namespace_fits("team/board", "team/board/x"));
    }

    #[test]
    fn a_subtree_of_files_is_not_slipped_by_a_longer_name() {
        assert!(path_fits("/", "") && path_fits("/", "a/b") && path_fits("/out", "out"));
        assert!(path_fits("/out", "out/a") && !path_fits("/out", "outside") && !path_fits("/out", ""));
    }
}
