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
//!
//! [tools."clock.now"]
//! description = "Tells what time it is."
//! effect = "read"
//! schema = '{"type": "object", "properties": {"offset": {"type": "string"}}}'
//! clock = {}
//! ```
//!
//! A command may also say `memory_mb`, `env` and `secrets` (variables, and the handles of what they hold). Each item of `args` is a word,
//! or a list of words that belong together; `{name}` is a place for an argument.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::policies::{self, PoliciesError};
use agentry_config::reader::{Document, Table, nearest};
use agentry_kernel::json::{self, Value};
use agentry_kernel::labels::{self, Labels};
use agentry_kernel::tool::Effect;
use agentry_store::limits::{
    TOOL_OUTPUT_DEFAULT_BYTES, TOOL_OUTPUT_MAX_BYTES, TOOL_TIMEOUT_DEFAULT_MS, TOOL_TIMEOUT_MAX_MS, TOOLS_MAX,
};

use super::adapter::Reach;
use super::{clock, command, endpoint};
use crate::tools::schema::Schema;

/// The file's name in the home.
pub const TOOLS_FILE: &str = "tools.toml";

/// The version of the file.
const FORMAT: u64 = 1;

/// A longer name is none that a model takes.
const NAME_MAX_BYTES: usize = 64;

// The keys of each table, as in `models.rs`.
const TOOLS_FILE_KEYS: [&str; 2] = ["format", "tools"];

const TOOL_KEYS: [&str; 10] = [
    "description",
    "effect",
    "labels",
    "schema",
    "timeout_ms",
    "output_max_bytes",
    "price_microusd",
    "command",
    "http",
    "clock",
];

/// What other programs call these.
const OTHERS: [(&[&str], &str); 5] = [
    (
        &["program", "cmd", "exec", "args", "run", "script"],
        "command = { program = \"/usr/bin/…\", args = [\"{name}\"] }",
    ),
    (&["url", "endpoint", "method"], "http = { method = \"POST\", url = \"https://…\" }"),
    (
        &["parameters", "input_schema", "inputschema", "arguments"],
        "schema = '{\"type\": \"object\", \"properties\": {…}}'",
    ),
    (&["timeout", "timeout_s", "time"], "timeout_ms = 10_000"),
    (&["price", "cost", "usd"], "price_microusd = 100"),
];

/// The registry of tools, as it was written.
#[derive(Clone, Debug, Default)]
pub struct ToolsConfig {
    /// In the order of their names.
    pub tools: Vec<Registered>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// A tool, and the way to it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The tool.
    pub tool: ToolLine,
    /// What its adapter is made of.
    pub reach: Arc<dyn Reach>,
}

/// Reads what stands under the key of one kind of adapter, of a tool whose schema is this.
type Read = fn(&Table<'_>, &ToolLine, &Value) -> Result<Arc<dyn Reach>, ConfigError>;

/// All kinds of adapters, by their keys. A tool has one of them.
const KINDS: [(&str, Read); 3] = [("command", command::read), ("http", endpoint::read), ("clock", clock::read)];

impl ToolLine {
    /// A tool that takes any object, at no price, within the default limits.
    pub fn new(name: impl Into<String>, description: impl Into<String>, effect: Effect) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            effect,
            labels: Labels::NONE,
            schema: r#"{"type":"object"}"#.to_owned(),
            timeout: Duration::from_millis(TOOL_TIMEOUT_DEFAULT_MS),
            output_max_bytes: TOOL_OUTPUT_DEFAULT_BYTES,
            price_microusd: 0,
        }
    }
}

/// Whether a tool may be called so.
pub(super) fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(known)
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
        Document { file, text }.read(Self::read)
    }

    fn read(root: &Table<'_>) -> Result<Self, ConfigError> {
        root.only(&TOOLS_FILE_KEYS)?;
        root.needs_format(FORMAT)?;
        let tables = root.tables("tools")?;
        if tables.len() > TOOLS_MAX {
            return Err(root.mistake_in("tools", format!("there are more than {TOOLS_MAX} tools"), "remove some"));
        }
        let mut tools = tables.into_iter().map(|(name, table)| tool(name, &table)).collect::<Result<Vec<_>, _>>()?;
        tools.sort_by(|a, b| a.tool.name.cmp(&b.tool.name));
        Ok(Self { tools })
    }
}

fn tool(name: &str, table: &Table<'_>) -> Result<Registered, ConfigError> {
    table.only_in_our_words(&TOOL_KEYS, &OTHERS)?;
    if !is_name(name) {
        let hint = format!("use letters, digits, `.`, `_` and `-`, at most {NAME_MAX_BYTES}");
        return Err(table.mistake(format!("`{name}` cannot be a tool's name"), hint));
    }
    let schema = schema(table)?;
    Schema::new(&schema.to_string()).map_err(|why| {
        let hint = "see json-schema.org; a schema may only point into itself";
        table.mistake_in("schema", format!("`schema` is no JSON Schema: {why}"), hint)
    })?;
    let timeout_ms = table.number("timeout_ms", 1..TOOL_TIMEOUT_MAX_MS + 1)?.unwrap_or(TOOL_TIMEOUT_DEFAULT_MS);
    let output = table.number("output_max_bytes", 1..TOOL_OUTPUT_MAX_BYTES as u64 + 1)?;
    let tool = ToolLine {
        name: name.to_owned(),
        description: table.needs_text("description")?.to_owned(),
        effect: effect(table)?,
        labels: tool_labels(table)?,
        schema: schema.to_string(),
        timeout: Duration::from_millis(timeout_ms),
        output_max_bytes: output.map_or(TOOL_OUTPUT_DEFAULT_BYTES, |bytes| bytes as usize),
        // A thousand dollars is far above what a call costs.
        price_microusd: table.number("price_microusd", 0..1_000_000_001)?.unwrap_or(0),
    };
    let mut ways = Vec::new();
    for (key, read) in KINDS {
        if let Some(inner) = table.get_table(key)? {
            ways.push((inner, read));
        }
    }
    let [(inner, read)] = &ways[..] else {
        let hint = "add command = { program = \"/usr/bin/…\" }, http = { url = \"https://…\" } or clock = {}";
        let (message, hint) = match ways.len() {
            0 => (format!("{} does not say how it is reached", table.name), hint),
            _ => (format!("{} is reached in more than one way", table.name), "leave all but one of them out"),
        };
        return Err(table.mistake(message, hint));
    };
    let reach = read(inner, &tool, &schema)?;
    Ok(Registered { tool, reach })
}

fn effect(table: &Table<'_>) -> Result<Effect, ConfigError> {
    let known = Effect::ALL.map(Effect::word);
    let Some(word) = table.text("effect")? else {
        let hint = format!("add effect = \"…\", what a call of it does: {}", known.join(", "));
        return Err(table.mistake(format!("{} has no `effect`", table.name), hint));
    };
    Effect::from_word(word).ok_or_else(|| {
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

#[cfg(test)]
mod tests;
