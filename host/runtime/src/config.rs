//! `agentry.toml`: the models that this host may ask and the providers behind them. It names keys; only a provider reads them.
//!
//! ```toml
//! format = 1
//! default = "small"                        # else the first model
//!
//! [providers.cloud]
//! kind = "openai"                          # docs/models.md has them all
//! key = { env = "OPENAI_API_KEY" }         # or { file = "PATH" }, which nobody else may read and which is read again when it changes
//! idle_timeout_ms = 120_000                # for the next byte; connect_timeout_ms = 10_000
//! plain_http = true                        # lets the key cross a network in http://
//! api_version = "2024-10-21"               # of Azure's classic interface
//! extra_headers = { x-title = "Agentry" }  # these four of a model as well, which goes before its provider
//! extra_body = { service_tier = "flex" }   # fields of each request
//! drop = ["seed"]                          # fields that are not sent
//! map = { max_tokens = "max_new_tokens" }  # fields under another name
//!
//! [models.small]
//! provider = "cloud"
//! model = "gpt-5.4-mini"
//! base_model = "openai/gpt-5.4-mini"       # what it is, where its name does not say so
//! context_tokens = 128_000
//! max_output_tokens = 16_384
//! slots = 16                               # calls at once
//! price = { input = 150_000, output = 600_000, cache_read = 75_000 }   # micro-USD for a million tokens
//!
//! [secrets.crm]                            # by this handle; no agent sees its value
//! value = { env = "CRM_KEY" }              # or { file = "PATH" }, which nobody else may read
//! header = "authorization"                 # as if you said nothing; before it stands prefix = "Bearer "
//! only_to = ["https://api.example.org"]    # or "tool:NAME", a command of tools.toml
//!
//! [hosts]
//! "api.internal" = ["10.1.2.3"]            # asked of nobody else; whether it may be dialled is policy's to say
//!
//! [idle]                                   # while serving
//! after_ms = 60_000                        # who waits so long for time, a letter or a person leaves memory
//! memory_mb = 2_048                        # with more in all runs together, who waits leaves it at once
//!
//! [engine]
//! shape = "fast"                           # or "dense": a hundred times the runs at once, each slower to begin
//! runs_max = 1_500                         # runs in memory at once
//! ```
//!
//! `[audit]` with `heads = "FILE"` has the heads of the log written to a second place; see [`crate::audit::heads`].
//! A model may also say `local = true` (no word leaves this machine), `media`, `tools` and `schema_output`.
//! The alias `embedded` is always there and needs no line.

mod adjust;
mod agents;
mod hosts;
mod models;
mod providers;
mod reader;
mod secret;
mod secrets;
mod tools;
mod triggers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub(crate) use self::adjust::Adjust;
pub use self::agents::{AGENTS_FILE, AgentLine, AgentsConfig};
pub(crate) use self::models::ModelLine;
pub(crate) use self::providers::{Kind, ProviderLine, is_loopback};
pub(crate) use self::secret::{Key, LiveKey, Secret};
pub(crate) use self::secrets::{Audience, SecretLine};
pub(crate) use self::tools::{CommandLine, EndpointLine, Reach, ToolLine};
pub use self::tools::{TOOLS_FILE, ToolsConfig, ToolsError};
pub use self::triggers::{Cause, TriggerLine, WebhookKey};
use crate::engine::settings::Shape;
use crate::limits::{IDLE_AFTER_MS, IDLE_MEMORY_BYTES};
use crate::policies::{self, PoliciesError};
use crate::prices::Lists;

/// The file's name in the home.
pub const CONFIG_FILE: &str = "agentry.toml";

/// The alias of the model in process.
pub const EMBEDDED: &str = "embedded";

/// A longer file is a mistake.
const CONFIG_MAX_BYTES: u64 = 1024 * 1024;

/// What an admin set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The alias that `default` stands for.
    pub default: String,
    /// In the order of the file.
    pub(crate) models: Vec<ModelLine>,
    /// What agents may name and never see.
    pub(crate) secrets: Vec<SecretLine>,
    /// Names that this host knows by itself and asks nobody for.
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Where heads of the log are written to as well; relative to the home.
    pub heads: Option<PathBuf>,
    /// When runs that wait leave memory.
    pub(crate) idle: Idle,
    /// How runs live in memory, and how many at once.
    pub(crate) engine: (Shape, u32),
}

/// When a run leaves memory that waits for nothing but time, letters and people, on a host that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    /// When it has waited for so long.
    pub(crate) after_ms: u64,
    /// At once, when all runs together have more.
    pub(crate) memory_bytes: u64,
}

impl Default for Idle {
    fn default() -> Self {
        Self { after_ms: IDLE_AFTER_MS, memory_bytes: IDLE_MEMORY_BYTES }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is a link, or somebody else's to write: it says where the keys of providers are sent.
    #[error(transparent)]
    Place(#[from] PoliciesError),
    /// It cannot be read.
    #[error(
        "cannot read `{file}`: {why}\nhint: let the user that runs agents read it, or choose another home with --home DIR"
    )]
    Read {
        /// As the admin would open it.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// The prices that were read into the home are not readable any more.
    #[error("{0}")]
    Prices(String),
    /// It says something that makes no sense.
    #[error("{file}:{line}: {message}\nhint: {hint}")]
    Mistake {
        /// As the admin would open it.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Config {
    /// Reads `agentry.toml` in `home`; without one there is the embedded model alone.
    ///
    /// # Errors
    /// If others may write the file, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let file = home.join(CONFIG_FILE);
        let name = file.display().to_string();
        let read = |why| ConfigError::Read { file: name.clone(), why };
        match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Self::embedded()),
            Ok(data) if data.len() > CONFIG_MAX_BYTES => {
                return Err(read(std::io::Error::other(format!("it is longer than {CONFIG_MAX_BYTES} bytes"))));
            }
            Ok(_) | Err(_) => {}
        }
        let lists = Lists::of_home(home).map_err(ConfigError::Prices)?;
        models::parse(&name, &policies::text(&file)?, &lists)
    }

    /// Reads the text of a configuration that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        models::parse(file, text, &Lists::default())
    }

    /// Whether a provider has its key in this variable of the environment.
    pub fn uses_key(&self, variable: &str) -> bool {
        self.models.iter().any(|model| matches!(&model.provider.key, Some(Key::Env(name)) if name == variable))
    }

    /// Whether a provider is at this port of this machine.
    pub fn uses_port(&self, port: u16) -> bool {
        let at = |model: &ModelLine| {
            let url = reqwest::Url::parse(&model.provider.base_url).ok()?;
            (model.provider.loopback && url.port_or_known_default() == Some(port)).then_some(())
        };
        self.models.iter().any(|model| at(model).is_some())
    }

    fn embedded() -> Self {
        Self {
            default: EMBEDDED.to_owned(),
            models: Vec::new(),
            secrets: Vec::new(),
            hosts: BTreeMap::new(),
            heads: None,
            idle: Idle::default(),
            engine: (Shape::Fast, Shape::Fast.runs_max()),
        }
    }
}

#[cfg(test)]
mod tests;
