//! Models, as lines of the configuration that have been checked, and the file as a whole. It opens nothing and asks nobody.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agentry_kernel::model::Price;
use toml::de::DeTable;

use super::adjust::{self, Adjust, REQUEST_KEYS};
use super::providers::{ProviderLine, provider};
use super::reader::{Document, Table, near_or_all};
use super::{Config, ConfigError, EMBEDDED, Idle, hosts, secrets};
use crate::drivers::llm::capabilities::Capabilities;
use crate::drivers::llm::models::{DEFAULT, SCRIPTED};
use crate::engine::settings::Shape;
use crate::limits::SLEEP_MAX_MS;
use crate::prices::{Found, Lists};

/// The version of the file.
const FORMAT: u64 = 1;

/// What stands for itself.
const RESERVED: [&str; 3] = [DEFAULT, EMBEDDED, SCRIPTED];

// The keys of each table. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
pub(super) const FILE_KEYS: [&str; 9] =
    ["format", "default", "providers", "models", "secrets", "hosts", "audit", "idle", "engine"];

pub(super) const AUDIT_KEYS: [&str; 1] = ["heads"];

pub(super) const ENGINE_KEYS: [&str; 2] = ["shape", "runs_max"];

pub(super) const IDLE_KEYS: [&str; 2] = ["after_ms", "memory_mb"];

pub(super) const PRICE_KEYS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

pub(super) const MODEL_KEYS: [&str; 11] = [
    "provider",
    "model",
    "base_model",
    "context_tokens",
    "max_output_tokens",
    "slots",
    "price",
    "local",
    "media",
    "tools",
    "schema_output",
];

/// The longest answer of a model that the lists know, unless the admin says more: it is held for each call that names none.
const ANSWER_TOKENS: u64 = 16_384;

/// A model.
#[derive(Clone, Debug)]
pub(crate) struct ModelLine {
    pub(crate) alias: String,
    pub(crate) provider: ProviderLine,
    /// The provider's name for it.
    pub(crate) model: String,
    pub(crate) context_tokens: u64,
    pub(crate) output_tokens_max: u64,
    pub(crate) slots: u32,
    pub(crate) price: Option<Price>,
    pub(crate) local: bool,
    /// Of `image`, `pdf` and `audio`.
    pub(crate) media: Vec<String>,
    pub(crate) tools: bool,
    pub(crate) schema_output: bool,
    /// What its requests may say, as far as is known.
    pub(crate) capabilities: Capabilities,
    pub(crate) adjust: Adjust,
    /// Whose price it has: a day and a source; none if it is the admin's own or not known.
    pub(crate) priced: Option<(String, String)>,
}

/// Reads the whole file.
pub(super) fn parse(file: &str, text: &str, lists: &Lists) -> Result<Config, ConfigError> {
    let document = Document { file, text };
    let parsed = DeTable::parse(text).map_err(|why| {
        let at = why.span().map_or(0, |span| span.start);
        document.mistake(
            at,
            format!("not TOML: {}", why.message()),
            "see the example in the documentation of `agentry.toml`",
        )
    })?;
    let root = document.table(&parsed);
    root.only(&FILE_KEYS)?;
    if root.number("format", 0..u64::MAX)? != Some(FORMAT) {
        return Err(root.mistake_in(
            "format",
            "the file has another format, or does not say which",
            "write format = 1",
        ));
    }
    let mut providers = BTreeMap::new();
    for (name, table) in root.tables("providers")? {
        providers.insert(name, provider(&table)?);
    }
    let mut models = Vec::new();
    for (alias, table) in root.tables("models")? {
        models.push(model(alias, &table, &providers, lists)?);
    }
    let first = models.first().map_or(EMBEDDED, |model| &model.alias);
    let default = root.text("default")?.unwrap_or(first);
    if default != EMBEDDED && models.iter().all(|model| model.alias != default) {
        let known: Vec<&str> = models.iter().map(|model| &*model.alias).chain([EMBEDDED]).collect();
        let hint = near_or_all(default, &known);
        return Err(root.mistake_in("default", format!("there is no model `{default}`"), hint));
    }
    let heads = match root.get_table("audit")? {
        None => None,
        Some(audit) => {
            audit.only(&AUDIT_KEYS)?;
            Some(PathBuf::from(audit.needs_text("heads")?))
        }
    };
    let (secrets, hosts, idle) = (secrets::parse(&root)?, hosts::parse(&root)?, idle(&root)?);
    let engine = engine(&root)?;
    Ok(Config { default: default.to_owned(), models, secrets, hosts, heads, idle, engine })
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

fn model(
    alias: &str,
    table: &Table<'_>,
    providers: &BTreeMap<&str, ProviderLine>,
    lists: &Lists,
) -> Result<ModelLine, ConfigError> {
    table.only(&[&MODEL_KEYS[..], &REQUEST_KEYS[..]].concat())?;
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
    let (capabilities, known) = known(table, provider, model, lists)?;
    let known = known.as_ref();
    let cloud = !provider.kind.is_own();
    let window = known.and_then(|known| known.model.window());
    let context_tokens =
        table.number("context_tokens", 1..100_000_001)?.or(window).unwrap_or(if cloud { 128_000 } else { 8192 });
    let output = table.number("max_output_tokens", 1..100_000_001)?;
    if output.is_some_and(|output| output > context_tokens) {
        let hint = "context_tokens is what prompt and answer fill together";
        return Err(table.mistake_in("max_output_tokens", "the answer would not fit the model's window", hint));
    }
    let answer = known.and_then(|known| known.model.answer).map_or(4096, |answer| answer.min(ANSWER_TOKENS));
    // The lists know where their prices hold: elsewhere the same model may cost anything.
    let listed = known.filter(|_| provider.known_as.is_some() || table.value("base_model").is_some());
    let (price, priced) = match (table.get_table("price")?, listed) {
        (Some(price), _) => (Some(self::price(&price)?), None),
        (None, _) if local => (Some(Price::default()), None),
        (None, Some(found)) => {
            (Some(found.model.price(context_tokens)), Some((found.date.clone(), found.source.clone())))
        }
        (None, None) => (None, None),
    };
    let media = match (table.flag("media")?, known.map(|known| known.model.media.clone()).unwrap_or_default()) {
        (Some(false), _) => Vec::new(),
        (Some(true), media) if media.is_empty() => vec!["image".to_owned()],
        (Some(true) | None, media) => media,
    };
    Ok(ModelLine {
        alias: alias.to_owned(),
        provider: provider.clone(),
        model: model.to_owned(),
        context_tokens,
        output_tokens_max: output.unwrap_or(answer.min(context_tokens / 2).max(1)),
        slots: table.number("slots", 1..10_001)?.map_or(if cloud { 16 } else { 4 }, |slots| slots as u32),
        price,
        local,
        media,
        tools: table.flag("tools")?.or(known.and_then(|known| known.model.tools)).unwrap_or(true),
        schema_output: table.flag("schema_output")?.unwrap_or(capabilities.schema),
        capabilities,
        adjust: provider.adjust.clone().and(adjust::parse(table)?),
        priced,
    })
}

/// What is known of a model, under the name of `base_model` if the admin says that it is one of these.
fn known(
    table: &Table<'_>,
    provider: &ProviderLine,
    model: &str,
    lists: &Lists,
) -> Result<(Capabilities, Option<Found>), ConfigError> {
    let home = provider.known_as.or(provider.kind.family());
    let Some(base) = table.text("base_model")? else {
        return Ok(
            home.map_or_else(Default::default, |home| (Capabilities::shipped(home, model), lists.find(home, model)))
        );
    };
    let hint = "write PROVIDER/MODEL as the shipped lists have it, for example base_model = \"openai/gpt-5.4\"";
    let found = base.split_once('/').and_then(|(whose, name)| Some((whose, name, lists.find(whose, name)?)));
    let Some((whose, name, found)) = found else {
        return Err(table.mistake_in("base_model", format!("no list has a model `{base}`"), hint));
    };
    let mut capabilities = Capabilities::shipped(whose, name);
    // Whoever serves it has the last word on how it is asked.
    if let Some(home) = home {
        capabilities.served_by(home);
    }
    Ok((capabilities, Some(found)))
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
