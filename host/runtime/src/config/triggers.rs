//! What starts an agent of `agents.toml` by itself, while a host serves: the time, a letter, a change in memory or in a root, a request.
//!
//! ```toml
//! [agents.digest]
//! start = [
//!     { cron = "0 7 * * MON-FRI", timezone = "Europe/Berlin", jitter = "5m", missed = "skip", overlap = "skip" },
//!     { letter = true },
//!     { memory = "team/board/**" },
//!     { directory = "inbox" },                                     # a root
//!     { webhook = "/hooks/digest", secret = { env = "HOOK" } },
//! ]
//! ```

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_config::secret::{Key, key};
use agentry_kernel::inquiry::Location;
use agentry_kernel::labels::{self, Labels, UNTRUSTED};
use agentry_store::limits::{INPUT_MAX_BYTES, TRIGGER_RATE_DEFAULT, TRIGGER_RATE_MAX, TRIGGERS_MAX};
use toml::de::DeValue;

use super::times;

const TRIGGER_KEYS: [&str; 13] = [
    "cron",
    "timezone",
    "jitter",
    "missed",
    "overlap",
    "letter",
    "memory",
    "directory",
    "webhook",
    "secret",
    "input",
    "labels",
    "per_minute",
];

/// Those of them that are of times alone.
const OF_TIMES: [&str; 4] = ["timezone", "jitter", "missed", "overlap"];

/// How much later than its time a run may begin on purpose: what is due every hour is not left out for it.
const JITTER_MAX_MS: u64 = 60 * 60 * 1000;

/// The words that say what starts it.
const CAUSES: [&str; 5] = ["cron", "letter", "memory", "directory", "webhook"];

/// One thing that starts an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerLine {
    /// What.
    pub cause: Cause,
    /// The input of its runs, as JSON; none for what the cause itself gives.
    pub input: Option<String>,
    /// What its runs carry from their beginning.
    pub labels: Labels,
    /// Runs that it may start in a minute.
    pub per_minute: u32,
}

/// What starts an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The time.
    Cron(CronLine),
    /// Mail, while none of its runs could take it.
    Letter,
    /// A write to a namespace that fits.
    Memory(String),
    /// A file that is new or changed in this root, and at rest.
    Directory(String),
    /// A request.
    Webhook {
        /// Where.
        path: String,
        /// What the request must know.
        secret: Option<WebhookKey>,
    },
}

/// Times, and what becomes of those that pass while nothing can begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronLine {
    /// By cron's five fields.
    pub times: String,
    /// Where people say so; none for UTC.
    pub zone: Option<String>,
    /// A run begins up to so much later, each time otherwise, so that not all begin at once.
    pub jitter_ms: u64,
    /// Whether the last of the times that passed while no host served counts.
    pub makes_up: MissedTimes,
    /// Whether the last of the times that passed while its own run went on counts.
    pub queues: OverlappedTimes,
}

/// What becomes of times that passed while no host served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTimes {
    /// The last counts, once.
    #[default]
    Last,
    /// None counts.
    Skip,
}

/// What becomes of times that pass while the run of an earlier one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlappedTimes {
    /// The last counts, once, when that run has ended.
    #[default]
    After,
    /// None counts.
    Skip,
}

/// What a request must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookKey(pub(crate) Key);

impl Cause {
    /// As people read it: `cron 0 7 * * MON-FRI`.
    pub fn story(&self) -> String {
        match self {
            Self::Cron(CronLine { times, zone: Some(zone), .. }) => format!("cron {times} {zone}"),
            Self::Cron(CronLine { times, .. }) => format!("cron {times}"),
            Self::Letter => "letter".to_owned(),
            Self::Memory(pattern) => format!("memory {pattern}"),
            Self::Directory(root) => format!("directory {root}"),
            Self::Webhook { path, .. } => format!("webhook {path}"),
        }
    }
}

/// Those of one agent.
pub(super) fn parse(agent: &Table<'_>) -> Result<Vec<TriggerLine>, ConfigError> {
    let tables = agent.list_of_tables("start")?;
    if tables.len() > TRIGGERS_MAX {
        let message = format!("an agent has at most {TRIGGERS_MAX} things that start it");
        return Err(agent.mistake_in("start", message, "leave some out"));
    }
    tables.iter().map(trigger).collect()
}

fn trigger(table: &Table<'_>) -> Result<TriggerLine, ConfigError> {
    table.only(&TRIGGER_KEYS)?;
    let named: Vec<_> = CAUSES.iter().filter(|cause| table.keys().any(|key| key == **cause)).collect();
    let [_] = named.as_slice() else {
        let message = format!("a start has one of {}", CAUSES.join(", "));
        return Err(table.mistake(message, "for example { cron = \"0 7 * * MON-FRI\" }"));
    };
    let secret = key(table, "secret")?;
    let cause = if let Some(pattern) = table.text("cron")? {
        Cause::Cron(cron(table, pattern)?)
    } else if let Some(pattern) = table.text("memory")? {
        if let Err(flaw) = format!("memory:{pattern}").parse::<Location>() {
            let hint = "for example \"team/board/**\": names with `/` between, and `**` for all below";
            return Err(table.mistake_in("memory", format!("no memory is called `{pattern}`: it {flaw}"), hint));
        }
        Cause::Memory(pattern.to_owned())
    } else if let Some(root) = table.text("directory")? {
        if let Err(flaw) = labels::check(root) {
            let name =
                root.trim_matches('/').rsplit('/').next().filter(|name| labels::check(name).is_ok()).unwrap_or("inbox");
            let hint = format!(
                "a root has a name, which the host is told the place of: directory = \"{name}\", and agentry serve --root {name}=DIR"
            );
            return Err(table.mistake_in("directory", format!("`{root}` is no name of a root: it {flaw}"), hint));
        }
        Cause::Directory(root.to_owned())
    } else if let Some(letter) = table.flag("letter")? {
        if !letter {
            return Err(table.mistake_in("letter", "`letter` is true or is left out", "write letter = true"));
        }
        Cause::Letter
    } else {
        let path = table.needs_text("webhook")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if !path.starts_with('/') || path.len() > 256 || !path.chars().all(plain) || path.contains("//") {
            return Err(table.mistake_in("webhook", format!("`{path}` is no path"), "for example \"/hooks/digest\""));
        }
        Cause::Webhook { path: path.to_owned(), secret: secret.clone().map(WebhookKey) }
    };
    if let (false, Some(key)) = (matches!(cause, Cause::Cron(_)), OF_TIMES.iter().find(|key| has(table, key))) {
        return Err(table.mistake_in(key, format!("only times have `{key}`"), "leave it out"));
    }
    let is_webhook = matches!(cause, Cause::Webhook { .. });
    if secret.is_some() && !is_webhook {
        return Err(table.mistake_in("secret", "only a request has a secret", "leave it out"));
    }
    Ok(TriggerLine {
        input: input(table, is_webhook)?,
        labels: marks(table, matches!(cause, Cause::Webhook { .. } | Cause::Directory(_)))?,
        per_minute: rate(table)?,
        cause,
    })
}

fn has(table: &Table<'_>, word: &str) -> bool {
    table.keys().any(|key| key == word)
}

fn cron(table: &Table<'_>, pattern: &str) -> Result<CronLine, ConfigError> {
    let zone = table.text("timezone")?.map(str::to_owned);
    if let Some(Err(why)) = zone.as_deref().map(times::check_zone) {
        return Err(table.mistake_in("timezone", why, "for example \"Europe/Berlin\""));
    }
    let line = CronLine { times: pattern.to_owned(), zone, ..CronLine::default() };
    if let Err(why) = times::check(&line) {
        let hint = "five fields: minute, hour, day of month, month, day of week: \"0 7 * * MON-FRI\"";
        return Err(table.mistake_in("cron", format!("`{pattern}` is no time: {why}"), hint));
    }
    let makes_up = match table.text("missed")?.unwrap_or("last") {
        "last" => MissedTimes::Last,
        "skip" => MissedTimes::Skip,
        word => return Err(table.mistake_in("missed", format!("unknown word `{word}`"), "it is \"last\" or \"skip\"")),
    };
    let queues = match table.text("overlap")?.unwrap_or("after") {
        "after" => OverlappedTimes::After,
        "skip" => OverlappedTimes::Skip,
        word => {
            return Err(table.mistake_in("overlap", format!("unknown word `{word}`"), "it is \"after\" or \"skip\""));
        }
    };
    Ok(CronLine { jitter_ms: jitter(table)?, makes_up, queues, ..line })
}

fn jitter(table: &Table<'_>) -> Result<u64, ConfigError> {
    let Some(word) = table.text("jitter")? else { return Ok(0) };
    let units = [("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let read = |(unit, ms): (&str, u64)| {
        let number = word.strip_suffix(unit).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
        number.parse::<u64>().ok()?.checked_mul(ms)
    };
    let jitter = units.into_iter().find_map(read).filter(|ms| *ms <= JITTER_MAX_MS);
    jitter.ok_or_else(|| {
        table.mistake_in("jitter", format!("`{word}` is no time of at most an hour"), "for example \"30s\" or \"5m\"")
    })
}

fn input(table: &Table<'_>, is_webhook: bool) -> Result<Option<String>, ConfigError> {
    let Some(value) = table.value("input") else { return Ok(None) };
    if is_webhook {
        return Err(table.mistake_in("input", "the input of a webhook is the body of its request", "leave it out"));
    }
    let json = as_json(value).filter(|json| json.to_string().len() <= INPUT_MAX_BYTES);
    let hint = "write it as tables, lists, texts, whole numbers, fractions, true and false";
    json.map(|json| Some(json.to_string())).ok_or_else(|| table.mistake_in("input", "`input` is no JSON", hint))
}

/// The same value in JSON; dates are not.
fn as_json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::from(number.as_str().parse::<f64>().ok().filter(|number| number.is_finite())?),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| as_json(item.get_ref())).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                Some((key.get_ref().to_string(), as_json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}

fn marks(table: &Table<'_>, of_strangers: bool) -> Result<Labels, ConfigError> {
    if !table.keys().any(|key| key == "labels") {
        return Ok(if of_strangers { Labels::of([UNTRUSTED]) } else { Labels::NONE });
    }
    let names = table.texts("labels")?;
    for name in &names {
        labels::check(name).map_err(|flaw| {
            table.mistake_in("labels", format!("`{name}` cannot be a label: it {flaw}"), "for example \"untrusted\"")
        })?;
    }
    Ok(Labels::of(names))
}

fn rate(table: &Table<'_>) -> Result<u32, ConfigError> {
    let rate = table.number("per_minute", 1..u64::from(TRIGGER_RATE_MAX) + 1)?;
    Ok(rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(TRIGGER_RATE_DEFAULT))
}
