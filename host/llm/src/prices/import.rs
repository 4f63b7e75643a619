//! Price lists that others keep, in LiteLLM's and models.dev's formats, as lists of ours. A line that makes no sense is left out and counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{FILE_MAX_BYTES, List, Listed, Lists, Over, PRICES_FILE, date};

/// A thousand dollars for a million tokens is far above any list.
const PRICE_MAX_MICROUSD: f64 = 1e9;

/// Where prompts are long for both.
const LONG_TOKENS: u64 = 200_000;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// Models with a price.
    pub models: usize,
    /// Models without one, or with one that makes no sense.
    pub left_out: usize,
    /// Whose format it was.
    pub source: String,
    /// The day of the file.
    pub date: String,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read, or not be kept.
    #[error("cannot read or keep `{file}`: {why}\nhint: name a file that you may read, and a home that you may write")]
    File {
        /// Which file.
        file: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// It is no list of prices.
    #[error(
        "`{file}` is no list of prices: {why}\nhint: take LiteLLM's model_prices_and_context_window.json or api.json of models.dev"
    )]
    Format {
        /// Which file.
        file: String,
        /// What is wrong.
        why: String,
    },
}

/// Reads a list of prices and keeps it in `home`, instead of what was kept there. Its day is that of the file.
///
/// # Errors
/// If the file cannot be read, or is not such a list; then nothing has changed.
pub fn import(home: &Path, file: &Path) -> Result<Imported, ImportError> {
    let name = file.display().to_string();
    let io = |why| ImportError::File { file: name.clone(), why };
    let format = |why: String| ImportError::Format { file: name.clone(), why };
    let data = std::fs::metadata(file).map_err(io)?;
    if data.len() > FILE_MAX_BYTES {
        return Err(format("it is too long".to_owned()));
    }
    let text = std::fs::read(file).map_err(io)?;
    let date = date(data.modified().unwrap_or_else(|_| SystemTime::now()));
    let (lists, imported) = read(&text, date).map_err(format)?;
    let kept = serde_json::to_vec(&lists).expect("lists are plain data");
    let (target, draft) = (home.join(PRICES_FILE), home.join(format!("{PRICES_FILE}.new")));
    std::fs::create_dir_all(home)
        .and_then(|()| std::fs::write(&draft, kept))
        .and_then(|()| std::fs::rename(&draft, &target))
        .map_err(io)?;
    Ok(imported)
}

fn read(text: &[u8], date: String) -> Result<(Lists, Imported), String> {
    let root: Map<String, Value> = serde_json::from_slice(text).map_err(|why| why.to_string())?;
    let mut rows = Rows::default();
    let source = if root.values().any(|value| value.get("models").is_some_and(Value::is_object)) {
        root.iter().for_each(|(provider, value)| rows.models_dev(provider, value));
        "models.dev"
    } else {
        root.iter().for_each(|(name, value)| rows.litellm(name, value));
        "LiteLLM"
    };
    let models = rows.lists.values().map(BTreeMap::len).sum();
    if models == 0 {
        return Err("no model in it has a price".to_owned());
    }
    let list = rows.lists.into_iter();
    let list = list.map(|(provider, models)| List { provider, date: date.clone(), source: source.to_owned(), models });
    let lists = Lists { format: 1, list: list.collect() };
    Ok((lists, Imported { models, left_out: rows.left_out, source: source.to_owned(), date }))
}

#[derive(Default)]
struct Rows {
    lists: BTreeMap<String, BTreeMap<String, Listed>>,
    left_out: usize,
}

/// A model of models.dev: prices in dollars for a million tokens.
#[derive(Deserialize)]
struct Entry {
    cost: Option<Cost>,
    #[serde(default)]
    limit: Limit,
}

#[derive(Clone, Deserialize)]
struct Cost {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    context_over_200k: Option<Box<Cost>>,
    tiers: Option<Vec<Tier>>,
}

/// Of longer prompts.
#[derive(Clone, Deserialize)]
struct Tier {
    tier: Size,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Clone, Deserialize)]
struct Size {
    size: u64,
}

#[derive(Default, Deserialize)]
struct Limit {
    context: Option<u64>,
    output: Option<u64>,
}

/// A model of LiteLLM's: prices in dollars for a token.
#[derive(Deserialize)]
struct Line {
    litellm_provider: String,
    input_cost_per_token: Option<f64>,
    output_cost_per_token: Option<f64>,
    cache_read_input_token_cost: Option<f64>,
    cache_creation_input_token_cost: Option<f64>,
    input_cost_per_token_above_200k_tokens: Option<f64>,
    output_cost_per_token_above_200k_tokens: Option<f64>,
    // These are words in its first line, which says what could stand there.
    max_input_tokens: Option<Value>,
    max_output_tokens: Option<Value>,
}

impl Rows {
    fn add(&mut self, provider: &str, model: &str, listed: Option<Listed>) {
        match listed {
            Some(listed) => {
                self.lists.entry(ours(provider).to_owned()).or_default().insert(model.to_owned(), listed);
            }
            None => self.left_out += 1,
        }
    }

    fn models_dev(&mut self, provider: &str, value: &Value) {
        for (model, value) in value.get("models").and_then(Value::as_object).into_iter().flatten() {
            let listed = Entry::deserialize(value).ok().and_then(|Entry { cost, limit }| {
                let cost = cost?;
                // Of several tiers the dearest is that of the longest prompts; it begins where the first one does.
                let tiers = cost.tiers.as_deref().unwrap_or_default();
                let tier = tiers.iter().map(|tier| tier.tier.size).min().zip(tiers.last().map(|tier| &tier.cost));
                let over = tier.or_else(|| Some((LONG_TOKENS, cost.context_over_200k.as_deref()?)));
                with_over(listed(&cost, 1e6, limit.context, limit.output)?, over, 1e6)
            });
            self.add(provider, model, listed);
        }
    }

    fn litellm(&mut self, name: &str, value: &Value) {
        let Ok(line) = Line::deserialize(value) else {
            self.left_out += 1;
            return;
        };
        let model = name.strip_prefix(&*format!("{}/", line.litellm_provider)).unwrap_or(name);
        let listed = line.input_cost_per_token.zip(line.output_cost_per_token).and_then(|(input, output)| {
            let (cache_read, cache_write) = (line.cache_read_input_token_cost, line.cache_creation_input_token_cost);
            let tokens = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
            let (context, answer) = (tokens(&line.max_input_tokens), tokens(&line.max_output_tokens));
            let cost = Cost { input, output, cache_read, cache_write, context_over_200k: None, tiers: None };
            let over = line.input_cost_per_token_above_200k_tokens.zip(line.output_cost_per_token_above_200k_tokens);
            let over =
                over.map(|(input, output)| Cost { input, output, cache_read: None, cache_write: None, ..cost.clone() });
            with_over(listed(&cost, 1e12, context, answer)?, over.as_ref().map(|over| (LONG_TOKENS, over)), 1e12)
        });
        self.add(&line.litellm_provider, model, listed);
    }
}

/// A provider's name in our lists.
fn ours(provider: &str) -> &str {
    match provider {
        "gemini" => "google",
        "amazon-bedrock" | "bedrock_converse" => "bedrock",
        "cohere_chat" => "cohere",
        other => other,
    }
}

fn listed(cost: &Cost, scale: f64, context: Option<u64>, answer: Option<u64>) -> Option<Listed> {
    // A price of the cache that is not there, or nothing beside a price, is no gift.
    let input = microusd(cost.input, scale)?;
    let cache =
        |price: Option<f64>| price.filter(|price| *price > 0.0 || input == 0).and_then(|price| microusd(price, scale));
    Some(Listed {
        input,
        cache_read: cache(cost.cache_read),
        cache_write: cache(cost.cache_write),
        output: microusd(cost.output, scale)?,
        context: context.filter(|tokens| *tokens > 0),
        answer: answer.filter(|tokens| *tokens > 0),
        media: Vec::new(),
        effort: None,
        sampling: None,
        tools: None,
        over: None,
    })
}

fn with_over(mut listed: Listed, over: Option<(u64, &Cost)>, scale: f64) -> Option<Listed> {
    if let Some((tokens, over)) = over {
        let Listed { input, cache_read, cache_write, output, .. } = self::listed(over, scale, None, None)?;
        listed.over = Some(Over { tokens, input, cache_read, cache_write, output });
    }
    Some(listed)
}

fn microusd(price: f64, scale: f64) -> Option<u64> {
    let price = (price * scale).round();
    // Not a number is in no range.
    (0.0..=PRICE_MAX_MICROUSD).contains(&price).then_some(price as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "2026-11-28";

    #[test]
    fn prices_of_models_dev_are_read() {
        let text = br#"{"openai":{"id":"openai","env":["OPENAI_API_KEY"],"models":{
            "gpt-9":{"id":"gpt-9","cost":{"input":2.5,"output":15,"cache_read":0.25,
              "context_over_200k":{"input":5,"output":22.5,"cache_read":0.5}},"limit":{"context":1050000,"output":128000}},
            "gpt-image":{"id":"gpt-image","limit":{"context":0,"output":0}},
            "gpt-lie":{"cost":{"input":-1,"output":1e300}}}}}"#;
        let (lists, imported) = read(text, DAY.to_owned()).unwrap();
        assert_eq!((imported.models, imported.left_out, &*imported.source), (1, 2, "models.dev"));
        let found = lists.find("openai", "gpt-9").unwrap();
        assert_eq!((&*found.date, found.model.context, found.model.window()), (DAY, Some(1_050_000), Some(200_000)));
        let price = found.model.price(128_000);
        assert_eq!(
            (price.input, price.output, price.cache_read, price.cache_write),
            (2_500_000, 15_000_000, 250_000, 2_500_000)
        );
        assert_eq!(found.model.price(1_000_000).output, 22_500_000);
    }

    #[test]
    fn prices_of_litellm_are_read() {
        let text = br#"{"sample_spec":{"litellm_provider":"one of the providers","max_input_tokens":"max input tokens","input_cost_per_token":0.0},
            "gpt-9":{"litellm_provider":"openai","input_cost_per_token":2.5e-06,"output_cost_per_token":1.5e-05,
              "cache_read_input_token_cost":2.5e-07,"max_input_tokens":272000,"max_output_tokens":128000,"mode":"chat"},
            "gemini/gemini-9-pro":{"litellm_provider":"gemini","input_cost_per_token":1.25e-06,"output_cost_per_token":1e-05,
              "input_cost_per_token_above_200k_tokens":2.5e-06,"output_cost_per_token_above_200k_tokens":1.5e-05},
            "dall-e":{"litellm_provider":"openai","output_cost_per_image":0.04}}"#;
        let (lists, imported) = read(text, DAY.to_owned()).unwrap();
        assert_eq!((imported.models, imported.left_out, &*imported.source), (2, 2, "LiteLLM"));
        let price = lists.find("openai", "gpt-9").unwrap().model.price(1);
        assert_eq!((price.input, price.output, price.cache_read), (2_500_000, 15_000_000, 250_000));
        let gemini = lists.find("google", "gemini-9-pro").unwrap().model;
        assert_eq!((gemini.price(1).input, gemini.price(300_000).output), (1_250_000, 15_000_000));
    }

    #[test]
    fn what_is_no_list_of_prices_is_told() {
        for text in ["", "[]", "{}", r#"{"a":{"b":1}}"#, r#"{"openai":{"models":{}}}"#] {
            assert!(read(text.as_bytes(), DAY.to_owned()).is_err(), "{text}");
        }
    }
}
