//! What a run asks for: the one description of a syscall that is decided on, journaled and explained.
//!
//! A call carries what a decision needs and names bulky contents by digest; the contents never enter the kernel.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::budget::Resource;
use crate::digest::Digest;
use crate::json::Value;
use crate::limits::NAME_MAX_BYTES;

mod again;
mod every;
mod spec;

pub use spec::{Contents, Durability, Effect, Repeat, Spec, Wait};

/// A run, printed as 13 letters of Crockford's base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// A syscall within its run, counted from 1 in the order in which the guest made them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u32);

const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RunId {
    /// The host's own: what an admin did and what befell the host stand in its journal. No run of an agent has it.
    pub const HOST: Self = Self(0);
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..13).rev().try_for_each(|place| {
            let letter = LETTERS[(self.0 >> (place * 5)) as usize & 31];
            write!(f, "{}", char::from(letter))
        })
    }
}

impl core::str::FromStr for RunId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        if text.len() != 13 {
            return Err(NotARunId);
        }
        let mut id: u64 = 0;
        for byte in text.bytes() {
            let digit = LETTERS.iter().position(|letter| *letter == byte).ok_or(NotARunId)?;
            id = id.checked_mul(32).and_then(|id| id.checked_add(digit as u64)).ok_or(NotARunId)?;
        }
        Ok(Self(id))
    }
}

/// The text is not a run id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a run id: 13 letters and digits, as `agentry ps` prints them")]
pub struct NotARunId;

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A syscall of the table in `wit/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// `llm.models`
    LlmModels,
    /// `llm.complete`
    LlmComplete(Completion),
    /// `llm.stream`
    LlmStream(Completion),
    /// `llm.embed`
    LlmEmbed {
        /// The alias, resolved.
        model: String,
        /// Bytes of all texts together.
        bytes: u64,
    },
    /// `llm.count-tokens`
    LlmCountTokens {
        /// The alias, resolved.
        model: String,
    },
    /// A function of `context`, by name.
    Context(String),
    /// `memory.get`
    MemoryGet {
        /// For example `agent/reminder/todo`.
        namespace: String,
        /// The entry.
        key: String,
    },
    /// `memory.put`
    MemoryPut {
        /// For example `agent/reminder/todo`.
        namespace: String,
        /// The entry.
        key: String,
        /// The new content, by name.
        content: Digest,
        /// Its size.
        bytes: u64,
        /// The most that it can add to what the agent keeps, in bytes. Only the decision needs it.
        #[serde(skip)]
        grows: u64,
    },
    /// `memory.delete`
    MemoryDelete {
        /// For example `agent/reminder/todo`.
        namespace: String,
        /// The entry.
        key: String,
    },
    /// `memory.list`
    MemoryList {
        /// For example `agent/reminder/todo`.
        namespace: String,
        /// What the keys begin with.
        prefix: String,
    },
    /// Another function of `memory`, by name.
    Memory {
        /// `history`, `rollback`, `search` or `watch`.
        function: String,
        /// For example `agent/reminder/todo`.
        namespace: String,
    },
    /// `files.read`
    FilesRead(Place),
    /// `files.write`
    FilesWrite {
        /// The file.
        place: Place,
        /// The new content, by name.
        content: Digest,
        /// Its size.
        bytes: u64,
        /// The most that it can add to what the agent keeps, in bytes. Only the decision needs it.
        #[serde(skip)]
        grows: u64,
    },
    /// `files.stat`
    FilesStat(Place),
    /// `files.list`
    FilesList(Place),
    /// `files.delete`
    FilesDelete(Place),
    /// `tools.list`
    ToolsList,
    /// `tools.call`
    ToolsCall {
        /// The tool.
        name: String,
        /// The canonical arguments, by name.
        arguments: Digest,
        /// The same, for the decision. The journal has them by name only; a call that was read from it has none here.
        #[serde(skip)]
        value: Arc<Value>,
    },
    /// `http.fetch`, as hosts wrote it down that could not do it yet. No call is this one any more.
    HttpFetch {
        /// `GET`, `POST`, …
        method: String,
        /// As the guest wrote it.
        url: String,
    },
    /// A function of `agents`, as hosts wrote it down that could not do it yet. No call is this one any more.
    Agents(String),
    /// `timers.now`
    TimersNow,
    /// `timers.sleep`
    TimersSleep {
        /// How long.
        ms: u64,
    },
    /// `timers.deadline`
    TimersDeadline,
    /// A function of `human`, by name, as hosts wrote it down that could not do it yet. No call is this one any more.
    Human(String),
    /// `budget.remaining`
    BudgetRemaining,
    /// `budget.split`
    BudgetSplit,
    /// `log.event`
    LogEvent {
        /// The line, by name.
        line: Digest,
        /// Its size. Only the decision needs it.
        #[serde(skip)]
        bytes: u64,
    },
    /// `http.fetch`
    Fetch(Fetch),
    /// `human.ask`
    HumanAsk {
        /// Text and choices, by name.
        question: Digest,
        /// How long it waits for an answer; none as long as its run does.
        expires_ms: Option<u64>,
    },
    /// `human.notify`
    HumanNotify {
        /// What is said, by name.
        text: Digest,
    },
    /// `agents.find`
    AgentsFind {
        /// The word of a manifest.
        provides: String,
    },
    /// `agents.call`
    AgentsCall(Delegation),
    /// `agents.send`
    AgentsSend(Post),
    /// `agents.reply`
    AgentsReply {
        /// The letter that is answered.
        letter: String,
        /// The answer, to the agent that sent it.
        post: Post,
    },
    /// `agents.receive`
    AgentsReceive {
        /// How long it waits; none is as long as the run lives.
        timeout_ms: Option<u64>,
    },
}

/// What another agent is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Its name.
    pub agent: String,
    /// The input JSON, by name.
    pub input: Digest,
    /// The part of the caller's budget that is named.
    pub share: Vec<(Resource, u64)>,
    /// The fuel of the caller that goes with it, named or not.
    pub fuel: u64,
}

/// A letter on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Whose mailbox.
    pub agent: String,
    /// Subject and body, by name.
    pub content: Digest,
    /// Their size.
    pub bytes: u64,
}

/// A request to the web, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// `GET`, `POST`, … in capitals.
    pub method: String,
    /// The address in its canonical form, as [`crate::url::Url::parse`] takes it: what is decided on is what is dialled.
    pub url: String,
    /// Headers and body, by name.
    pub content: Digest,
    /// All bytes that leave this machine: address, headers and body.
    pub bytes: u64,
    /// The handle of the secret that the host puts in.
    pub secret: Option<String>,
}

/// A question to a model, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The alias, resolved: never `default`.
    pub model: String,
    /// Each message by name, so that a long conversation is stored once.
    pub messages: Vec<Digest>,
    /// All of the request but the messages, by name.
    pub settings: Digest,
    /// The most tokens that the prompt can be.
    pub input_tokens_max: u64,
    /// The longest answer that the guest wants; none leaves it to the grant and the model.
    pub output_tokens_max: Option<u64>,
    /// Who waits for it.
    pub class: Class,
    /// True if no word may leave this machine.
    pub local_only: bool,
    /// The most that the guest wants to pay, in micro-USD.
    pub microusd_max: Option<u64>,
}

/// Who waits for an answer; the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The system itself.
    System,
    /// A person who looks at the screen.
    Interactive,
    /// Nobody in particular.
    Normal,
    /// Nobody today.
    Batch,
}

impl Class {
    /// The word of the policy language.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }
}

/// A path under a named root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The root's name in the grant.
    pub root: String,
    /// Relative to the root, as the guest wrote it.
    pub path: String,
}

impl Call {
    /// The alias of the model that it asks, or asks about; none if it is about no model.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::LlmComplete(ask) | Self::LlmStream(ask) => Some(&ask.model),
            Self::LlmEmbed { model, .. } | Self::LlmCountTokens { model } => Some(model),
            Self::LlmModels | Self::Context(_) => None,
            Self::MemoryGet { .. } | Self::MemoryPut { .. } | Self::MemoryDelete { .. } => None,
            Self::MemoryList { .. } | Self::Memory { .. } => None,
            Self::FilesRead(_) | Self::FilesWrite { .. } | Self::FilesStat(_) => None,
            Self::FilesList(_) | Self::FilesDelete(_) => None,
            Self::ToolsList | Self::ToolsCall { .. } | Self::HttpFetch { .. } | Self::Fetch(_) => None,
            Self::TimersNow | Self::TimersSleep { .. } | Self::TimersDeadline => None,
            Self::Human(_) | Self::HumanAsk { .. } | Self::HumanNotify { .. } => None,
            Self::BudgetRemaining | Self::BudgetSplit | Self::LogEvent { .. } => None,
            Self::Agents(_) | Self::AgentsFind { .. } | Self::AgentsCall(_) | Self::AgentsSend(_) => None,
            Self::AgentsReply { .. } | Self::AgentsReceive { .. } => None,
        }
    }

    /// The least that can be asked of another agent.
    pub(crate) fn to_agent(agent: &str) -> Self {
        Self::AgentsCall(Delegation { agent: agent.into(), input: Digest::default(), share: Vec::new(), fuel: 0 })
    }

    /// The shortest letter to another agent.
    pub(crate) fn letter_to(agent: &str) -> Self {
        Self::AgentsSend(Post { agent: agent.into(), content: Digest::default(), bytes: 0 })
    }

    /// The same, with the guest's words cut to the length of a name: a call that is refused is written down without having been
    /// looked at, and what it carries must not be what fills the disk.
    #[must_use]
    pub fn cut(mut self) -> Self {
        let words = match &mut self {
            Self::LlmComplete(ask) | Self::LlmStream(ask) => [Some(&mut ask.model), None],
            Self::LlmEmbed { model, .. } | Self::LlmCountTokens { model } => [Some(model), None],
            Self::MemoryGet { namespace, key }
            | Self::MemoryPut { namespace, key, .. }
            | Self::MemoryDelete { namespace, key } => [Some(namespace), Some(key)],
            Self::MemoryList { namespace, prefix } => [Some(namespace), Some(prefix)],
            Self::Memory { namespace, .. } => [Some(namespace), None],
            Self::FilesWrite { place, .. } => [Some(&mut place.root), Some(&mut place.path)],
            Self::FilesRead(place) | Self::FilesStat(place) | Self::FilesList(place) | Self::FilesDelete(place) => {
                [Some(&mut place.root), Some(&mut place.path)]
            }
            Self::ToolsCall { name, value, .. } => {
                *value = Arc::default();
                [Some(name), None]
            }
            Self::HttpFetch { method, url } => [Some(method), Some(url)],
            Self::Fetch(fetch) => {
                fetch.secret.as_mut().map(shorten);
                [Some(&mut fetch.method), Some(&mut fetch.url)]
            }
            Self::AgentsFind { provides } => [Some(provides), None],
            Self::AgentsCall(delegation) => {
                delegation.share.clear();
                [Some(&mut delegation.agent), None]
            }
            Self::AgentsSend(post) => [Some(&mut post.agent), None],
            Self::AgentsReply { letter, post } => [Some(letter), Some(&mut post.agent)],
            // The names of functions are ours, and numbers do not grow.
            Self::Context(_) | Self::Agents(_) | Self::Human(_) => [None, None],
            Self::LlmModels | Self::ToolsList | Self::BudgetRemaining | Self::BudgetSplit => [None, None],
            Self::TimersNow | Self::TimersSleep { .. } | Self::TimersDeadline => [None, None],
            Self::LogEvent { .. } | Self::HumanAsk { .. } | Self::HumanNotify { .. } => [None, None],
            Self::AgentsReceive { .. } => [None, None],
        };
        words.into_iter().flatten().for_each(shorten);
        self
    }
}

fn shorten(word: &mut String) {
    word.truncate(word.floor_char_boundary(NAME_MAX_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_carries_no_more_than_names() {
        let long = "ä".repeat(1 << 20);
        let get = Call::MemoryGet { namespace: long.clone(), key: long.clone() }.cut();
        assert!(matches!(get, Call::MemoryGet { namespace, key } if namespace.len() + key.len() <= 2 * NAME_MAX_BYTES));
        let fetch =
            Fetch { method: "GET".into(), url: long.clone(), content: Digest::default(), bytes: 0, secret: Some(long) };
        let Call::Fetch(fetch) = Call::Fetch(fetch).cut() else { panic!("it is the same call") };
        assert!(fetch.url.len() + fetch.secret.map_or(0, |secret| secret.len()) <= 2 * NAME_MAX_BYTES);
        let read = Call::FilesRead(Place { root: "docs".into(), path: "a/b".into() });
        assert_eq!(read.clone().cut(), read);
    }
}
