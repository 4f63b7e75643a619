//! The syscalls that pass the gate, as they cross the port: what a guest passed, under the names that `wit/` has, and what it gets. One line
//! each; a line that is missing here cannot be asked for, and one that nobody answers does not compile.

use serde::{Deserialize, Serialize};

use crate::bindings::agentry::agent::agents::{AgentInfo, Letter, Share};
use crate::bindings::agentry::agent::budget::{self, Balance};
use crate::bindings::agentry::agent::files::FileStat;
use crate::bindings::agentry::agent::human::Question;
use crate::bindings::agentry::agent::llm::{self, Message, ModelInfo, Response};
use crate::bindings::agentry::agent::log::Level;
use crate::bindings::agentry::agent::memory::{Entry, Hit, Page, Query, Value, WriteOptions};
use crate::bindings::agentry::agent::tools::{self, Tool};
use crate::bindings::agentry::agent::types::Error;
use crate::bindings::agentry::agent::{http, llm::Failure};
use crate::driver::{Octets, Recordable};
use crate::fault::Fault;
use agentry_kernel::call::CallId;

/// One syscall: what crosses for it, both ways.
pub trait Syscall: Into<Request> {
    /// What the guest gets.
    type Reply: Recordable + Send + 'static;
    /// What it gets instead when that is not to be had.
    type Fault: Fault;

    /// An answer to it, as it crosses.
    fn reply(result: Result<Self::Reply, Self::Fault>) -> Reply;

    /// An answer that crossed; none if it answers something else.
    fn read(reply: Reply) -> Option<Result<Self::Reply, Self::Fault>>;
}

/// What goes as it is, behind `->`, and what goes in a box, behind `=>`: so that a quick answer is moved about in a few words.
macro_rules! held {
    (-> $type:ty) => { $type };
    (=> $type:ty) => { Box<$type> };
    (put -> $value:ident) => { $value };
    (put => $value:ident) => { Box::new($value) };
    (take -> $value:ident) => { $value };
    (take => $value:ident) => { *$value };
}

macro_rules! syscalls {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident: $type:ty),* $(,)? } $how:tt $reply:ty, $fault:ty;)*) => {
        /// A syscall on its way to the far side, by interface and function.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Request {
            $($(#[doc = $doc])* $name($name),)*
        }

        /// What comes of a syscall, on its way to the near side.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Reply {
            $(#[doc = concat!("Of [`", stringify!($name), "`].")] $name(held!($how Result<$reply, $fault>)),)*
        }

        $(
            $(#[doc = $doc])*
            #[allow(missing_docs, reason = "the parameters of `wit/`, where the documentation stands")]
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                $(pub $field: $type,)*
            }

            impl From<$name> for Request {
                #[inline]
                fn from(asked: $name) -> Self {
                    Self::$name(asked)
                }
            }

            impl Syscall for $name {
                type Reply = $reply;
                type Fault = $fault;

                #[inline]
                fn reply(result: Result<$reply, $fault>) -> Reply {
                    Reply::$name(held!(put $how result))
                }

                #[inline]
                fn read(reply: Reply) -> Option<Result<$reply, $fault>> {
                    if let Reply::$name(result) = reply { Some(held!(take $how result)) } else { None }
                }
            }
        )*

        #[cfg(test)]
        impl Request {
            /// The names of all, in order.
            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

            pub(super) fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }

        #[cfg(test)]
        impl Reply {
            pub(super) fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }
    };
}

syscalls! {
    /// `agents.find`
    AgentsFind { provides: String } -> Vec<AgentInfo>, Error;
    /// `agents.call`; and the fuel that the engine says the guest has.
    AgentsCall { agent: String, input_json: String, budget: Vec<Share>, fuel_left: u64 } -> String, Error;
    /// `agents.send`
    AgentsSend { agent: String, subject: String, body_json: String } -> String, Error;
    /// `agents.receive`
    AgentsReceive { timeout_ms: Option<u64> } => Option<Letter>, Error;
    /// `agents.reply`
    AgentsReply { letter: String, body_json: String } -> (), Error;
    /// `budget.remaining`
    BudgetRemaining {} -> Vec<Balance>, Error;
    /// `budget.split`
    BudgetSplit { shares: Vec<budget::Share> } -> String, Error;
    /// `context.conversation`
    ContextConversation { model: String, pinned: Vec<Message> } -> (), Error;
    /// `context.conversation.append`
    ContextAppend { message: Message } -> (), Error;
    /// `context.conversation.usage`
    ContextUsage {} -> (u32, u32), Error;
    /// `context.conversation.complete`
    ContextComplete { request: llm::Request } => Response, Failure;
    /// `context.conversation.stream`
    ContextStream { request: llm::Request } => Response, Failure;
    /// `context.conversation.fork`
    ContextFork {} -> (), Error;
    /// `context.conversation.snapshot`
    ContextSnapshot {} -> String, Error;
    /// `context.restore`
    ContextRestore { snapshot: String } -> (), Error;
    /// `files.read`
    FilesRead { root: String, path: String, offset: u64, length: u64 } -> Octets, Error;
    /// `files.write`
    FilesWrite { root: String, path: String, content: Octets } -> (), Error;
    /// `files.stat`
    FilesStat { root: String, path: String } -> FileStat, Error;
    /// `files.list`
    FilesList { root: String, path: String } -> Vec<FileStat>, Error;
    /// `files.delete`
    FilesDelete { root: String, path: String } -> (), Error;
    /// `http.fetch`
    HttpFetch { request: http::Request } => Fetched, Error;
    /// The request to which the answer that the guest saw last redirects: a call of its own, which goes where that answer said.
    HttpFollow { redirect: CallId } => Fetched, Error;
    /// `human.ask`
    HumanAsk { question: Question } -> String, Error;
    /// `human.notify`
    HumanNotify { text: String } -> (), Error;
    /// `llm.complete`
    LlmComplete { request: llm::Request } => Response, Failure;
    /// `llm.stream`
    LlmStream { request: llm::Request } => Response, Failure;
    /// `llm.embed`
    LlmEmbed { model: String, texts: Vec<String> } -> Vec<Vec<f32>>, Error;
    /// `llm.models`
    LlmModels {} -> Vec<ModelInfo>, Error;
    /// `llm.count-tokens`
    LlmCountTokens { request: llm::Request } -> u64, Error;
    /// `log.event`, and a line of a standard stream.
    LogEvent { level: Level, line: String } -> (), Error;
    /// `memory.get`
    MemoryGet { namespace: String, key: String } => Option<Entry>, Error;
    /// `memory.put`
    MemoryPut { namespace: String, key: String, value: Value, options: WriteOptions } -> u64, Error;
    /// `memory.delete`
    MemoryDelete { namespace: String, key: String, hard: bool } -> (), Error;
    /// `memory.list`
    MemoryList { namespace: String, prefix: String, after: Option<String>, limit: u32 } -> Page, Error;
    /// `memory.search`
    MemorySearch { namespace: String, query: Query } -> Vec<Hit>, Error;
    /// `memory.history`
    MemoryHistory { namespace: String, key: String } -> Vec<Entry>, Error;
    /// `memory.rollback`
    MemoryRollback { namespace: String, key: String, version: u64 } -> u64, Error;
    /// `memory.watch`
    MemoryWatch { namespace: String, prefix: String } -> (), Error;
    /// `timers.now`
    TimersNow {} -> u64, Error;
    /// `timers.deadline`
    TimersDeadline {} -> Option<u64>, Error;
    /// `timers.sleep`
    TimersSleep { ms: u64 } -> (), Error;
    /// `tools.list`
    ToolsList {} -> Vec<Tool>, Error;
    /// `tools.call`; and the fuel that the engine says the guest has, for a tool that is an agent.
    ToolsCall { name: String, arguments_json: String, fuel_left: u64 } -> tools::Answer, Error;
}

/// An answer from the web, and where it leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// The answer.
    pub response: http::Response,
    /// What to ask [`HttpFollow`] for, if it is a redirect.
    pub redirect: Option<CallId>,
}
