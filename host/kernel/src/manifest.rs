//! What a package says of itself: its name and what it asks for, each with a reason. It asks; it is given nothing here.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::budget::words::Amount;
use crate::call::Class;
use crate::constraint::Arguments;
use crate::labels::Labels;
use crate::rights::shapes;
use crate::rights::{
    Access, AgentsRight, Extra, FilesRight, HttpRight, HumanRight, LlmRight, MemoryRight, Rights, ToolRight,
};

mod check;
mod licence;
mod requires;
mod secrets;

pub use requires::{Requirement, Requires};
pub use secrets::WantsSecret;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// The version of the syscall table in `wit/`.
pub const WIT: &str = "0.1.0";

/// The content of the custom section `agentry-manifest`; authors write the same as `agent.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// `publisher:name`, in lowercase letters, digits and `-`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Grows with every release, so that nobody can be handed an older one.
    #[serde(default = "first")]
    pub seq: u64,
    /// The version of the syscall table that it was built against.
    pub wit: String,
    /// One sentence for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What other agents find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<String>,
    /// Packages that it needs beside it. What it may do with them, its wants and a grant say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requires>,
    /// What it asks for.
    #[serde(default)]
    pub wants: Wants,
    /// The budget that its author suggests, in the words of a grant's `[budget]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budget: BTreeMap<String, Amount>,
    /// JSON Schema of the input, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<String>,
    /// JSON Schema of the output, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which revision of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Under which terms it is offered: an expression of SPDX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

const fn first() -> u64 {
    1
}

impl Manifest {
    /// The agent's name: what stands after the publisher.
    pub fn agent(&self) -> &str {
        self.name.split_once(':').map_or(&self.name, |(_, agent)| agent)
    }

    /// What must be there beside it.
    pub fn requirements(&self) -> impl Iterator<Item = Requirement> {
        self.requires.iter().filter_map(|requires| requires.requirement().ok())
    }

    /// What it asks for, in the form that calls are looked up in.
    pub fn rights(&self) -> Rights {
        let wants = &self.wants;
        Rights {
            llm: wants.llm.as_ref().map(|llm| LlmRight {
                models: llm.models.clone(),
                max_tokens: llm.max_tokens,
                class: llm.class,
                retries: 0,
                line: 0,
            }),
            memory: wants.memory.as_ref().map(|memory| MemoryRight {
                read: memory.read.clone(),
                write: memory.write.clone(),
                labels: Labels::NONE,
                line: 0,
            }),
            files: wants.files.iter().map(WantsFiles::right).collect(),
            tools: wants.tools.iter().map(|tool| tool.right(self.agent())).collect(),
            http: wants.http.iter().flat_map(|http| http.rights(self.agent())).collect(),
            secrets: wants.secrets.iter().filter_map(WantsSecret::right).collect(),
            agents: wants.agents.as_ref().map(WantsAgents::right),
            human: wants.human.as_ref().map(|_| HumanRight { ask: true, notify: true, line: 0 }),
            others: wants
                .http
                .iter()
                .map(|_| "http")
                .chain(wants.others().map(|(name, _)| name))
                .map(Into::into)
                .collect(),
        }
    }
}

impl Wants {
    /// Interfaces of the table that a package has to ask for.
    pub const INTERFACES: [&'static str; 8] = ["llm", "context", "memory", "tools", "files", "http", "agents", "human"];

    /// Those that it asks for.
    pub fn interfaces(&self) -> impl Iterator<Item = &'static str> {
        let asked = [
            self.llm.is_some(),
            self.context.is_some(),
            self.memory.is_some(),
            !self.tools.is_empty(),
            !self.files.is_empty(),
            self.http.is_some(),
            self.agents.is_some(),
            self.human.is_some(),
        ];
        Self::INTERFACES.into_iter().zip(asked).filter_map(|(name, asked)| asked.then_some(name))
    }

    /// Whether it has the interface `tools`: an agent that may be called is a tool to whoever may call it.
    pub fn calls_tools(&self) -> bool {
        !self.tools.is_empty() || self.agents.is_some()
    }

    /// Interfaces that nothing narrows, by name.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&'static str, &WantsOther)> {
        let others = [("context", &self.context)];
        others.into_iter().filter_map(|(name, other)| other.as_ref().map(|other| (name, other)))
    }
}

impl WantsLlm {
    /// Whether a model has to be able to do something for it. That is no right: whoever has none that can is told.
    pub fn needs_something(&self) -> bool {
        self.window.is_some() || self.tools || self.schema
    }
}

impl WantsFiles {
    fn right(&self) -> FilesRight {
        FilesRight { root: self.root.clone(), at: "/".into(), access: self.access, labels: Labels::NONE, line: 0 }
    }
}

impl WantsHttp {
    /// The hosts, and the methods where it names some: what else may be done there is the grant's to say.
    fn rights(&self, agent: &str) -> impl Iterator<Item = HttpRight> {
        self.hosts.iter().filter_map(move |host| {
            let to = shapes::origin(host).ok()?;
            let (methods, paths, extra) = (self.methods.clone(), Vec::new(), Extra::default());
            Some(HttpRight { id: agent.into(), to, methods, paths, private: false, extra, line: 0 })
        })
    }
}

impl WantsAgents {
    /// Where it names nobody, whom it may call and write to is the grant's to say; and so is how deep calls nest.
    fn right(&self) -> AgentsRight {
        let open = self.call.is_empty() && self.send.is_empty() && self.receive.is_empty();
        let listed = |list: &Vec<String>| if open { alloc::vec![String::from("*")] } else { list.clone() };
        let (call, send, receive) = (listed(&self.call), listed(&self.send), listed(&self.receive));
        AgentsRight { call, send, receive, max_depth: u32::MAX, line: 0 }
    }
}

impl WantsTool {
    fn right(&self, agent: &str) -> ToolRight {
        ToolRight { tool: self.tool.clone(), args: Arguments::Any, id: agent.into(), ..ToolRight::default() }
    }
}

/// What a package asks for. Interfaces `log`, `timers`, `budget` and the virtual WASI are everyone's and not declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// Models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<WantsLlm>,
    /// Namespaces of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<WantsMemory>,
    /// Roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WantsFiles>,
    /// Tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<WantsTool>,
    /// The web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<WantsHttp>,
    /// Secrets for its requests. None leaves them to the grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<WantsSecret>,
    /// Other agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<WantsAgents>,
    /// People.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human: Option<WantsOther>,
    /// Conversations that the kernel owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<WantsOther>,
}

/// It wants to ask models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsLlm {
    /// Aliases or their beginnings; usually `*`, for an author does not know an admin's names.
    pub models: Vec<String>,
    /// The longest answer that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The most urgent class that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The smallest window that prompt and answer fit in, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// True if the model has to take tools.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub tools: bool,
    /// True if its answers have to keep to a schema.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub schema: bool,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants to remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsMemory {
    /// Namespaces to read.
    #[serde(default)]
    pub read: Vec<String>,
    /// Namespaces to write.
    #[serde(default)]
    pub write: Vec<String>,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsFiles {
    /// The root's name.
    pub root: String,
    /// To read, or to read and write.
    pub access: Access,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsTool {
    /// Its name, or its beginning and `*`.
    pub tool: String,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants the web.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsHttp {
    /// Hosts that it asks: `https://api.example.org`, `https://*.example.org`. None leaves it to the grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What it does there: `GET`, `POST`. None leaves it to the grant, which is drafted with `GET` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants other agents. If it names none, it leaves them to the grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsAgents {
    /// Agents that it calls, or beginnings of their names and `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub call: Vec<String>,
    /// Agents that it writes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub send: Vec<String>,
    /// Agents whose letters it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receive: Vec<String>,
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// It wants an interface whose constraints have no language yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantsOther {
    /// What for.
    pub why: String,
    /// True if it works without.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\nhint: {hint}")]
pub struct ManifestMistake {
    /// Where: `wants.files.0.root`; empty if it is about all of it.
    pub key: String,
    /// What is wrong, lowercase, without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}
