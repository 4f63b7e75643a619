//! Providers and models, as lines of the configuration that have been checked. It opens nothing and asks nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::reader::{Table, near_or_all};
use agentry_config::secret::{self, Key};
use agentry_kernel::model::Price;
use reqwest::Url;

use crate::models::{DEFAULT, SCRIPTED};
use crate::prices;

/// What stands for itself.
const RESERVED: [&str; 3] = [DEFAULT, EMBEDDED, SCRIPTED];

// The keys of each table. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
/// Of a provider. `cargo xtask tidy` reads all of these: `tests/surface.toml` names a test for each.
pub const PROVIDER_KEYS: [&str; 5] = ["kind", "base_url", "key", "connect_timeout_ms", "idle_timeout_ms"];

/// Of a price.
pub const PRICE_KEYS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

/// Of a model.
pub const MODEL_KEYS: [&str; 10] = [
    "provider",
    "model",
    "context_tokens",
    "max_output_tokens",
    "slots",
    "price",
    "local",
    "media",
    "tools",
    "schema_output",
];

/// The alias of the model in process.
pub const EMBEDDED: &str = "embedded";

/// The models that an admin set up.
#[derive(Clone, Debug)]
pub struct ModelsConfig {
    /// The alias that `default` stands for.
    pub default: String,
    /// In the order of the file.
    pub models: Vec<ModelLine>,
}

impl Default for ModelsConfig {
    /// The one in process alone.
    fn default() -> Self {
        Self { default: EMBEDDED.to_owned(), models: Vec::new() }
    }
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chat completions, of OpenAI itself.
    OpenAi,
    /// Chat completions, of a server that follows it.
    OpenAiCompatible,
    /// Messages.
    Anthropic,
}

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderLine {
    /// What it speaks.
    pub kind: Kind,
    /// Without a slash at its end.
    pub base_url: String,
    /// Whether it is where the kind is at home, so that its list prices hold.
    pub at_home: bool,
    /// Whether it is on this machine.
    pub loopback: bool,
    /// Where its key is, if it wants one.
    pub key: Option<Key>,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long it may be silent.
    pub idle: Duration,
}

/// A model.
#[derive(Clone, Debug)]
pub struct ModelLine {
    /// What agents and policies call it.
    pub alias: String,
    /// Who answers as it.
    pub provider: ProviderLine,
    /// The provider's name for it.
    pub model: String,
    /// What prompt and answer fill together.
    pub context_tokens: u64,
    /// Its longest answer.
    pub output_tokens_max: u64,
    /// Calls at once.
    pub slots: u32,
    /// None if nobody knows it.
    pub price: Option<Price>,
    /// No word leaves this machine.
    pub local: bool,
    /// It takes images and the like.
    pub media: bool,
    /// It takes tools.
    pub tools: bool,
    /// It keeps to a schema.
    pub schema_output: bool,
}

impl Kind {
    const NAMES: [&'static str; 3] = ["openai", "openai-compatible", "anthropic"];

    fn parse(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "openai-compatible" => Some(Self::OpenAiCompatible),
            "anthropic" => Some(Self::Anthropic),
            _ => None,
        }
    }

    /// Its word in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai-compatible",
            Self::Anthropic => "anthropic",
        }
    }

    fn home(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::OpenAiCompatible => None,
            Self::Anthropic => Some("https://api.anthropic.com"),
        }
    }
}

/// Reads providers, models and which of these is the default.
///
/// # Errors
/// The first mistake, with its line.
pub fn parse(root: &Table<'_>) -> Result<ModelsConfig, ConfigError> {
    let mut providers = BTreeMap::new();
    for (name, table) in root.tables("providers")? {
        providers.insert(name, provider(&table)?);
    }
    let mut models = Vec::new();
    for (alias, table) in root.tables("models")? {
        models.push(model(alias, &table, &providers)?);
    }
    let first = models.first().map_or(EMBEDDED, |model| &model.alias);
    let default = root.text("default")?.unwrap_or(first);
    if default != EMBEDDED && models.iter().all(|model| model.alias != default) {
        let known: Vec<&str> = models.iter().map(|model| &*model.alias).chain([EMBEDDED]).collect();
        let hint = near_or_all(default, &known);
        return Err(root.mistake_in("default", format!("there is no model `{default}`"), hint));
    }
    Ok(ModelsConfig { default: default.to_owned(), models })
}

fn provider(table: &Table<'_>) -> Result<ProviderLine, ConfigError> {
    table.only(&PROVIDER_KEYS)?;
    let word = table.needs_text("kind")?;
    let Some(kind) = Kind::parse(word) else {
        return Err(table.mistake_in("kind", format!("unknown kind `{word}`"), near_or_all(word, &Kind::NAMES)));
    };
    let base_url = match (table.text("base_url")?, kind.home()) {
        (Some(url), _) => url,
        (None, Some(home)) => home,
        (None, None) => {
            let hint = "add base_url, for example \"http://127.0.0.1:8080/v1\"";
            return Err(table.mistake(format!("{} has no `base_url`", table.name), hint));
        }
    };
    let url = Url::parse(base_url).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain && url.fragment().is_none()
    });
    let Some(url) = url else {
        let hint = "write http:// or https://, a host and a path; keys go under `key`";
        return Err(table.mistake_in("base_url", "`base_url` is no address of a server", hint));
    };
    let base_url = base_url.trim_end_matches('/').to_owned();
    let timeout = |key: &str, default_ms: u64| -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(table.number(key, 1..3_600_001)?.unwrap_or(default_ms)))
    };
    Ok(ProviderLine {
        kind,
        at_home: kind.home() == Some(&base_url),
        loopback: is_loopback(&url),
        base_url,
        key: table.get_table("key")?.map(|table| secret::key(&table)).transpose()?,
        connect: timeout("connect_timeout_ms", 10_000)?,
        idle: timeout("idle_timeout_ms", 120_000)?,
    })
}

/// Whether an address is on this machine, whatever its names say.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn model(alias: &str, table: &Table<'_>, providers: &BTreeMap<&str, ProviderLine>) -> Result<ModelLine, ConfigError> {
    table.only(&MODEL_KEYS)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if RESERVED.contains(&alias) || alias.is_empty() || alias.len() > 64 || !alias.chars().all(fits) {
        let hint = format!("use a-z, 0-9, `-`, `_` and `.`; {} stand for themselves", RESERVED.join(", "));
        return Err(table.mistake(format!("`{alias}` cannot be an alias"), hint));
    }
    let name = table.needs_text("provider")?;
    let Some(provider) = providers.get(name) else {
        let known: Vec<&str> = providers.keys().copied().collect();
        return Err(table.mistake_in("provider", format!("there is no provider `{name}`"), near_or_all(name, &known)));
    };
    let model = table.needs_text("model")?;
    let local = table.flag("local")?.unwrap_or(false);
    if local && !provider.loopback {
        let hint = "only a server at localhost, 127.0.0.1 or ::1 is local; leave `local` out";
        return Err(table.mistake_in("local", format!("`{name}` is not on this machine"), hint));
    }
    let price = match table.get_table("price")? {
        Some(price) => Some(self::price(&price)?),
        None if local => Some(Price::default()),
        None if provider.at_home => prices::listed(provider.kind.name(), model),
        None => None,
    };
    let cloud = provider.kind != Kind::OpenAiCompatible;
    let context_tokens = table.number("context_tokens", 1..100_000_001)?.unwrap_or(if cloud { 128_000 } else { 8192 });
    let output = table.number("max_output_tokens", 1..100_000_001)?;
    if output.is_some_and(|output| output > context_tokens) {
        let hint = "context_tokens is what prompt and answer fill together";
        return Err(table.mistake_in("max_output_tokens", "the answer would not fit the model's window", hint));
    }
    Ok(ModelLine {
        alias: alias.to_owned(),
        provider: provider.clone(),
        model: model.to_owned(),
        context_tokens,
        output_tokens_max: output.unwrap_or(4096.min(context_tokens / 2).max(1)),
        slots: table.number("slots", 1..10_001)?.map_or(if cloud { 16 } else { 4 }, |slots| slots as u32),
        price,
        local,
        media: table.flag("media")?.unwrap_or(false),
        tools: table.flag("tools")?.unwrap_or(true),
        schema_output: table.flag("schema_output")?.unwrap_or(true),
    })
}

fn price(table: &Table<'_>) -> Result<Price, ConfigError> {
    table.only(&PRICE_KEYS)?;
    // A thousand dollars for a million tokens is far above any list.
    let read = |key: &str| table.number(key, 0..1_000_000_001);
    let (Some(input), Some(output)) = (read("input")?, read("output")?) else {
        let hint = "write price = { input = …, output = … } in micro-USD for a million tokens";
        return Err(table.mistake("a price has `input` and `output`", hint));
    };
    let cache_read = read("cache_read")?.unwrap_or(input);
    let cache_write = read("cache_write")?.unwrap_or(input);
    Ok(Price { input, output, cache_read, cache_write })
}
