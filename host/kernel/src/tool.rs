//! What the kernel knows of a tool: what calling it does to the world and what its answers carry. It is the admin's word,
//! out of the registry; an agent has no say in it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::Value;
use crate::labels::Labels;

/// A tool of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its name, by which agents call it and policy speaks of it: `mail.send`.
    pub name: String,
    /// What calling it does.
    pub effect: Effect,
    /// What a run carries once it has an answer of it.
    pub labels: Labels,
    /// The JSON Schema of its arguments, by name: an approval holds for this one only.
    pub schema: Digest,
    /// All else that the admin says of it, by name: what people and models read, and what it leads to.
    pub definition: Digest,
    /// What a call costs.
    pub price_microusd: u64,
    /// What leaves this machine with a call beside its arguments; none if nothing does.
    pub sends_bytes: Option<u64>,
}

impl Tool {
    /// The most that leaves this machine with a call. In an address, each byte of an argument takes up to three.
    pub(crate) fn egress_bytes(&self, arguments: &Value) -> u64 {
        let Some(beside) = self.sends_bytes else { return 0 };
        let mut length = Length(0);
        // Counting cannot fail.
        let _ = write!(length, "{arguments}");
        length.0.saturating_mul(3).saturating_add(beside)
    }
}

/// Counts what is written, and keeps none of it.
struct Length(u64);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len() as u64);
        Ok(())
    }
}

/// What calling a tool does to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// Doing it twice is as good as once.
    Idempotent,
    /// It can be undone.
    Reversible,
    /// It cannot; so is every tool of which nobody said more.
    #[default]
    Irreversible,
    /// It sends words out of this house.
    Egress,
}

impl Effect {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them, in order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Read, Self::Idempotent, Self::Reversible, Self::Irreversible, Self::Egress];

    /// The word of the policy language and of `tools.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Reversible => "reversible",
            Self::Irreversible => "irreversible",
            Self::Egress => "egress",
        }
    }

    /// The effect of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.word() == word)
    }
}

/// All tools, by name.
#[derive(Debug, Default)]
pub(crate) struct Tools(BTreeMap<String, Tool>);

impl Tools {
    pub(crate) fn new(tools: Vec<Tool>) -> Self {
        Self(tools.into_iter().map(|tool| (tool.name.clone(), tool)).collect())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Tool> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.0.values()
    }
}

/// What differs between two sets of tools, by name and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsChange {
    /// Those that were not there.
    pub added: Vec<String>,
    /// Those of which anything is said that was not said before.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
}

impl ToolsChange {
    /// True if the sets are the same.
    pub fn is_empty(&self) -> bool {
        let Self { added, changed, removed } = self;
        added.is_empty() && changed.is_empty() && removed.is_empty()
    }

    pub(crate) fn between(before: &Tools, after: &Tools) -> Self {
        let mut change = Self::default();
        for tool in after.iter() {
            match before.find(&tool.name) {
                None => change.added.push(tool.name.clone()),
                Some(was) if was != tool => change.changed.push(tool.name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|tool| after.find(&tool.name).is_none());
        change.removed = gone.map(|tool| tool.name.clone()).collect();
        change
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::json;

    #[test]
    fn what_an_endpoint_sends_is_never_more_than_what_is_held_for_it() {
        let tool = Tool { sends_bytes: Some(20), ..Tool::default() };
        let arguments = json::parse(r#"{"q": "\u00e4&"}"#).expect("JSON");
        assert_eq!(tool.egress_bytes(&arguments), 20 + 3 * arguments.to_string().len() as u64);
        assert_eq!(Tool::default().egress_bytes(&arguments), 0, "a command sends nothing by itself");
    }
}
