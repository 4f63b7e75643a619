//! Tools behind adapters: each call spends a permit on one call of one adapter. It never decides who may call what, and shows no agent
//! a secret, a path of this machine or the address of a server.

pub mod adapter;
mod answer;
mod clock;
mod command;
pub mod config;
mod endpoint;
mod registry;
pub mod sandbox;
pub mod schema;
pub mod template;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::llm;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::clock::Clock;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::json::Value;
use agentry_kernel::labels::Labels;
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Digest, Permit};
use agentry_store::limits::TOOL_COMMANDS_MAX;
use parking_lot::{Mutex, MutexGuard, RwLock};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::adapter::Adapter;
pub use self::answer::Said;
use self::registry::Origin;
pub use self::registry::{NotAdded, Registry};
use self::schema::Schema;
use crate::secrets::Secrets;
use crate::secrets::config::SecretLine;
use crate::tools::config::{ToolLine, ToolsConfig};
use crate::web::{System, Web};

/// The directory in the home in which commands have theirs.
const PLACE: &str = "tools";

/// The tools of a host, which may be replaced by others while it runs.
pub struct Tools {
    shared: Arc<Shared>,
    registry: RwLock<Arc<Registry>>,
    changing: Mutex<()>,
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
    origin: Origin,
    /// All that is said of it, by name.
    definition: Digest,
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

impl Tools {
    /// The tools of a registry, to be looked at: none of them is called.
    pub fn registered(secrets: &[SecretLine], hosts: BTreeMap<String, Vec<IpAddr>>, registry: ToolsConfig) -> Self {
        let secrets = Arc::new(Secrets::open(secrets));
        let web = Arc::new(Web::new(Arc::new(System::new(hosts))));
        Self::new(registry, PathBuf::new(), None, web, secrets, Clock::System)
    }

    /// The tools of a registry. `program` is this program, if it knows [`sandbox::VERB`]; directories of commands come to lie in `home`.
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
        let registry = Registry::of_file(&Registry::default(), config, &shared).expect("its reader has counted them");
        Self { shared, registry: RwLock::new(Arc::new(registry)), changing: Mutex::default() }
    }

    /// Those that are there now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// A tool by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.registry.read().get(name).cloned()
    }

    /// True if this tool is still the one of its name. A call that was decided on while it was may be made with it.
    pub fn has(&self, entry: &Arc<Entry>) -> bool {
        self.registry.read().get(entry.name()).is_some_and(|now| Arc::ptr_eq(now, entry))
    }

    /// Held by whoever looks at the set and then replaces it, so that no two do so at once.
    pub fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// The set that would be there with these tools of `tools.toml`, and those that the program brings as they are.
    ///
    /// # Errors
    /// If one of them has the name of one that the program brings, or there are too many.
    pub fn with_file(&self, config: ToolsConfig) -> Result<Registry, NotAdded> {
        Registry::of_file(&self.registry(), config, &self.shared)
    }

    /// The set that would be there if the program of this host brought these tools, each behind an adapter of its own, and those of
    /// `tools.toml` as they are. An adapter is held to its tool's timeout, to cuts and to the length of an answer.
    ///
    /// # Errors
    /// If no tool is called so, its schema is none of an object, its timeout is none that a tool has, there is one of its name, or there are
    /// too many.
    pub fn with_own(&self, tools: Vec<(ToolLine, Arc<dyn Adapter>)>) -> Result<Registry, NotAdded> {
        Registry::of_program(&self.registry(), tools)
    }

    /// Replaces the set. Calls that are under way end with the tool that they began with.
    pub fn put(&self, registry: Registry) {
        *self.registry.write() = Arc::new(registry);
    }

    /// What the kernel knows of them.
    pub fn kernel_tools(&self) -> Vec<Tool> {
        self.registry().kernel_tools()
    }
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.registry().list().map(Entry::name)).finish()
    }
}

impl Entry {
    fn new(line: ToolLine, schema: Schema, adapter: Arc<dyn Adapter>, origin: Origin, definition: Digest) -> Self {
        let trouble = adapter.trouble(&line);
        Self { line, schema, adapter, origin, definition, trouble }
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
            Err(wrong) => Done { spent: wrong.spent(price), note: wrong.note(&self.line), result: Err(wrong.error()) },
        }
    }

    fn kernel_tool(&self) -> Tool {
        Tool {
            name: self.line.name.clone(),
            effect: self.line.effect,
            labels: self.line.labels.clone(),
            schema: Digest(Sha256::digest(self.line.schema.as_bytes()).into()),
            definition: self.definition,
            price_microusd: self.line.price_microusd,
            sends_bytes: self.adapter.sends_bytes(),
        }
    }
}
