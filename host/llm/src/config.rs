//! Providers and models, as lines of the configuration that have been checked. It opens nothing and asks nobody.

pub mod adjust;
mod providers;

use std::collections::BTreeMap;
use std::path::Path;

use agentry_config::ConfigError;
use agentry_config::reader::{Table, near_or_all};
use agentry_config::secret::Key;
use agentry_kernel::model::Price;
use reqwest::Url;

pub use self::adjust::Adjust;
use self::adjust::REQUEST_KEYS;
use self::providers::provider;
pub use self::providers::{Kind, PROVIDER_KEYS, ProviderLine};
use crate::capabilities::Capabilities;
use crate::learned::Learned;
use crate::prices::{Found, Lists};

/// The alias under which a guest asks for the admin's choice.
pub const DEFAULT: &str = "default";

/// The alias of a `scripted:FILE`.
pub const SCRIPTED: &str = "scripted";

/// What stands for itself.
const RESERVED: [&str; 3] = [DEFAULT, EMBEDDED, SCRIPTED];

// The keys of each table. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
/// The least that a million tokens cost, in micro-USD, if they cost anything.
const PRICE_MIN: u64 = 1_000;
const PRICE_HINT: &str = "write micro-USD for a million tokens: three dollars are 3_000_000, as in price = { input = 3_000_000, output = 15_000_000 }";
/// Of a price.
pub const PRICE_KEYS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

/// Of a model.
pub const MODEL_KEYS: [&str; 11] = [
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

/// What other programs call these.
const OTHERS: [(&[&str], &str); 5] = [
    (&["name", "id", "model_id", "deployment"], "model = \"…\", as its provider calls it"),
    (&["context", "context_window", "context_length", "num_ctx", "window"], "context_tokens = 128_000"),
    (&["max_tokens", "max_output", "max_completion_tokens", "output_tokens"], "max_output_tokens = 16_384"),
    (&["cost", "input_price", "output_price", "pricing"], "price = { input = 150_000, output = 600_000 }"),
    (&["kind", "base_url", "url", "key", "api_key", "env"], "it below [providers.NAME], and here provider = \"NAME\""),
];

/// The longest answer of a model that the lists know, unless the admin says more: it is held for each call that names none.
const ANSWER_TOKENS: u64 = 16_384;

/// The alias of the model in process.
pub const EMBEDDED: &str = "embedded";

/// The models that an admin set up.
#[derive(Clone, Debug)]
pub struct ModelsConfig {
    /// The alias that `default` stands for.
    pub default: String,
    /// In the order of the file.
    pub models: Vec<ModelLine>,
    /// What probes found.
    pub(crate) learned: Learned,
}

impl Default for ModelsConfig {
    /// The one in process alone.
    fn default() -> Self {
        Self { default: EMBEDDED.to_owned(), models: Vec::new(), learned: Learned::default() }
    }
}

impl ModelsConfig {
    /// The same, with what probes of this home found.
    #[must_use]
    pub fn probed_in(self, home: &Path) -> Self {
        Self { learned: Learned::of_home(home), ..self }
    }

    /// Whether a provider has its key in this variable of the environment.
    pub fn uses_key(&self, variable: &str) -> bool {
        self.models.iter().any(|model| matches!(&model.provider.key, Some(Key::Env(name)) if name == variable))
    }

    /// Whether a provider is at this port of this machine.
    pub fn uses_port(&self, port: u16) -> bool {
        let at = |model: &ModelLine| {
            let url = Url::parse(&model.provider.base_url).ok()?;
            (model.provider.loopback && url.port_or_known_default() == Some(port)).then_some(())
        };
        self.models.iter().any(|model| at(model).is_some())
    }
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
    /// What it takes of `image`, `pdf` and `audio`.
    pub media: Vec<String>,
    /// It takes tools.
    pub tools: bool,
    /// It keeps to a schema.
    pub schema_output: bool,
    /// What its requests may say, as far as is known.
    pub(crate) capabilities: Capabilities,
    /// What is changed about requests to it.
    pub adjust: Adjust,
    /// Whose price it has: a day and a source; none if it is the admin's own or not known.
    pub priced: Option<(String, String)>,
}

/// Reads providers, models and which of these is the default. Prices come from these lists, if they do not stand there.
///
/// # Errors
/// The first mistake, with its line.
pub fn parse(root: &Table<'_>, lists: &Lists) -> Result<ModelsConfig, ConfigError> {
    let mut providers = BTreeMap::new();
    for (name, table) in root.tables("providers")? {
        providers.insert(name, provider(name, &table)?);
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
    Ok(ModelsConfig { default: default.to_owned(), models, learned: Learned::default() })
}

fn model(
    alias: &str,
    table: &Table<'_>,
    providers: &BTreeMap<&str, ProviderLine>,
    lists: &Lists,
) -> Result<ModelLine, ConfigError> {
    table.only_in_our_words(&[&MODEL_KEYS[..], &REQUEST_KEYS[..]].concat(), &OTHERS)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if RESERVED.contains(&alias) || alias.is_empty() || alias.len() > 64 || !alias.chars().all(fits) {
        let hint = format!("use a-z, 0-9, `-`, `_` and `.`; {} stand for themselves", RESERVED.join(", "));
        return Err(table.mistake(format!("`{alias}` cannot be an alias"), hint));
    }
    let name = table.needs_text("provider")?;
    let Some(provider) = providers.get(name) else {
        let known: Vec<&str> = providers.keys().copied().collect();
        let hint = match known.is_empty() {
            true => format!("add [providers.{name}], with its `kind` and where its key is"),
            false => near_or_all(name, &known),
        };
        return Err(table.mistake_in("provider", format!("there is no provider `{name}`"), hint));
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
    // A thousand dollars for a million tokens is far above any list; under a tenth of a cent, dollars were meant.
    let number = |key: &str| {
        let number = table.number(key, 0..1_000_000_001);
        number.map_err(|_| table.mistake_in(key, format!("`{key}` is out of range or no whole number"), PRICE_HINT))
    };
    let read = |key: &str| match number(key)? {
        Some(number @ 1..PRICE_MIN) => {
            let dollars = format!("`{key}` = {number} is ${:.6} for a million tokens", number as f64 / 1e6);
            Err(table.mistake_in(key, dollars, PRICE_HINT))
        }
        known => Ok(known),
    };
    let (Some(input), Some(output)) = (read("input")?, read("output")?) else {
        return Err(table.mistake("a price has `input` and `output`", PRICE_HINT));
    };
    let cache_read = read("cache_read")?.unwrap_or(input);
    let cache_write = read("cache_write")?.unwrap_or(input);
    Ok(Price { input, output, cache_read, cache_write })
}

#[cfg(test)]
mod tests;
