//! What a call is about, as rules of the site look at it. Made from a call without allocating anything.

use serde::{Deserialize, Serialize};

use crate::call::{Call, Place};
use crate::json::Value;
use crate::tool::{Effect, Tools};
use crate::url::Url;

/// What is done with memory or files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Get, list, stat, search.
    Read,
    /// Put, write, roll back.
    Write,
    /// Delete.
    Delete,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Delete];

    /// The word of the policy language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// A call of a tool that is registered.
    Tool { name: &'a str, effect: Effect, arguments: &'a Value },
    /// A question to a model.
    Model { alias: &'a str },
    /// Something in memory.
    Memory { namespace: &'a str, act: Act },
    /// A file.
    Files { place: &'a Place, act: Act },
    /// A request to the web.
    Http { method: &'a str, url: Url<'a> },
    /// Nothing that a rule could be about.
    Inner,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(call: &'a Call, tools: &Tools) -> Self {
        match call {
            Call::LlmComplete(ask) | Call::LlmStream(ask) => Self::Model { alias: &ask.model },
            Call::LlmEmbed { model, .. } => Self::Model { alias: model },
            Call::MemoryGet { namespace, .. } | Call::MemoryList { namespace, .. } => {
                Self::memory(namespace, Act::Read)
            }
            Call::MemoryPut { namespace, .. } => Self::memory(namespace, Act::Write),
            Call::MemoryDelete { namespace, .. } => Self::memory(namespace, Act::Delete),
            Call::Memory { function, namespace } => {
                Self::memory(namespace, if function.ends_with("rollback") { Act::Write } else { Act::Read })
            }
            Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => {
                Self::Files { place, act: Act::Read }
            }
            Call::FilesWrite { place, .. } => Self::Files { place, act: Act::Write },
            Call::FilesDelete(place) => Self::Files { place, act: Act::Delete },
            Call::ToolsCall { name, value, .. } => {
                let effect = tools.find(name).map(|tool| tool.effect).unwrap_or_default();
                Self::Tool { name, effect, arguments: value }
            }
            Call::Fetch(fetch) => match Url::parse(&fetch.url) {
                Ok(url) => Self::Http { method: &fetch.method, url },
                // It was refused before anybody asks a rule.
                Err(_) => Self::Inner,
            },
            Call::LlmModels | Call::LlmCountTokens { .. } | Call::ToolsList | Call::Context(_) => Self::Inner,
            Call::HttpFetch { .. } | Call::Agents(_) | Call::Human(_) => Self::Inner,
            Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => Self::Inner,
            Call::BudgetRemaining | Call::BudgetSplit | Call::LogEvent { .. } => Self::Inner,
            Call::HumanAsk { .. } | Call::HumanNotify { .. } => Self::Inner,
            Call::AgentsFind { .. } | Call::AgentsCall(_) | Call::AgentsReceive { .. } => Self::Inner,
            Call::AgentsSend(_) | Call::AgentsReply { .. } => Self::Inner,
        }
    }

    fn memory(namespace: &'a str, act: Act) -> Self {
        Self::Memory { namespace, act }
    }

    pub(crate) fn arguments(&self) -> Option<&'a Value> {
        match self {
            Self::Tool { arguments, .. } => Some(arguments),
            _ => None,
        }
    }
}
