//! What those who die and go on live on: three agents, of which one calls the next, their policies and tools, and what each of their calls
//! asks for.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::LazyLock;

use super::super::zoo::Random;
use crate::call::{Call, Class, Completion, Delegation, RunId};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::policy::{Policy, Source};
use crate::tool::{Effect, Tool};

pub(super) const AGENTS: [&str; 3] = ["ant", "bee", "cat"];

const TOOLS: [(&str, Effect); 5] = [
    ("read", Effect::Read),
    ("note", Effect::Idempotent),
    ("move", Effect::Reversible),
    ("sell", Effect::Irreversible),
    ("post", Effect::Egress),
];

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let grant = |agent: &str, calls: &str| {
        format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nllm = {{ models = [\"*\"] }}\nmemory = {{ read = [\"**\"] }}\n\
             allow = [{{ id = \"a/b\", tool = \"*\" }}]\nagents = {{ call = [{calls}], max_depth = 4 }}\n[budget]\n\
             usd_run = \"0.03\"\nusd_day = \"0.07\"\ntokens_run = 4000\ntokens_minute = 6000\ntool_calls_run = 6\n\
             tool_calls_day = 14\nllm_calls_day = 12\nfuel_run = 1000\nfuel_day = 2000\nwall_run = \"60s\"\nwall_day = \"400s\"\n"
        )
    };
    let grants = [grant("ant", "\"bee\""), grant("bee", "\"cat\""), grant("cat", "\"ant\"")];
    let sources = grants.each_ref().map(|text| Source { file: "island.toml", text });
    Arc::new(Policy::parse(&sources, Digest::default()).expect("the policy of the simulation is whole"))
});

static MANIFESTS: LazyLock<[Arc<Manifest>; 3]> = LazyLock::new(|| {
    AGENTS.map(|agent| {
        let text = format!(
            "format = 1\nname = \"island:{agent}\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n\
             [wants]\nllm = {{ models = [\"*\"], why = \"w\" }}\ntools = [{{ tool = \"*\", why = \"w\" }}]\n\
             memory = {{ read = [\"**\"], why = \"w\" }}\nagents = {{ why = \"w\" }}\n"
        );
        Arc::new(Manifest::parse_toml(&text).expect("the manifest of the simulation is whole"))
    })
});

pub(super) fn policy() -> Arc<Policy> {
    Arc::clone(&POLICY)
}

pub(super) fn manifest(agent: &str) -> Arc<Manifest> {
    let at = AGENTS.iter().position(|name| *name == agent).expect("it is of the island");
    Arc::clone(&MANIFESTS[at])
}

pub(super) fn tools() -> Vec<Tool> {
    TOOLS.into_iter().map(|(name, effect)| Tool { name: name.into(), effect, ..Tool::default() }).collect()
}

/// What a run asks for with its call of this number: the same again whenever it makes it.
pub(super) fn call(run: RunId, number: u32, depth: usize) -> Call {
    let mut random = Random(run.0 << 8 | u64::from(number));
    match random.below(12) {
        0..3 => Call::LlmComplete(Completion {
            model: ["cloud", "local"][random.below(2) as usize].into(),
            messages: Vec::new(),
            settings: Digest::default(),
            input_tokens_max: random.below(500),
            output_tokens_max: Some(random.below(300)),
            class: Class::Normal,
            local_only: false,
            microusd_max: None,
        }),
        3..8 => {
            let (name, _) = TOOLS[random.below(TOOLS.len() as u64) as usize];
            Call::ToolsCall { name: name.into(), arguments: Digest::default(), value: Arc::default() }
        }
        8 => Call::TimersSleep { ms: random.below(50) },
        9 => Call::MemoryGet { namespace: "n".into(), key: "k".into() },
        _ if depth < AGENTS.len() => {
            let (agent, fuel) = (AGENTS[depth].into(), random.below(200));
            Call::AgentsCall(Delegation { agent, input: Digest::default(), share: Vec::new(), fuel })
        }
        _ => Call::TimersSleep { ms: 1 },
    }
}

/// A call that guests here make.
pub(super) enum Made<'c> {
    /// Of a model.
    Model,
    /// Of a tool.
    Tool(&'c str),
    /// A sleep.
    Sleep,
    /// A look into memory.
    Look,
    /// Another agent.
    Child(&'c Delegation),
}

/// Which one it is.
pub(super) fn made(what: &Call) -> Made<'_> {
    match what {
        Call::LlmComplete(_) => Made::Model,
        Call::ToolsCall { name, .. } => Made::Tool(name),
        Call::TimersSleep { .. } => Made::Sleep,
        Call::MemoryGet { .. } => Made::Look,
        Call::AgentsCall(delegation) => Made::Child(delegation),
        Call::LlmModels
        | Call::LlmStream(_)
        | Call::LlmEmbed { .. }
        | Call::LlmCountTokens { .. }
        | Call::Context(_)
        | Call::MemoryPut { .. }
        | Call::MemoryDelete { .. }
        | Call::MemoryList { .. }
        | Call::Memory { .. }
        | Call::FilesRead(_)
        | Call::FilesWrite { .. }
        | Call::FilesStat(_)
        | Call::FilesList(_)
        | Call::FilesDelete(_)
        | Call::ToolsList
        | Call::HttpFetch { .. }
        | Call::Agents(_)
        | Call::TimersNow
        | Call::TimersDeadline
        | Call::Human(_)
        | Call::BudgetRemaining
        | Call::BudgetSplit
        | Call::LogEvent { .. }
        | Call::Fetch(_)
        | Call::HumanAsk { .. }
        | Call::HumanNotify { .. }
        | Call::AgentsFind { .. }
        | Call::AgentsSend(_)
        | Call::AgentsReply { .. }
        | Call::AgentsReceive { .. } => panic!("nobody here makes a call of {}", what.name()),
    }
}

/// True if a call that was lost may be made again.
pub(super) fn repeats(what: &Call) -> bool {
    match made(what) {
        Made::Tool(name) => matches!(name, "read" | "note"),
        Made::Model | Made::Sleep | Made::Look | Made::Child(_) => true,
    }
}

/// True if others see it.
pub(super) fn is_outside(what: &Call) -> bool {
    match made(what) {
        Made::Model | Made::Tool(_) => true,
        Made::Sleep | Made::Look | Made::Child(_) => false,
    }
}
