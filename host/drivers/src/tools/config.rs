//! `tools.toml`: the tools of this host, what each does to the world and how it is reached. It starts none and asks nobody.
//!
//! ```toml
//! format = 1
//!
//! [tools."mail.send"]
//! description = "Sends a mail."            # models and people read it
//! effect = "irreversible"                  # read, idempotent, reversible, irreversible or egress
//! labels = ["untrusted"]                   # what its answers carry
//! schema = '''{"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}'''
//! timeout_ms = 10_000
//! output_max_bytes = 65_536
//! price_microusd = 100                     # of a call
//! command = { program = "/usr/bin/mail", args = ["-s", "report", "--", "{to}"], stdin = true }
//!
//! [tools."crm.find"]
//! description = "Finds a customer."
//! effect = "read"
//! schema = '{"type": "object", "properties": {"name": {"type": "string"}}}'
//! http = { method = "POST", url = "https://crm.example.org/find", secret = "crm", addresses = ["10.1.2.0/24"] }
//! ```
//!
//! A command may also say `memory_mb`, `env` and `secrets` (variables, and the handles of what they hold). Each item of `args` is a word,
//! or a list of words that belong together; `{name}` is a place for an argument.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::policies::{self, PoliciesError};
use agentry_config::reader::{Document, Table, nearest};
use agentry_kernel::json::{self, Value};
use agentry_kernel::labels::{self, Labels};
use agentry_kernel::tool::Effect;
use agentry_store::limits::{
    TOOL_MEMORY_DEFAULT_MB, TOOL_MEMORY_MAX_MB, TOOL_OUTPUT_DEFAULT_BYTES, TOOL_OUTPUT_MAX_BYTES,
    TOOL_TIMEOUT_DEFAULT_MS, TOOL_TIMEOUT_MAX_MS, TOOLS_MAX,
};
use ipnet::IpNet;
use reqwest::{Method, Url};
use toml::de::DeTable;

use crate::tools::schema::Schema;
use crate::tools::template::Template;

/// The file's name in the home.
pub const TOOLS_FILE: &str = "tools.toml";

/// The version of the file.
const FORMAT: u64 = 1;

/// A longer name is none that a model takes.
const NAME_MAX_BYTES: usize = 64;

// The keys of each table, as in `models.rs`.
const TOOLS_FILE_KEYS: [&str; 2] = ["format", "tools"];

const TOOL_KEYS: [&str; 9] = [
    "description",
    "effect",
    "labels",
    "schema",
    "timeout_ms",
    "output_max_bytes",
    "price_microusd",
    "command",
    "http",
];

const COMMAND_KEYS: [&str; 6] = ["program", "args", "stdin", "memory_mb", "env", "secrets"];

const ENDPOINT_KEYS: [&str; 4] = ["method", "url", "secret", "addresses"];

/// The registry of tools, as it was written.
#[derive(Clone, Debug, Default)]
pub struct ToolsConfig {
    /// In the order of their names.
    pub tools: Vec<ToolLine>,
}

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// The file is a link, too long, or somebody else's to write: it names programs that run with this user's rights.
    #[error(transparent)]
    Place(#[from] PoliciesError),
    /// It says something that makes no sense.
    #[error(transparent)]
    Mistake(#[from] ConfigError),
}

/// A tool.
#[derive(Clone, Debug)]
pub struct ToolLine {
    /// What agents and policies call it.
    pub name: String,
    /// What models are told of it.
    pub description: String,
    /// What a call does to the world.
    pub effect: Effect,
    /// Of all that it says.
    pub labels: Labels,
    /// In the canonical form.
    pub schema: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// A longer answer is cut.
    pub output_max_bytes: usize,
    /// Of one call.
    pub price_microusd: u64,
    /// How it is called.
    pub reach: Reach,
}

/// How a tool is reached.
#[derive(Clone, Debug)]
pub enum Reach {
    /// A program on this machine.
    Command(CommandLine),
    /// An address of the web.
    Endpoint(EndpointLine),
}

/// A program and what it is started with.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// Its whole path.
    pub program: PathBuf,
    /// Its words, with places for arguments.
    pub args: Template,
    /// Whether the arguments are also on its standard input, as JSON.
    pub stdin: bool,
    /// What its processes may have.
    pub memory_bytes: u64,
    /// Its environment; it has no other.
    pub env: BTreeMap<String, String>,
    /// Variables, and the handles of the secrets that they hold.
    pub secrets: BTreeMap<String, String>,
}

/// An address and what it is asked with.
#[derive(Clone, Debug)]
pub struct EndpointLine {
    /// The method.
    pub method: Method,
    /// Where it is.
    pub url: Url,
    /// The handle of the secret that goes with each request.
    pub secret: Option<String>,
    /// Networks that are not public and may be dialled.
    pub addresses: Vec<IpNet>,
}

impl ToolsConfig {
    /// Reads `tools.toml` in `home`; without one there are no tools.
    ///
    /// # Errors
    /// If others may write it, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ToolsError> {
        let file = home.join(TOOLS_FILE);
        match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Ok(Self::parse(&file.display().to_string(), &policies::text(&file)?)?),
        }
    }

    /// Reads the text of a registry that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let document = Document { file, text };
        let parsed = DeTable::parse(text).map_err(|why| {
            let at = why.span().map_or(0, |span| span.start);
            let hint = "see the example in the documentation of `tools.toml`";
            document.mistake(at, format!("not TOML: {}", why.message()), hint)
        })?;
        let root = document.table(&parsed);
        root.only(&TOOLS_FILE_KEYS)?;
        if root.number("format", 0..u64::MAX)? != Some(FORMAT) {
            let message = "the file has another format, or does not say which";
            return Err(root.mistake_in("format", message, "write format = 1"));
        }
        let tables = root.tables("tools")?;
        if tables.len() > TOOLS_MAX {
            return Err(root.mistake_in("tools", format!("there are more than {TOOLS_MAX} tools"), "remove some"));
        }
        let mut tools = tables.into_iter().map(|(name, table)| tool(name, &table)).collect::<Result<Vec<_>, _>>()?;
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { tools })
    }
}

fn tool(name: &str, table: &Table<'_>) -> Result<ToolLine, ConfigError> {
    table.only(&TOOL_KEYS)?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(known) {
        let hint = format!("use letters, digits, `.`, `_` and `-`, at most {NAME_MAX_BYTES}");
        return Err(table.mistake(format!("`{name}` cannot be a tool's name"), hint));
    }
    let schema = schema(table)?;
    Schema::new(&schema.to_string()).map_err(|why| {
        let hint = "see json-schema.org; a schema may only point into itself";
        table.mistake_in("schema", format!("`schema` is no JSON Schema: {why}"), hint)
    })?;
    let reach = match (table.get_table("command")?, table.get_table("http")?) {
        (Some(table), None) => Reach::Command(command(&table, &schema)?),
        (None, Some(table)) => Reach::Endpoint(endpoint(&table)?),
        _ => {
            let hint = "add command = { program = \"/usr/bin/…\" } or http = { url = \"https://…\" }";
            return Err(table.mistake(format!("{} is reached in one way", table.name), hint));
        }
    };
    let timeout_ms = table.number("timeout_ms", 1..TOOL_TIMEOUT_MAX_MS + 1)?.unwrap_or(TOOL_TIMEOUT_DEFAULT_MS);
    let output = table.number("output_max_bytes", 1..TOOL_OUTPUT_MAX_BYTES as u64 + 1)?;
    Ok(ToolLine {
        name: name.to_owned(),
        description: table.needs_text("description")?.to_owned(),
        effect: effect(table)?,
        labels: tool_labels(table)?,
        schema: schema.to_string(),
        timeout: Duration::from_millis(timeout_ms),
        output_max_bytes: output.map_or(TOOL_OUTPUT_DEFAULT_BYTES, |bytes| bytes as usize),
        // A thousand dollars is far above what a call costs.
        price_microusd: table.number("price_microusd", 0..1_000_000_001)?.unwrap_or(0),
        reach,
    })
}

fn effect(table: &Table<'_>) -> Result<Effect, ConfigError> {
    let word = table.needs_text("effect")?;
    Effect::from_word(word).ok_or_else(|| {
        let known = Effect::ALL.map(Effect::word);
        let hint = match nearest(word, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there is: {}", known.join(", ")),
        };
        table.mistake_in("effect", format!("unknown effect `{word}`"), hint)
    })
}

fn tool_labels(table: &Table<'_>) -> Result<Labels, ConfigError> {
    let names = table.texts("labels")?;
    for name in &names {
        labels::check(name).map_err(|flaw| {
            table.mistake_in("labels", format!("the label `{name}` {flaw}"), "for example labels = [\"untrusted\"]")
        })?;
    }
    Ok(Labels::of(names))
}

/// The schema of the arguments: JSON, strict as the arguments themselves, and of an object.
fn schema(table: &Table<'_>) -> Result<Value, ConfigError> {
    let text = table.needs_text("schema")?;
    let wrong = |message: String| {
        let hint = "write a JSON Schema of an object: '{\"type\": \"object\", \"properties\": {…}}'";
        table.mistake_in("schema", message, hint)
    };
    let schema = json::parse(text).map_err(|flaw| wrong(format!("`schema` is not JSON: {flaw}")))?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(wrong("`schema` is not of an object".to_owned()));
    }
    Ok(schema)
}

fn command(table: &Table<'_>, schema: &Value) -> Result<CommandLine, ConfigError> {
    table.only(&COMMAND_KEYS)?;
    let program = PathBuf::from(table.needs_text("program")?);
    if !program.is_absolute() {
        let hint = "write its whole path: nobody is to choose it by a variable of the environment";
        return Err(table.mistake_in("program", "the program has no absolute path", hint));
    }
    let mut args = Template::default();
    for words in table.texts_or_lists("args")? {
        args.push(&words).map_err(|why| table.mistake_in("args", why, "a brace itself is written twice"))?;
    }
    let known = |name: &str| schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
    if let Some(unknown) = args.arguments().find(|name| !known(name)) {
        let hint = "a place in `args` is named after one of the schema's `properties`";
        return Err(table.mistake_in("args", format!("the schema has no property `{unknown}`"), hint));
    }
    let memory_mb = table.number("memory_mb", 1..TOOL_MEMORY_MAX_MB + 1)?.unwrap_or(TOOL_MEMORY_DEFAULT_MB);
    Ok(CommandLine {
        program,
        args,
        stdin: table.flag("stdin")?.unwrap_or(false),
        memory_bytes: memory_mb << 20,
        env: variables(table, "env")?,
        secrets: variables(table, "secrets")?,
    })
}

/// Variables of the environment and what they hold.
fn variables(table: &Table<'_>, key: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(inner) = table.get_table(key)? else { return Ok(BTreeMap::new()) };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let variable = |name: &str| {
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(known) {
            let hint = "use letters, digits and `_`";
            return Err(inner.mistake(format!("`{name}` cannot be a variable"), hint));
        }
        let value = inner.needs_text(name)?;
        if value.contains('\0') {
            return Err(inner.mistake_in(name, "a variable cannot hold a zero byte", "take it out"));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    inner.keys().map(variable).collect()
}

fn endpoint(table: &Table<'_>) -> Result<EndpointLine, ConfigError> {
    table.only(&ENDPOINT_KEYS)?;
    let method = match table.text("method")?.unwrap_or("POST") {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        other => {
            let hint = "GET and DELETE carry the arguments in the query; POST, PUT and PATCH as JSON";
            return Err(table.mistake_in("method", format!("unknown method `{other}`"), hint));
        }
    };
    let text = table.needs_text("url")?;
    let url = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain
    });
    let Some(url) = url else {
        let hint = "write https:// or http://, a host and a path; keys go under `secret`";
        return Err(table.mistake_in("url", format!("`{text}` is no address of a server"), hint));
    };
    let mut addresses = Vec::new();
    for text in table.texts("addresses")? {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        addresses.push(network.map_err(|_| {
            let hint = "write a network or an address: \"10.1.2.0/24\"";
            table.mistake_in("addresses", format!("`{text}` is no network"), hint)
        })?);
    }
    Ok(EndpointLine { method, url, secret: table.text("secret")?.map(str::to_owned), addresses })
}

#[cfg(test)]
mod tests;
