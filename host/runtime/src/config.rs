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
//! isolation = "process"                    # agents are executed by processes that have nothing else; or "none", which is weaker
//!
//! [retention]                              # while serving; without it, all is kept
//! ended = "90d"                            # journals of runs that have been over for so long go
//! keep = ["failed", "approved"]            # but these stay: how a run ended, or that people said yes in it
//! ```
//!
//! `[audit]` with `heads = "FILE"` has the heads of the log written to a second place; see [`agentry_journal::audit::heads`].
//! A model may also say `local = true` (no word leaves this machine), `media`, `tools` and `schema_output`.
//! The alias `embedded` is always there and needs no line.

mod agents;
mod cron;
mod retention;
pub(crate) mod times;
mod triggers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use agentry_config::ConfigError;
use agentry_config::policies::{self};
use agentry_config::reader::{Document, Table, near_or_all};
use agentry_drivers::secrets::config::SecretLine;
use agentry_engine::settings::Shape;
use agentry_kernel::retention::Retention;
use agentry_llm::config::ModelsConfig;
use agentry_llm::prices::Lists;
use agentry_store::limits::{IDLE_AFTER_MS, IDLE_MEMORY_BYTES, SLEEP_MAX_MS};

pub use self::agents::{AGENTS_FILE, AgentLine, AgentsConfig, HealthLine};
pub use self::triggers::{Cause, CronLine, MissedTimes, OverlappedTimes, TriggerLine, WebhookKey};

/// The file's name in the home.
pub const CONFIG_FILE: &str = "agentry.toml";

/// The version of the file.
const FORMAT: u64 = 1;

// The keys of each table. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
const FILE_KEYS: [&str; 10] =
    ["format", "default", "providers", "models", "secrets", "hosts", "audit", "idle", "engine", "retention"];

/// What stands elsewhere.
const OTHERS: [(&[&str], &str); 4] = [
    (&["tools", "tool"], "it in tools.toml beside this file: [tools.\"NAME\"]"),
    (&["agents", "agent", "webhooks"], "it in agents.toml beside this file: [agents.NAME]"),
    (&["policies", "policy", "grants", "budget", "limits"], "it in a file of the policy directory"),
    (&["key", "api_key", "base_url", "kind"], "it below [providers.NAME]"),
];

const AUDIT_KEYS: [&str; 1] = ["heads"];

const ENGINE_KEYS: [&str; 3] = ["shape", "runs_max", "isolation"];

const IDLE_KEYS: [&str; 2] = ["after_ms", "memory_mb"];

/// A longer file is a mistake.
const CONFIG_MAX_BYTES: u64 = 1024 * 1024;

/// What an admin set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Models, providers and which is the default.
    pub models: ModelsConfig,
    /// What agents may name and never see.
    pub secrets: Vec<SecretLine>,
    /// Names that this host knows by itself and asks nobody for.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Where heads of the log are written to as well; relative to the home.
    pub heads: Option<PathBuf>,
    /// When runs that wait leave memory.
    pub(crate) idle: Idle,
    /// How runs live in memory, and how many at once.
    pub(crate) engine: (Shape, u32),
    /// What stands between agents and this process, if it says so.
    pub(crate) isolation: Option<Isolation>,
    /// How long journals of runs that are over are kept; none if for ever.
    pub retention: Option<Retention>,
}

/// What stands between agents and the process that holds policy, keys and the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// The engine alone, which is weaker: a defect of it is one of the process that has the keys.
    None,
    /// Another process, which has nothing else, and what the system keeps from it. As a home has it that does not say.
    #[default]
    Process,
}

impl Isolation {
    const ALL: [Self; 2] = [Self::None, Self::Process];

    /// In one word, as the file has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
        }
    }
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

impl Config {
    /// Handles of the secrets that it names.
    pub fn secret_handles(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|line| line.handle.as_str())
    }

    /// Reads `agentry.toml` in `home`; without one there is the embedded model alone.
    ///
    /// # Errors
    /// If others may write the file, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        policies::home_is_ours(home)?;
        let file = home.join(CONFIG_FILE);
        let name = file.display().to_string();
        let read = |why| ConfigError::Read { file: name.clone(), why };
        match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(data) if data.len() > CONFIG_MAX_BYTES => {
                return Err(read(std::io::Error::other(format!("it is longer than {CONFIG_MAX_BYTES} bytes"))));
            }
            Ok(_) | Err(_) => {}
        }
        let lists = Lists::of_home(home).map_err(ConfigError::Prices)?;
        let config = Self::parsed(&name, &policies::text(&file)?, &lists)?;
        Ok(Self { models: config.models.probed_in(home), ..config })
    }

    /// What stands between agents and a host that is opened in a home which says this.
    pub fn isolation(&self) -> Isolation {
        self.isolation.unwrap_or_default()
    }

    /// The tables of which `other` says something else and that a host reads once, when it opens.
    pub(crate) fn until_the_end(&self, other: &Self) -> Vec<&'static str> {
        // Each says by its words all that it is.
        let differs = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| format!("{a:?}") != format!("{b:?}");
        let (engine, others) = ((self.engine, self.isolation()), (other.engine, other.isolation()));
        let tables = [
            ("models", differs(&self.models, &other.models)),
            ("secrets", differs(&self.secrets, &other.secrets)),
            ("audit", self.heads != other.heads),
            ("engine", differs(&engine, &others)),
        ];
        tables.into_iter().filter(|(_, differs)| *differs).map(|(table, _)| table).collect()
    }

    /// Reads the text of a configuration that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Self::parsed(file, text, &Lists::default())
    }

    fn parsed(file: &str, text: &str, lists: &Lists) -> Result<Self, ConfigError> {
        let document = Document { file, text };
        document.read(|root| {
            root.only_in_our_words(&FILE_KEYS, &OTHERS)?;
            root.needs_format(FORMAT)?;
            Ok(Self {
                models: agentry_llm::config::parse(root, lists)?,
                heads: heads(root)?,
                secrets: agentry_drivers::secrets::config::parse(root)?,
                hosts: agentry_drivers::web::hosts::parse(root)?,
                idle: idle(root)?,
                engine: engine(root)?,
                isolation: isolation(root)?,
                retention: retention::parse(root)?,
            })
        })
    }
}

impl Default for Config {
    /// No provider, and no model but what a program brings, such as the embedded one.
    fn default() -> Self {
        Self {
            models: ModelsConfig::default(),
            secrets: Vec::new(),
            hosts: BTreeMap::new(),
            heads: None,
            idle: Idle::default(),
            engine: (Shape::Fast, Shape::Fast.runs_max()),
            isolation: None,
            retention: None,
        }
    }
}

fn heads(root: &Table<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let Some(audit) = root.get_table("audit")? else { return Ok(None) };
    audit.only(&AUDIT_KEYS)?;
    Ok(Some(PathBuf::from(audit.needs_text("heads")?)))
}

fn engine(root: &Table<'_>) -> Result<(Shape, u32), ConfigError> {
    let Some(table) = root.get_table("engine")? else { return Ok((Shape::Fast, Shape::Fast.runs_max())) };
    table.only(&ENGINE_KEYS)?;
    let word = table.text("shape")?.unwrap_or(Shape::Fast.word());
    let Some(shape) = Shape::of(word) else {
        let hint = near_or_all(word, &Shape::ALL.map(Shape::word));
        return Err(table.mistake_in("shape", format!("unknown shape `{word}`"), hint));
    };
    let runs = table.number("runs_max", 1..u64::from(shape.runs_max()) + 1)?;
    Ok((shape, runs.and_then(|runs| runs.try_into().ok()).unwrap_or(shape.runs_max())))
}

fn isolation(root: &Table<'_>) -> Result<Option<Isolation>, ConfigError> {
    let Some(table) = root.get_table("engine")? else { return Ok(None) };
    let Some(word) = table.text("isolation")? else { return Ok(None) };
    let isolation = Isolation::ALL.into_iter().find(|isolation| isolation.word() == word);
    isolation.map(Some).ok_or_else(|| {
        let hint = near_or_all(word, &Isolation::ALL.map(Isolation::word));
        table.mistake_in("isolation", format!("unknown isolation `{word}`"), hint)
    })
}

fn idle(root: &Table<'_>) -> Result<Idle, ConfigError> {
    let mut idle = Idle::default();
    let Some(table) = root.get_table("idle")? else { return Ok(idle) };
    table.only(&IDLE_KEYS)?;
    // A year, as long as a run may sleep, and more memory than a machine has.
    idle.after_ms = table.number("after_ms", 0..SLEEP_MAX_MS + 1)?.unwrap_or(idle.after_ms);
    let megabytes = table.number("memory_mb", 0..1 << 40)?;
    idle.memory_bytes = megabytes.map_or(idle.memory_bytes, |megabytes| megabytes.saturating_mul(1 << 20));
    Ok(idle)
}

#[cfg(test)]
mod tests;
