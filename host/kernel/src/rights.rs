//! Rights: what a grant gives or a manifest asks for, in one form, and whether a call lies within.
//!
//! Patterns are closed on purpose: a name, a name that ends in `*`, or a path whose last part is `**`. Matching
//! allocates nothing and never repairs what a guest passed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::approval::Required;
use crate::call::Class;
use crate::constraint::Arguments;
use crate::labels::Labels;
use crate::pattern::{name_fits, namespace_fits, path_fits};

mod egress;
pub(crate) mod shapes;

pub use egress::{AgentsRight, HttpRight, Origin, SecretRight};

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
    /// Addresses of the web.
    pub http: Vec<HttpRight>,
    /// Secrets for them.
    pub secrets: Vec<SecretRight>,
    /// Other agents.
    pub agents: Option<AgentsRight>,
    /// People.
    pub human: Option<HumanRight>,
    /// Interfaces that a manifest declares and nothing narrows, by name: `http`, `context`.
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
    /// How often a call is made again that a provider turned away for the moment, 0 to [`RETRIES_MAX`](crate::limits::RETRIES_MAX).
    /// Each time counts as a call.
    pub retries: u64,
    /// Where it stands.
    pub line: u32,
}

/// What may be said to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HumanRight {
    /// Questions.
    pub ask: bool,
    /// Notices.
    pub notify: bool,
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
    /// What a run carries once it has read there.
    pub labels: Labels,
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
    /// What a run carries once it has read there.
    pub labels: Labels,
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

/// What binds a rule besides the thing that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// It gives nothing to a run that holds one of these labels…
    pub unless_any: Labels,
    /// … or all of these, if there are any.
    pub unless_all: Labels,
    /// How often.
    pub rate: Option<Rate>,
    /// Who must say yes first.
    pub approval: Option<Required>,
    /// What its answers carry.
    pub labels: Labels,
}

/// So many calls in any span of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// At least 1, at most [`RATE_MAX`](crate::limits::RATE_MAX).
    pub calls: u32,
    /// A second, a minute, an hour or a day.
    pub span_ms: u64,
}

/// A tool that may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRight {
    /// Its name, or its beginning and `*`.
    pub tool: String,
    /// With which arguments.
    pub args: Arguments,
    /// What else binds it.
    pub extra: Extra,
    /// The rule's id.
    pub id: String,
    /// Where it stands.
    pub line: u32,
}

impl Extra {
    /// The labels of a run for which the rule gives nothing, if it holds them.
    pub fn barred_by(&self, labels: &Labels) -> bool {
        labels.has_any(&self.unless_any) || (!self.unless_all.is_empty() && labels.has_all(&self.unless_all))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Self::UNITS.into_iter().find(|(_, span_ms)| *span_ms == self.span_ms);
        write!(f, "{}/{}", self.calls, unit.map_or("?", |(unit, _)| unit))
    }
}

impl Rate {
    /// What stands behind the `/`, and how long it is.
    pub const UNITS: [(&str, u64); 4] = [("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
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
