//! What holds of each call whoever makes it: its effect, how it is recorded, what a crash means for it, which contents it names. It decides
//! nothing: whether a call may be made is the kernel's to say.
//!
//! One match without a wildcard: a new call does not compile before all of this has been said of it.

use serde::{Deserialize, Serialize};

use super::{Call, Completion};
use crate::budget::Resource;
use crate::digest::Digest;
use crate::limits::{KEPT_HEAD_BYTES, LETTER_SUBJECT_MAX_BYTES, NOTICE_KEPT_MAX_BYTES, QUESTION_KEPT_MAX_BYTES};

/// What holds of a call. Made without allocating anything.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// The interface and function in `wit/`, for example `llm.complete`.
    pub name: &'a str,
    /// What it can do to the world.
    pub effect: Effect,
    /// How it is recorded, and what must be on disk before it goes on.
    pub durability: Durability,
    /// Whether it may be made again when its host was lost between the call and its answer.
    pub repeat: Repeat<'a>,
    /// True if it may have cost something outside once it has left: a provider may bill it, whether its answer came or not.
    pub billed: bool,
    /// The budget that counts it as one.
    pub counted: Option<Resource>,
    /// Bytes that it adds at most to what stands in our store, or under a root, at its agent's cost. It is held for the call; what is kept then
    /// counts until it is gone, by the table that its row lies in.
    pub keeps: u64,
    /// Bytes that it has the host write, as far as the call says: what it stores, and its contents in the journal. More is known when it is done.
    pub writes: u64,
    /// True if it tells somebody outside what the guest wrote: the calls that a guest has no hand on any more once it has
    /// learnt something, see [`labels`](crate::labels). A model is configured by the admin and a person who is asked belongs to the
    /// site, so neither is a stranger.
    pub reaches_out: bool,
    /// True if the guest does nothing until it is answered: what `wit/` gives as plain functions. Of the others it can have several
    /// in flight, and their order is its own to see.
    pub blocks: bool,
    /// What people see that its run waits for.
    pub wait: Wait,
    /// How long it waits at most, as the guest said, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The contents that it names. Those of an admitted call are stored with the entry that tells of it.
    pub contents: Contents<'a>,
}

/// What a call can do to the world: what a lock and a pause of its agent stop is all but [`Effect::Inner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Answered out of the host's memory; nothing outside is read or changed.
    Inner,
    /// Reads the world; doing it again is harmless.
    Read,
    /// Writes to our own store.
    Store,
    /// Reaches outside: its intent is durable before it leaves.
    External,
}

/// How a call is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// One entry when it is done; nothing waits for the disk.
    Deferred,
    /// One entry when it is done, in the transaction of what it writes; its answer waits for that.
    Atomic,
    /// One entry when it is asked and one when it is answered, so that another host finds what it waited for; nothing waits for the disk.
    Intent,
    /// The same, and the first is on disk before anything leaves this machine.
    WriteAhead,
}

/// Whether a call may be made again, under the same number, when nobody knows whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat<'a> {
    /// Doing it twice is as good as once.
    Safe,
    /// The guest is told that nobody knows.
    Unsafe,
    /// As the registry says of the tool of this name.
    AsTool(&'a str),
}

/// What a run waits for. Of several the last of this list is shown: the later it stands, the longer it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// A file, an entry of memory, a budget: something of this host.
    Host,
    /// The web.
    Web,
    /// A tool.
    Tool,
    /// A model that answers.
    Model,
    /// Its turn at a model.
    Queue,
    /// Time.
    Sleep,
    /// Another agent that it called.
    Agent,
    /// A letter of another agent.
    Letter,
    /// A person, whom the agent asked something.
    Person,
    /// A person's yes to a call.
    Approval,
}

/// Names of contents, in the order in which a call has them.
#[derive(Clone, Debug, Default)]
pub struct Contents<'a> {
    first: Option<&'a Digest>,
    rest: &'a [Digest],
}

const INNER: Spec<'static> = Spec {
    name: "",
    effect: Effect::Inner,
    durability: Durability::Deferred,
    repeat: Repeat::Safe,
    billed: false,
    counted: None,
    keeps: 0,
    writes: 0,
    reaches_out: false,
    blocks: true,
    wait: Wait::Host,
    timeout_ms: None,
    contents: Contents { first: None, rest: &[] },
};

const READ: Spec<'static> = Spec { effect: Effect::Read, ..INNER };

/// A write whose entry is in the same transaction: where there is no entry, nothing was written.
const WRITE: Spec<'static> = Spec { effect: Effect::Store, durability: Durability::Atomic, ..INNER };

/// Something that leaves this machine, or that a transaction of our store cannot hold.
const EXTERNAL: Spec<'static> = Spec { effect: Effect::External, durability: Durability::WriteAhead, ..INNER };

const MODEL: Spec<'static> =
    Spec { billed: true, counted: Some(Resource::LlmCalls), blocks: false, wait: Wait::Model, ..EXTERNAL };

const REQUEST: Spec<'static> =
    Spec { repeat: Repeat::Unsafe, billed: true, reaches_out: true, blocks: false, wait: Wait::Web, ..EXTERNAL };

const DELEGATION: Spec<'static> = Spec { reaches_out: true, blocks: false, wait: Wait::Agent, ..EXTERNAL };

/// The letter leaves its mailbox in the transaction of the answer.
const LETTER: Spec<'static> =
    Spec { effect: Effect::Store, durability: Durability::Intent, blocks: false, wait: Wait::Letter, ..INNER };

/// A person sees it, and the same call finds it again with its answer: asked twice, it is one question. It is kept for as long as the call waits.
const QUESTION: Spec<'static> = Spec {
    keeps: QUESTION_KEPT_MAX_BYTES,
    writes: QUESTION_KEPT_MAX_BYTES,
    blocks: false,
    wait: Wait::Person,
    ..EXTERNAL
};

impl Call {
    /// What holds of it.
    pub fn spec(&self) -> Spec<'_> {
        match self {
            Self::LlmModels => Spec { name: "llm.models", ..INNER },
            Self::LlmComplete(ask) => Spec { name: "llm.complete", contents: asked(ask), ..MODEL },
            Self::LlmStream(ask) => Spec { name: "llm.stream", contents: asked(ask), ..MODEL },
            Self::LlmEmbed { model: _, bytes: _ } => Spec { name: "llm.embed", ..MODEL },
            Self::LlmCountTokens { model: _ } => Spec { name: "llm.count-tokens", ..INNER },
            Self::Context(function) => context(function),
            Self::MemoryGet { namespace: _, key: _ } => Spec { name: "memory.get", ..READ },
            Self::MemoryPut { namespace: _, key: _, content, bytes, grows } => {
                Spec { name: "memory.put", keeps: *grows, writes: *bytes, contents: one(content), ..WRITE }
            }
            Self::MemoryDelete { namespace: _, key: _ } => Spec { name: "memory.delete", ..WRITE },
            Self::MemoryList { namespace: _, prefix: _ } => Spec { name: "memory.list", ..READ },
            Self::Memory { function, namespace: _ } => memory(function),
            Self::FilesRead(_) => Spec { name: "files.read", ..READ },
            Self::FilesWrite { place: _, content, bytes, grows } => {
                // Once where it lies, and once beside the journal.
                let writes = bytes.saturating_mul(2);
                Spec { name: "files.write", keeps: *grows, writes, contents: one(content), ..EXTERNAL }
            }
            Self::FilesStat(_) => Spec { name: "files.stat", ..READ },
            Self::FilesList(_) => Spec { name: "files.list", ..READ },
            Self::FilesDelete(_) => Spec { name: "files.delete", ..EXTERNAL },
            Self::ToolsList => Spec { name: "tools.list", ..INNER },
            Self::ToolsCall { name, arguments, value: _ } => Spec {
                name: "tools.call",
                repeat: Repeat::AsTool(name),
                counted: Some(Resource::ToolCalls),
                wait: Wait::Tool,
                contents: one(arguments),
                ..REQUEST
            },
            // Its contents were never named.
            Self::HttpFetch { method: _, url: _ } => Spec { name: "http.fetch", ..REQUEST },
            Self::Agents(function) => agents(function),
            Self::TimersNow => Spec { name: "timers.now", ..INNER },
            Self::TimersSleep { ms } => Spec {
                name: "timers.sleep",
                durability: Durability::Intent,
                blocks: false,
                wait: Wait::Sleep,
                timeout_ms: Some(*ms),
                ..INNER
            },
            Self::TimersDeadline => Spec { name: "timers.deadline", ..INNER },
            Self::Human(function) => human(function),
            Self::BudgetRemaining => Spec { name: "budget.remaining", ..INNER },
            Self::BudgetSplit => Spec { name: "budget.split", ..INNER },
            Self::LogEvent { line, bytes } => Spec { name: "log.event", writes: *bytes, contents: one(line), ..INNER },
            Self::Fetch(fetch) => {
                let repeat = if is_idempotent(&fetch.method) { Repeat::Safe } else { Repeat::Unsafe };
                Spec { name: "http.fetch", repeat, contents: one(&fetch.content), ..REQUEST }
            }
            Self::HumanAsk { question, expires_ms } => {
                Spec { name: "human.ask", timeout_ms: *expires_ms, contents: one(question), ..QUESTION }
            }
            Self::HumanNotify { text } => {
                let most = NOTICE_KEPT_MAX_BYTES;
                Spec { name: "human.notify", keeps: most, writes: most, contents: one(text), ..WRITE }
            }
            Self::AgentsFind { provides: _ } => Spec { name: "agents.find", ..READ },
            Self::AgentsCall(delegation) => {
                Spec { name: "agents.call", contents: one(&delegation.input), ..DELEGATION }
            }
            Self::AgentsSend(post) => {
                let keeps = post.bytes.saturating_add(KEPT_HEAD_BYTES);
                Spec { name: "agents.send", keeps, writes: keeps, contents: one(&post.content), ..WRITE }
            }
            // Its subject is the host's to say.
            Self::AgentsReply { letter: _, post } => {
                let head = KEPT_HEAD_BYTES + LETTER_SUBJECT_MAX_BYTES as u64;
                let keeps = post.bytes.saturating_add(head);
                Spec { name: "agents.reply", keeps, writes: keeps, contents: one(&post.content), ..WRITE }
            }
            Self::AgentsReceive { timeout_ms } => Spec { name: "agents.receive", timeout_ms: *timeout_ms, ..LETTER },
        }
    }

    /// The interface and function in `wit/`, for example `llm.complete`.
    pub fn name(&self) -> &str {
        self.spec().name
    }
}

/// A conversation lives in our store; a function of it that asks a model is as any other question to one.
fn context(function: &str) -> Spec<'_> {
    match function {
        "context.complete" | "context.stream" => Spec { name: function, ..MODEL },
        _ => Spec { name: function, ..WRITE },
    }
}

fn memory(function: &str) -> Spec<'_> {
    match function {
        "memory.history" | "memory.watch" => Spec { name: function, ..READ },
        "memory.search" => Spec { name: function, blocks: false, ..READ },
        _ => Spec { name: function, ..WRITE },
    }
}

fn agents(function: &str) -> Spec<'_> {
    match function {
        "agents.call" => Spec { name: function, ..DELEGATION },
        "agents.receive" => Spec { name: function, ..LETTER },
        _ => Spec { name: function, ..WRITE },
    }
}

fn human(function: &str) -> Spec<'_> {
    match function {
        "human.ask" => Spec { name: function, ..QUESTION },
        _ => Spec { name: function, ..WRITE },
    }
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

fn asked(ask: &Completion) -> Contents<'_> {
    Contents { first: Some(&ask.settings), rest: &ask.messages }
}

fn one(digest: &Digest) -> Contents<'_> {
    Contents { first: Some(digest), rest: &[] }
}

impl Iterator for Contents<'_> {
    type Item = Digest;

    fn next(&mut self) -> Option<Digest> {
        if let Some(first) = self.first.take() {
            return Some(*first);
        }
        let (next, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*next)
    }
}

impl Wait {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Web => "web",
            Self::Tool => "tool",
            Self::Model => "model",
            Self::Queue => "queue",
            Self::Sleep => "sleep",
            Self::Agent => "agent",
            Self::Letter => "letter",
            Self::Person => "person",
            Self::Approval => "approval",
        }
    }

    /// True if what it waits for comes whether the run is in memory or not. An approval is not such a thing: the kernel holds it for the
    /// call.
    pub fn rests(self) -> bool {
        match self {
            Self::Sleep | Self::Letter | Self::Person => true,
            Self::Host | Self::Web | Self::Tool | Self::Model | Self::Queue | Self::Agent | Self::Approval => false,
        }
    }
}
