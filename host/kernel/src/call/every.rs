//! One call of each kind that there is, for tests that must leave none out.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Class, Completion, Delegation, Fetch, Place, Post};
use crate::budget::Resource;
use crate::digest::Digest;

impl Call {
    /// One of each kind, in the order of the kinds; of a kind that has its function as a name, one of each function.
    pub fn every() -> Vec<Self> {
        let each = core::iter::successors(Some(Self::LlmModels), Self::next_kind);
        each.flat_map(|call| call.functions()).collect()
    }

    /// The first of the next kind; none behind the last. A new kind does not compile before it has its place here.
    fn next_kind(&self) -> Option<Self> {
        Some(match self {
            Self::LlmModels => Self::LlmComplete(completion()),
            Self::LlmComplete(_) => Self::LlmStream(completion()),
            Self::LlmStream(_) => Self::LlmEmbed { model: "small".into(), bytes: 12 },
            Self::LlmEmbed { .. } => Self::LlmCountTokens { model: "small".into() },
            Self::LlmCountTokens { .. } => Self::Context("context.conversation".into()),
            Self::Context(_) => Self::MemoryGet { namespace: namespace(), key: "todo".into() },
            Self::MemoryGet { .. } => {
                Self::MemoryPut { namespace: namespace(), key: "todo".into(), content: name(1), bytes: 12, grows: 12 }
            }
            Self::MemoryPut { .. } => Self::MemoryDelete { namespace: namespace(), key: "todo".into() },
            Self::MemoryDelete { .. } => Self::MemoryList { namespace: namespace(), prefix: "to".into() },
            Self::MemoryList { .. } => Self::Memory { function: "memory.history".into(), namespace: namespace() },
            Self::Memory { .. } => Self::FilesRead(place()),
            Self::FilesRead(_) => Self::FilesWrite { place: place(), content: name(2), bytes: 12, grows: 12 },
            Self::FilesWrite { .. } => Self::FilesStat(place()),
            Self::FilesStat(_) => Self::FilesList(place()),
            Self::FilesList(_) => Self::FilesDelete(place()),
            Self::FilesDelete(_) => Self::ToolsList,
            Self::ToolsList => {
                Self::ToolsCall { name: "mail.send".into(), arguments: name(3), value: alloc::sync::Arc::default() }
            }
            Self::ToolsCall { .. } => Self::HttpFetch { method: "GET".into(), url: "https://example.com/".into() },
            Self::HttpFetch { .. } => Self::Agents("agents.find".into()),
            Self::Agents(_) => Self::TimersNow,
            Self::TimersNow => Self::TimersSleep { ms: 100 },
            Self::TimersSleep { .. } => Self::TimersDeadline,
            Self::TimersDeadline => Self::Human("human.ask".into()),
            Self::Human(_) => Self::BudgetRemaining,
            Self::BudgetRemaining => Self::BudgetSplit,
            Self::BudgetSplit => Self::LogEvent { line: name(4), bytes: 12 },
            Self::LogEvent { .. } => Self::Fetch(fetch()),
            Self::Fetch(_) => Self::HumanAsk { question: name(6), expires_ms: Some(1000) },
            Self::HumanAsk { .. } => Self::HumanNotify { text: name(7) },
            Self::HumanNotify { .. } => Self::AgentsFind { provides: "calendar".into() },
            Self::AgentsFind { .. } => Self::AgentsCall(delegation()),
            Self::AgentsCall(_) => Self::AgentsSend(post(9)),
            Self::AgentsSend(_) => Self::AgentsReply { letter: "scribe/3".into(), post: post(10) },
            Self::AgentsReply { .. } => Self::AgentsReceive { timeout_ms: Some(1000) },
            Self::AgentsReceive { .. } => return None,
        })
    }

    /// Of a kind that has its function as a name, one of each.
    fn functions(self) -> Vec<Self> {
        let all =
            |interface: &[&str], of: fn(String) -> Self| interface.iter().map(|name| of((*name).to_owned())).collect();
        match self {
            Self::Context(_) => all(&CONTEXT, Self::Context),
            Self::Memory { .. } => all(&MEMORY, |function| Self::Memory { function, namespace: namespace() }),
            Self::Agents(_) => all(&AGENTS, Self::Agents),
            Self::Human(_) => all(&HUMAN, Self::Human),
            one @ (Self::LlmModels
            | Self::LlmComplete(_)
            | Self::LlmStream(_)
            | Self::LlmEmbed { .. }
            | Self::LlmCountTokens { .. }
            | Self::MemoryGet { .. }
            | Self::MemoryPut { .. }
            | Self::MemoryDelete { .. }
            | Self::MemoryList { .. }
            | Self::FilesRead(_)
            | Self::FilesWrite { .. }
            | Self::FilesStat(_)
            | Self::FilesList(_)
            | Self::FilesDelete(_)
            | Self::ToolsList
            | Self::ToolsCall { .. }
            | Self::HttpFetch { .. }
            | Self::TimersNow
            | Self::TimersSleep { .. }
            | Self::TimersDeadline
            | Self::BudgetRemaining
            | Self::BudgetSplit
            | Self::LogEvent { .. }
            | Self::Fetch(_)
            | Self::HumanAsk { .. }
            | Self::HumanNotify { .. }
            | Self::AgentsFind { .. }
            | Self::AgentsCall(_)
            | Self::AgentsSend(_)
            | Self::AgentsReply { .. }
            | Self::AgentsReceive { .. }) => vec![one],
        }
    }
}

const CONTEXT: [&str; 8] = [
    "context.conversation",
    "context.append",
    "context.usage",
    "context.complete",
    "context.stream",
    "context.fork",
    "context.snapshot",
    "context.restore",
];
const MEMORY: [&str; 4] = ["memory.history", "memory.rollback", "memory.search", "memory.watch"];
const AGENTS: [&str; 5] = ["agents.find", "agents.call", "agents.send", "agents.reply", "agents.receive"];
const HUMAN: [&str; 2] = ["human.ask", "human.notify"];

fn name(of: u8) -> Digest {
    Digest([of; 32])
}

fn namespace() -> String {
    "agent/scribe/notes".into()
}

fn place() -> Place {
    Place { root: "out".into(), path: "a/b".into() }
}

fn completion() -> Completion {
    Completion {
        model: "small".into(),
        messages: vec![name(11), name(12)],
        settings: name(13),
        input_tokens_max: 100,
        output_tokens_max: Some(10),
        class: Class::Normal,
        local_only: false,
        microusd_max: None,
    }
}

fn fetch() -> Fetch {
    let (method, url) = ("GET".into(), "https://example.com/".into());
    Fetch { method, url, content: name(5), bytes: 100, secret: Some("token".into()) }
}

fn delegation() -> Delegation {
    Delegation { agent: "clerk".into(), input: name(8), share: vec![(Resource::Tokens, 100)], fuel: 1000 }
}

fn post(of: u8) -> Post {
    Post { agent: "clerk".into(), content: name(of), bytes: 12 }
}
