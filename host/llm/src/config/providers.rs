//! Providers, as tables of the configuration that have been checked: what each speaks, where, and with which key.

use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::reader::{Table, near_or_all};
use agentry_config::secret::{self, Key};
use reqwest::Url;

use super::adjust::{self, Adjust, REQUEST_KEYS};
use crate::capabilities::provider_at;
use crate::http::is_loopback;

// The keys of each table. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
/// Of a provider.
pub const PROVIDER_KEYS: [&str; 7] =
    ["kind", "base_url", "key", "connect_timeout_ms", "idle_timeout_ms", "plain_http", "api_version"];

/// What other programs call these.
const OTHERS: [(&[&str], &str); 4] = [
    (
        &["api_key", "apikey", "api-key", "token", "secret", "password", "env", "key_env"],
        "key = { env = \"NAME\" }, with the name of the variable that has it",
    ),
    (
        &["url", "endpoint", "host", "address", "api_base", "baseurl", "base-url"],
        "base_url = \"http://127.0.0.1:8080/v1\"",
    ),
    (&["type", "provider", "api", "dialect", "name"], "kind = \"openai-compatible\""),
    (&["model", "models"], "[models.NAME] below, with provider = \"…\" and model = \"…\""),
];

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chat completions, of OpenAI itself.
    OpenAi,
    /// Chat completions, of a server that follows it.
    OpenAiCompatible,
    /// Responses, of OpenAI or a server that follows it.
    OpenAiResponses,
    /// Chat completions of Azure: a deployment's address, its key and its version in their own places.
    Azure,
    /// Messages.
    Anthropic,
    /// Gemini's own interface, of Google AI.
    Gemini,
    /// The same, of Google Cloud.
    Vertex,
    /// Ollama's own interface.
    Ollama,
    /// Converse, of Amazon Bedrock.
    Bedrock,
}

/// A provider.
#[derive(Clone, Debug)]
pub struct ProviderLine {
    /// What its table is called.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Without a slash at its end.
    pub base_url: String,
    /// The name under which the shipped lists know it, if it is at home there.
    pub known_as: Option<&'static str>,
    /// Whether it is on this machine.
    pub loopback: bool,
    /// Where its key is, if it wants one.
    pub key: Option<Key>,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long it may be silent.
    pub idle: Duration,
    /// Of Azure's classic interface.
    pub api_version: Option<String>,
    /// What is changed about requests to it.
    pub adjust: Adjust,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::OpenAi,
        Self::OpenAiCompatible,
        Self::OpenAiResponses,
        Self::Azure,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::Ollama,
        Self::Bedrock,
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its word in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai-compatible",
            Self::OpenAiResponses => "openai-responses",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Vertex => "vertex",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }

    fn home(self) -> Option<&'static str> {
        match self {
            Self::OpenAi | Self::OpenAiResponses => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
            Self::Ollama => Some("http://127.0.0.1:11434"),
            Self::OpenAiCompatible | Self::Azure | Self::Vertex | Self::Bedrock => None,
        }
    }

    /// An address such as one without a home has.
    fn example(self) -> &'static str {
        match self {
            Self::Azure => "https://NAME.openai.azure.com",
            Self::Vertex => {
                "https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/publishers/google"
            }
            Self::Bedrock => "https://bedrock-runtime.us-east-1.amazonaws.com",
            _ => "http://127.0.0.1:8080/v1",
        }
    }

    /// The name under which the shipped lists know what such models take, whoever serves them.
    pub fn family(self) -> Option<&'static str> {
        match self {
            Self::OpenAi | Self::OpenAiResponses => Some("openai"),
            Self::OpenAiCompatible => None,
            Self::Azure => Some("azure"),
            Self::Anthropic => Some("anthropic"),
            Self::Gemini | Self::Vertex => Some("google"),
            Self::Ollama => Some("ollama"),
            Self::Bedrock => Some("bedrock"),
        }
    }

    /// Whether people run such servers on their own machines, with windows and slots as such machines have them.
    pub(super) fn is_own(self) -> bool {
        matches!(self, Self::OpenAiCompatible | Self::Ollama)
    }

    /// Ends of addresses of one call, which people copy along.
    fn calls(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi | Self::OpenAiCompatible | Self::OpenAiResponses | Self::Azure => {
                &["/chat/completions", "/responses", "/embeddings", "/models"]
            }
            Self::Anthropic => &["/messages"],
            Self::Gemini | Self::Vertex => &[":streamGenerateContent", ":generateContent", "/models"],
            Self::Ollama => &["/api/chat", "/api/generate", "/api/embed", "/api", "/v1"],
            Self::Bedrock => &["/converse-stream", "/converse", "/invoke", "/model"],
        }
    }
}

pub(super) fn provider(name: &str, table: &Table<'_>) -> Result<ProviderLine, ConfigError> {
    table.only_in_our_words(&[&PROVIDER_KEYS[..], &REQUEST_KEYS[..]].concat(), &OTHERS)?;
    let word = table.needs_text("kind")?;
    let Some(kind) = Kind::parse(word) else {
        return Err(table.mistake_in(
            "kind",
            format!("unknown kind `{word}`"),
            near_or_all(word, &Kind::ALL.map(Kind::name)),
        ));
    };
    let base_url = match (table.text("base_url")?, kind.home()) {
        (Some(url), _) => url,
        (None, Some(home)) => home,
        (None, None) => {
            let hint = format!("add base_url, for example \"{}\"", kind.example());
            return Err(table.mistake(format!("{} has no `base_url`", table.name), hint));
        }
    };
    let url = address(table, kind, base_url)?;
    let key = secret::key(table, "key")?;
    let (loopback, plain_http) = (is_loopback(&url), table.flag("plain_http")?.unwrap_or(false));
    if key.is_some() && url.scheme() == "http" && !loopback && !plain_http {
        let hint = "write https://; in a network that you trust with the key, say plain_http = true";
        return Err(table.mistake_in("base_url", "the key would cross the network for all to read", hint));
    }
    let api_version = table.text("api_version")?;
    if api_version.is_some() && kind != Kind::Azure {
        let hint = "leave it out; only kind = \"azure\" has versions";
        return Err(table.mistake_in("api_version", format!("`{}` has no versions", kind.name()), hint));
    }
    if let Some(version) = api_version
        && !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    {
        let hint = "write one such as \"2024-10-21\"";
        return Err(table.mistake_in("api_version", format!("`{version}` is no version"), hint));
    }
    let timeout = |key: &str, default_ms: u64| -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(table.number(key, 1..3_600_001)?.unwrap_or(default_ms)))
    };
    Ok(ProviderLine {
        name: name.to_owned(),
        kind,
        known_as: provider_at(url.host_str().unwrap_or_default()),
        loopback,
        base_url: base_url.trim_end_matches('/').to_owned(),
        key,
        connect: timeout("connect_timeout_ms", 10_000)?,
        idle: timeout("idle_timeout_ms", 120_000)?,
        api_version: api_version.map(str::to_owned),
        adjust: adjust::parse(table)?,
    })
}

/// Reads the address of a provider, which is that of no single call.
fn address(table: &Table<'_>, kind: Kind, base_url: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(base_url).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain && url.fragment().is_none()
    });
    let Some(url) = url else {
        let hint = "write http:// or https://, a host and a path; keys go under `key`";
        return Err(table.mistake_in("base_url", "`base_url` is no address of a server", hint));
    };
    let path = url.path().trim_end_matches('/');
    if let Some(call) = kind.calls().iter().find(|call| path.ends_with(*call)) {
        let hint = format!("leave `{call}` out: it is added to each call");
        return Err(table.mistake_in("base_url", format!("`base_url` ends with `{call}`"), hint));
    }
    Ok(url)
}
