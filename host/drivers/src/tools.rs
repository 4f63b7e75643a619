//! Tools behind adapters: each call spends a permit on one call of one adapter. It never decides who may call what, and shows no agent
//! a secret, a path of this machine or the address of a server.

pub mod adapter;
mod answer;
pub mod cage;
mod clock;
mod command;
pub mod config;
mod endpoint;
pub mod schema;
pub mod template;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::llm;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::clock::Clock;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::json::{self, Value};
use agentry_kernel::labels::Labels;
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Digest, Permit};
use agentry_store::limits::{TOOL_COMMANDS_MAX, TOOL_OUTPUT_MAX_BYTES, TOOL_TIMEOUT_MAX_MS, TOOLS_MAX};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::adapter::{Adapter, Bounded};
pub use self::answer::Said;
use self::schema::Schema;
use crate::secrets::Secrets;
use crate::secrets::config::SecretLine;
use crate::tools::config::{Registered, ToolLine, ToolsConfig};
use crate::web::{System, Web};

/// The directory in the home in which commands have theirs.
const PLACE: &str = "tools";

/// The tools of a host.
pub struct Tools {
    entries: BTreeMap<String, Arc<Entry>>,
}

/// What the adapters of a host share.
pub struct Shared {
    web: Arc<Web>,
    secrets: Arc<Secrets>,
    /// The program that runs commands in a child of itself; none if commands are not run here.
    program: Option<PathBuf>,
    place: PathBuf,
    commands: Semaphore,
    clock: Clock,
}

/// A tool of the registry.
pub struct Entry {
    line: ToolLine,
    schema: Schema,
    adapter: Arc<dyn Adapter>,
    /// Why it cannot be called now, for the admin.
    pub trouble: Option<String>,
}

/// What came of a call.
pub struct Done {
    /// For the guest.
    pub result: Result<Said, Error>,
    /// What it took.
    pub spent: Amounts,
    /// For the admin alone: why it did not work; never a secret.
    pub note: Option<String>,
}

/// Why a program cannot bring such a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be a tool of this host: {why}")]
pub struct NotAdded {
    /// The tool.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Tools {
    /// The tools of a registry, to be looked at: none of them is called.
    pub fn registered(secrets: &[SecretLine], hosts: BTreeMap<String, Vec<IpAddr>>, registry: ToolsConfig) -> Self {
        let secrets = Arc::new(Secrets::open(secrets));
        let web = Arc::new(Web::new(Arc::new(System::new(hosts))));
        Self::new(registry, PathBuf::new(), None, web, secrets, Clock::System)
    }

    /// The tools of a registry. `program` is this program, if it knows [`cage::VERB`]; directories of commands come to lie in `home`.
    pub fn open(
        config: ToolsConfig,
        home: &Path,
        program: Option<PathBuf>,
        web: Arc<Web>,
        secrets: Arc<Secrets>,
        clock: Clock,
    ) -> Self {
        let place = home.join(PLACE);
        // What a host that was killed has left there is nobody's.
        let _ = std::fs::remove_dir_all(&place);
        Self::new(config, place, program, web, secrets, clock)
    }

    fn new(
        config: ToolsConfig,
        place: PathBuf,
        program: Option<PathBuf>,
        web: Arc<Web>,
        secrets: Arc<Secrets>,
        clock: Clock,
    ) -> Self {
        let commands = Semaphore::new(TOOL_COMMANDS_MAX);
        let shared = Arc::new(Shared { web, secrets, program, place, commands, clock });
        let entry = |Registered { tool, reach }: Registered| {
            let schema = Schema::new(&tool.schema).expect("its reader has compiled it");
            (tool.name.clone(), Arc::new(Entry::new(tool, schema, reach.adapter(&shared))))
        };
        Self { entries: config.tools.into_iter().map(entry).collect() }
    }

    /// Adds a tool that the program of this host brings, behind an adapter of its own. That is held to the tool's timeout, to cuts and to the
    /// length of an answer; the schema must be of an object.
    ///
    /// # Errors
    /// If no tool is called so, its schema is none, its timeout is none that a tool has, there is one of its name, or there are too many.
    pub fn add(&mut self, mut tool: ToolLine, adapter: Arc<dyn Adapter>) -> Result<(), NotAdded> {
        let not = |why: &str| NotAdded { name: tool.name.clone(), why: why.to_owned() };
        if !config::is_name(&tool.name) {
            return Err(not("a name has letters, digits, `.`, `_` and `-`, and few of them"));
        }
        if self.entries.contains_key(&tool.name) {
            return Err(not("there is one of this name"));
        }
        if self.entries.len() >= TOOLS_MAX {
            return Err(not(&format!("there are {TOOLS_MAX} tools already")));
        }
        if tool.timeout.is_zero() || tool.timeout > Duration::from_millis(TOOL_TIMEOUT_MAX_MS) {
            return Err(not(&format!("its timeout is not of 1 to {TOOL_TIMEOUT_MAX_MS} ms")));
        }
        if !(1..=TOOL_OUTPUT_MAX_BYTES).contains(&tool.output_max_bytes) {
            return Err(not(&format!("its answers are not of 1 to {TOOL_OUTPUT_MAX_BYTES} bytes")));
        }
        let canonical = json::parse(&tool.schema).map_err(|flaw| not(&format!("its schema is not JSON: {flaw}")))?;
        if canonical.get("type").and_then(Value::as_str) != Some("object") {
            return Err(not("its schema is not of an object"));
        }
        let canonical = canonical.to_string();
        let schema = Schema::new(&canonical).map_err(|why| not(&format!("its schema is none: {why}")))?;
        tool.schema = canonical;
        let entry = Entry::new(tool, schema, Arc::new(Bounded(adapter)));
        self.entries.insert(entry.name().to_owned(), Arc::new(entry));
        Ok(())
    }

    /// All of them, by name.
    pub fn list(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(Arc::as_ref)
    }

    /// A tool by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name)
    }

    /// What the kernel knows of them.
    pub fn kernel_tools(&self) -> Vec<Tool> {
        self.entries.values().map(|entry| entry.kernel_tool()).collect()
    }
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Entry {
    fn new(line: ToolLine, schema: Schema, adapter: Arc<dyn Adapter>) -> Self {
        let trouble = adapter.trouble(&line);
        Self { line, schema, adapter, trouble }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.line.name
    }

    /// What it does, as the admin says it.
    pub fn description(&self) -> &str {
        &self.line.description
    }

    /// What calling it does to the world.
    pub fn effect(&self) -> Effect {
        self.line.effect
    }

    /// What its answers carry.
    pub fn labels(&self) -> Vec<String> {
        self.line.labels.iter().map(str::to_owned).collect()
    }

    /// The same, as a run gains them.
    pub fn kernel_labels(&self) -> &Labels {
        &self.line.labels
    }

    /// JSON Schema of its arguments.
    pub fn schema(&self) -> &str {
        &self.line.schema
    }

    /// Milliseconds that a call may take.
    pub fn timeout_ms(&self) -> u64 {
        u64::try_from(self.line.timeout.as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes that an answer may have.
    pub fn output_max_bytes(&self) -> usize {
        self.line.output_max_bytes
    }

    /// What a call costs, in millionths of a US dollar.
    pub fn price_microusd(&self) -> u64 {
        self.line.price_microusd
    }

    /// The kind of its adapter, such as `command` or `http`, and where that leads: for the admin.
    pub fn reach(&self) -> (&'static str, String) {
        self.adapter.reach()
    }

    /// As an agent and its model see it.
    pub fn shown(&self) -> llm::Tool {
        llm::Tool {
            name: self.line.name.clone(),
            description: self.line.description.clone(),
            schema_json: self.line.schema.clone(),
        }
    }

    /// Checks the arguments of a call against its schema.
    pub fn accepts(&self, arguments: &Value) -> Result<(), Error> {
        self.schema.check(arguments).map_err(|why| Error::Invalid(format!("arguments: {why}")))
    }

    /// Calls it. It ends soon after `cut` is cancelled.
    pub async fn call(&self, permit: &Permit, arguments: &Value, cut: &CancellationToken) -> Done {
        let called = self.adapter.call(&self.line, permit, arguments, cut).await;
        let price = Amounts::of(Resource::Usd, self.line.price_microusd);
        match called {
            Ok(said) => Done { spent: price.with(Resource::Egress, said.egress_bytes), result: Ok(said), note: None },
            Err(wrong) => Done { spent: wrong.spent(price), note: wrong.note(), result: Err(wrong.error()) },
        }
    }

    fn kernel_tool(&self) -> Tool {
        Tool {
            name: self.line.name.clone(),
            effect: self.line.effect,
            labels: self.line.labels.clone(),
            schema: Digest(Sha256::digest(self.line.schema.as_bytes()).into()),
            price_microusd: self.line.price_microusd,
            sends_bytes: self.adapter.sends_bytes(),
        }
    }
}
