//! `[secrets]` of `agentry.toml`: which secrets there are, where they stand and who alone may get them. It reads none of them.

use std::fmt;

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_config::secret::{Key, key};
use reqwest::Url;
use reqwest::header::HeaderName;

/// More secrets are a mistake.
const SECRETS_MAX: usize = 64;

/// A longer word before a secret is a mistake.
const PREFIX_MAX_BYTES: usize = 64;

/// The words of one of its tables. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
pub const HANDLE_KEYS: [&str; 4] = ["value", "header", "prefix", "only_to"];

/// What other programs call these.
const OTHERS: [(&[&str], &str); 2] = [
    (
        &["env", "file", "key", "secret", "token", "password"],
        "value = { env = \"NAME\" } or value = { file = \"PATH\" }",
    ),
    (&["to", "host", "hosts", "url", "audience", "allowed"], "only_to = [\"https://api.example.org\"]"),
];

/// A secret that an admin set up.
#[derive(Clone, Debug)]
pub struct SecretLine {
    /// What agents and policies call it.
    pub handle: String,
    /// Where it is.
    pub value: Key,
    /// The header that it goes into.
    pub header: HeaderName,
    /// What stands before it there.
    pub prefix: String,
    /// Who alone may get it.
    pub only_to: Vec<Audience>,
}

/// Who may get a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A scheme, a host and, where it is not the scheme's own, a port: `https://api.example.org`.
    Origin(String),
    /// A command of `tools.toml`.
    Tool(String),
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => f.write_str(origin),
            Self::Tool(name) => write!(f, "tool:{name}"),
        }
    }
}

impl Audience {
    /// Whether an address is within: same scheme, same host, same port.
    pub fn is_origin_of(&self, address: &Url) -> bool {
        matches!(self, Self::Origin(origin) if *origin == address.origin().ascii_serialization())
    }
}

impl SecretLine {
    /// Whether it may go to this origin.
    pub fn is_for(&self, origin: &str) -> bool {
        Url::parse(origin).is_ok_and(|url| self.only_to.iter().any(|audience| audience.is_origin_of(&url)))
    }
}

/// Reads the table.
///
/// # Errors
/// The first mistake, with its line.
pub fn parse(root: &Table<'_>) -> Result<Vec<SecretLine>, ConfigError> {
    let tables = root.tables("secrets")?;
    if tables.len() > SECRETS_MAX {
        return Err(root.mistake_in("secrets", format!("there are more than {SECRETS_MAX} secrets"), "remove some"));
    }
    tables.into_iter().map(|(handle, table)| secret(handle, &table)).collect()
}

fn secret(handle: &str, table: &Table<'_>) -> Result<SecretLine, ConfigError> {
    table.only_in_our_words(&HANDLE_KEYS, &OTHERS)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if handle.is_empty() || handle.len() > 64 || !handle.chars().all(plain) {
        return Err(table.mistake(format!("`{handle}` cannot be a handle"), "use a-z, 0-9 and `-`"));
    }
    let Some(value) = key(table, "value")? else {
        let hint = "add value = { env = \"NAME\" } or value = { file = \"PATH\" }";
        return Err(table.mistake(format!("{} has no `value`", table.name), hint));
    };
    let header = table.text("header")?.unwrap_or("authorization");
    let Ok(header) = HeaderName::from_bytes(header.as_bytes()) else {
        let hint = "for example header = \"x-api-key\"";
        return Err(table.mistake_in("header", format!("`{header}` is no header's name"), hint));
    };
    let prefix = table.text("prefix")?.unwrap_or(if header == "authorization" { "Bearer " } else { "" });
    if prefix.len() > PREFIX_MAX_BYTES || !prefix.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        let hint = "for example prefix = \"Bearer \"";
        return Err(table.mistake_in("prefix", "`prefix` cannot stand in a header", hint));
    }
    let only_to = table.texts("only_to")?;
    if only_to.is_empty() {
        let hint = "add only_to = [\"https://api.example.org\"], or [\"tool:NAME\"] for a command";
        return Err(table.mistake_in("only_to", format!("{} has no `only_to`", table.name), hint));
    }
    let only_to = only_to.into_iter().map(|word| audience(word, table)).collect::<Result<_, _>>()?;
    let (handle, prefix) = (handle.to_owned(), prefix.to_owned());
    Ok(SecretLine { handle, value, header, prefix, only_to })
}

fn audience(word: &str, table: &Table<'_>) -> Result<Audience, ConfigError> {
    if let Some(tool) = word.strip_prefix("tool:").filter(|tool| !tool.is_empty()) {
        return Ok(Audience::Tool(tool.to_owned()));
    }
    // A secret is for one host: a pattern would hand it to whoever gets a name below it.
    let url = Url::parse(word).ok().filter(|url| matches!(url.scheme(), "http" | "https") && !word.contains('*'));
    // What it prints as an origin is what was written: nothing else is meant by it.
    url.map(|url| url.origin().ascii_serialization()).filter(|origin| origin == word).map(Audience::Origin).ok_or_else(
        || {
            let hint = "write scheme, host and port, without a path: \"https://api.example.org\"; or \"tool:NAME\"";
            table.mistake_in("only_to", format!("`{word}` is nobody that a secret could be for"), hint)
        },
    )
}
