//! Tools behind adapters: each call spends a permit on one command or one request. It never decides who may call what, and shows no agent
//! a secret, a path of this machine or the address of a server.

mod answer;
pub mod cage;
mod command;
pub mod config;
mod endpoint;
pub mod schema;
pub mod template;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::llm;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::unavailable;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::json::Value;
use agentry_kernel::labels::Labels;
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Digest, Permit};
use agentry_store::limits::TOOL_COMMANDS_MAX;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::answer::Said;
use self::schema::Schema;
use crate::secrets::Secrets;
use crate::secrets::config::SecretLine;
use crate::tools::config::{Reach, ToolLine, ToolsConfig};
use crate::web::{System, Web};

/// The directory in the home in which commands have theirs.
const PLACE: &str = "tools";

/// The tools of a host.
pub struct Tools {
    entries: BTreeMap<String, Arc<Entry>>,
}

/// What all tools use.
struct Shared {
    web: Arc<Web>,
    secrets: Arc<Secrets>,
    /// The program that runs commands in a child of itself; none if commands are not run here.
    program: Option<PathBuf>,
    place: PathBuf,
    commands: Semaphore,
}

/// A tool of the registry.
pub struct Entry {
    line: ToolLine,
    schema: Schema,
    shared: Arc<Shared>,
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

/// Why a tool said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    /// The arguments do not fit how it is called.
    Unfit(String),
    /// There is no room for it now.
    Busy,
    Cancelled,
    TimedOut,
    /// It did not begin.
    NotBegun(String),
    /// A secret that it needs is not to be had.
    Withheld(String),
    /// The other side gave no answer.
    Unanswered {
        why: String,
        egress_bytes: u64,
    },
}

impl Tools {
    /// The tools of a registry, to be looked at: none of them is called.
    pub fn registered(secrets: &[SecretLine], hosts: BTreeMap<String, Vec<IpAddr>>, registry: ToolsConfig) -> Self {
        let secrets = Arc::new(Secrets::open(secrets));
        let web = Arc::new(Web::new(Arc::new(System::new(hosts))));
        Self::new(registry, PathBuf::new(), None, web, secrets)
    }

    /// The tools of a registry. `program` is this program, if it knows [`cage::VERB`]; directories of commands come to lie in `home`.
    pub fn open(
        config: ToolsConfig,
        home: &Path,
        program: Option<PathBuf>,
        web: Arc<Web>,
        secrets: Arc<Secrets>,
    ) -> Self {
        let place = home.join(PLACE);
        // What a host that was killed has left there is nobody's.
        let _ = std::fs::remove_dir_all(&place);
        Self::new(config, place, program, web, secrets)
    }

    fn new(
        config: ToolsConfig,
        place: PathBuf,
        program: Option<PathBuf>,
        web: Arc<Web>,
        secrets: Arc<Secrets>,
    ) -> Self {
        let shared = Arc::new(Shared { web, secrets, program, place, commands: Semaphore::new(TOOL_COMMANDS_MAX) });
        let entry = |line: ToolLine| {
            let schema = Schema::new(&line.schema).expect("its reader has compiled it");
            let trouble = trouble(&line, &shared);
            (line.name.clone(), Arc::new(Entry { line, schema, shared: Arc::clone(&shared), trouble }))
        };
        Self { entries: config.tools.into_iter().map(entry).collect() }
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

    /// `command` or `http`, and which: for the admin.
    pub fn reach(&self) -> (&'static str, String) {
        match &self.line.reach {
            Reach::Command(command) => ("command", command.program.display().to_string()),
            Reach::Endpoint(endpoint) => ("http", format!("{} {}", endpoint.method, endpoint.url)),
        }
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
        let called = match &self.line.reach {
            Reach::Command(command) => command::run(&self.shared, (&self.line, command), permit, arguments, cut).await,
            Reach::Endpoint(endpoint) => {
                endpoint::ask(&self.shared, (&self.line, endpoint), permit, arguments, cut).await
            }
        };
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
            sends_bytes: match &self.line.reach {
                Reach::Command(_) => None,
                Reach::Endpoint(endpoint) => Some(endpoint.url.as_str().len() as u64),
            },
        }
    }
}

impl Wrong {
    /// What nobody did costs nothing.
    fn spent(&self, price: Amounts) -> Amounts {
        match self {
            Self::Unfit(_) | Self::Busy | Self::NotBegun(_) | Self::Withheld(_) => Amounts::ZERO,
            Self::Unanswered { egress_bytes: 0, .. } => Amounts::ZERO,
            Self::Unanswered { egress_bytes, .. } => price.with(Resource::Egress, *egress_bytes),
            Self::Cancelled | Self::TimedOut => price,
        }
    }

    fn note(&self) -> Option<String> {
        match self {
            Self::NotBegun(why) | Self::Withheld(why) | Self::Unanswered { why, .. } => Some(why.clone()),
            Self::Unfit(_) | Self::Busy | Self::Cancelled | Self::TimedOut => None,
        }
    }

    /// For the agent.
    fn error(self) -> Error {
        match self {
            Self::Unfit(why) => Error::Invalid(why),
            Self::Busy => unavailable("too many tools are at work", Some(1000)),
            Self::Cancelled => Error::Cancelled,
            Self::TimedOut => Error::TimedOut,
            Self::NotBegun(_) | Self::Withheld(_) => unavailable("the tool is not set up rightly on this host", None),
            Self::Unanswered { .. } => unavailable("the tool does not answer", None),
        }
    }
}

/// Why it could not be called now.
fn trouble(line: &ToolLine, shared: &Shared) -> Option<String> {
    match &line.reach {
        Reach::Command(command) => {
            let is_program = std::fs::metadata(&command.program)
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
            if !is_program {
                return Some(format!("there is no program at {}", command.program.display()));
            }
            let mut handles = command.secrets.values();
            handles.find_map(|handle| shared.secrets.for_tool(handle, &line.name).err()).map(|why| why.to_string())
        }
        Reach::Endpoint(endpoint) => {
            let handle = endpoint.secret.as_deref()?;
            shared.secrets.header(handle, &endpoint.url).err().map(|why| why.to_string())
        }
    }
}
