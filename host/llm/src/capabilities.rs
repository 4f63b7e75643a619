//! What a model takes in a request: shipped as data, changed by the configuration, by a probe and by what it refused. It decides nothing
//! about a request; the dialects read it while they write one.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::prices;
use agentry_abi::bindings::agentry::agent::llm::Effort;

/// The field for the longest answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MaxTokens {
    /// The name that most servers know.
    #[default]
    MaxTokens,
    /// The name that models which think know.
    MaxCompletionTokens,
}

/// The field for a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seed {
    /// As in the interface.
    #[default]
    #[serde(rename = "seed")]
    Plain,
    /// Mistral's.
    #[serde(rename = "random_seed")]
    Random,
    /// There is none.
    None,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thinking {
    /// By the name of an effort alone, or not at all.
    #[default]
    None,
    /// By so many tokens.
    Budget,
    /// As much as it finds right, for an effort.
    Adaptive,
    /// By the name of a level.
    Level,
    /// On or off.
    Toggle,
}

/// How a model that may think is told not to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThinkingOff {
    /// By a word.
    #[default]
    Disabled,
    /// By saying nothing of it.
    Omit,
    /// It cannot: the least effort is asked for.
    Least,
    /// By Claude Sonnet 5.5's word.
    BetweenTools,
}

/// Where thoughts of turns before go, in chat completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thoughts {
    /// Under this name, as DeepSeek, vLLM and llama.cpp have it.
    #[default]
    ReasoningContent,
    /// Nowhere.
    None,
}

/// What the names of tool calls must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallIds {
    /// Anything.
    #[default]
    Any,
    /// Nine letters and digits.
    Nine,
    /// Letters, digits, `_` and `-`.
    Word,
}

/// What one model takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capabilities {
    pub(crate) max_tokens: MaxTokens,
    pub(crate) temperature: bool,
    pub(crate) temperature_max: f32,
    pub(crate) top_p: bool,
    pub(crate) seed: Seed,
    pub(crate) stop: bool,
    pub(crate) stream_options: bool,
    /// Its words for how long to think, the least first; with none it is told nothing.
    pub(crate) effort: Vec<String>,
    /// The only word of these beside tools.
    pub(crate) effort_with_tools: Option<String>,
    pub(crate) thinking: Thinking,
    pub(crate) thinking_off: ThinkingOff,
    pub(crate) thoughts: Thoughts,
    pub(crate) call_ids: CallIds,
    /// Whether a schema may be said to be strict.
    pub(crate) strict_schema: bool,
    /// Whether an answer may have to fit a schema.
    pub(crate) schema: bool,
    /// Whether it can be made to call a tool.
    pub(crate) forced_tools: bool,
    /// Whether it goes on from an answer that was begun for it.
    pub(crate) prefill: bool,
    pub(crate) cache_marks: bool,
}

/// To which model a request goes, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct To<'a> {
    /// The provider's name of the model.
    pub(crate) model: &'a str,
    /// What its thoughts are marked with.
    pub(crate) origin: &'a str,
    pub(crate) takes: &'a Capabilities,
}

/// Some of it: what one layer of knowledge says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Layer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<MaxTokens>,
    /// Temperature and top-p together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sampling: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature_max: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_options: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort_with_tools: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_off: Option<ThinkingOff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thoughts: Option<Thoughts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call_ids: Option<CallIds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strict_schema: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forced_tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefill: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_marks: Option<bool>,
}

impl Default for Capabilities {
    /// What a server takes of which nothing is known.
    fn default() -> Self {
        Self {
            max_tokens: MaxTokens::default(),
            temperature: true,
            temperature_max: 2.0,
            top_p: true,
            seed: Seed::default(),
            stop: true,
            stream_options: true,
            effort: ["none", "low", "medium", "high"].map(str::to_owned).to_vec(),
            effort_with_tools: None,
            thinking: Thinking::default(),
            thinking_off: ThinkingOff::default(),
            thoughts: Thoughts::default(),
            call_ids: CallIds::default(),
            strict_schema: true,
            schema: true,
            forced_tools: true,
            prefill: true,
            cache_marks: true,
        }
    }
}

impl Capabilities {
    /// What `model` of `provider` takes, as far as the shipped lists know.
    pub(crate) fn shipped(provider: &str, model: &str) -> Self {
        let mut known = Self::default();
        let Some(of) = provider_of(provider) else { return known };
        if let Some(like) = of.like.as_deref().and_then(provider_of) {
            known.learn_family(like, model);
        }
        known.learn_family(of, model);
        if let Some(listed) = prices::listed(provider, model) {
            known.learn(&Layer { effort: listed.effort.clone(), sampling: listed.sampling, ..Layer::default() });
        }
        known
    }

    /// Takes over what holds for all models of `provider`.
    pub(crate) fn served_by(&mut self, provider: &str) {
        if let Some(of) = provider_of(provider) {
            self.learn(&of.takes);
        }
    }

    fn learn_family(&mut self, of: &Provider, model: &str) {
        self.learn(&of.takes);
        let plain = plain(model);
        let fits = |family: &&Family| family.names.iter().any(|name| begins(&plain, name).is_some());
        let longest = |family: &&Family| family.names.iter().filter_map(|name| begins(&plain, name)).max();
        if let Some(family) = of.family.iter().filter(fits).max_by_key(longest) {
            self.learn(&family.takes);
        }
    }

    /// Takes over what `layer` says.
    pub(crate) fn learn(&mut self, layer: &Layer) {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        let Layer { sampling, effort_with_tools, .. } = layer;
        set(&mut self.temperature, layer.temperature.as_ref().or(sampling.as_ref()));
        set(&mut self.top_p, layer.top_p.as_ref().or(sampling.as_ref()));
        set(&mut self.max_tokens, layer.max_tokens.as_ref());
        set(&mut self.temperature_max, layer.temperature_max.as_ref());
        set(&mut self.seed, layer.seed.as_ref());
        set(&mut self.stop, layer.stop.as_ref());
        set(&mut self.stream_options, layer.stream_options.as_ref());
        set(&mut self.effort, layer.effort.as_ref());
        if effort_with_tools.is_some() {
            self.effort_with_tools.clone_from(effort_with_tools);
        }
        set(&mut self.thinking, layer.thinking.as_ref());
        set(&mut self.thinking_off, layer.thinking_off.as_ref());
        set(&mut self.thoughts, layer.thoughts.as_ref());
        set(&mut self.call_ids, layer.call_ids.as_ref());
        set(&mut self.strict_schema, layer.strict_schema.as_ref());
        set(&mut self.schema, layer.schema.as_ref());
        set(&mut self.forced_tools, layer.forced_tools.as_ref());
        set(&mut self.prefill, layer.prefill.as_ref());
        set(&mut self.cache_marks, layer.cache_marks.as_ref());
    }

    /// The model's word that is nearest to what a guest hints at; none if it has no such words.
    pub(crate) fn effort_word(&self, effort: Effort) -> Option<&str> {
        let wanted = match effort {
            Effort::Off => 0,
            Effort::Low => 2,
            Effort::Medium => 3,
            Effort::High => 4,
        };
        let words = self.effort.iter().map(String::as_str);
        // Whoever wants some thinking does not get none.
        let words = words.filter(|word| effort == Effort::Off || *word != "none" || self.effort.len() == 1);
        words.min_by_key(|word| rank(word).abs_diff(wanted))
    }
}

/// The words of all providers in one order.
fn rank(word: &str) -> u8 {
    match word {
        "none" => 0,
        "minimal" => 1,
        "low" => 2,
        "high" => 4,
        "xhigh" => 5,
        "max" => 6,
        // `medium`, `default`, and words that are not known yet.
        _ => 3,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    #[expect(dead_code, reason = "for whoever reads the file")]
    date: String,
    provider: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    name: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[expect(dead_code, reason = "for whoever reads the file")]
    source: String,
    /// All that this one has not of its own.
    #[serde(default)]
    like: Option<String>,
    #[serde(default)]
    takes: Layer,
    #[serde(default)]
    family: Vec<Family>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    names: Vec<String>,
    takes: Layer,
}

static LIST: LazyLock<List> = LazyLock::new(|| {
    let list: List = toml::from_str(include_str!("data/capabilities.toml")).expect("the shipped list is tested");
    assert_eq!(list.format, 1, "the shipped list is tested");
    list
});

fn provider_of(name: &str) -> Option<&'static Provider> {
    LIST.provider.iter().find(|provider| provider.name == name)
}

/// The name under which the lists know who is at this host.
pub(crate) fn provider_at(host: &str) -> Option<&'static str> {
    let is = |known: &String| {
        host == known || host.strip_suffix(known.as_str()).is_some_and(|rest| rest.ends_with(['.', '-']))
    };
    LIST.provider.iter().find(|provider| provider.hosts.iter().any(is)).map(|provider| provider.name.as_str())
}

/// `us.anthropic.claude-opus-4-7-v1:0` and `anthropic/claude-opus-4.7` as `claude-opus-4-7…`.
fn plain(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let name = match name.find("anthropic.") {
        Some(at) => name[at + "anthropic.".len()..].to_owned(),
        None => name,
    };
    name.replace('.', "-")
}

/// How much of the name it is, if the name begins so and something else follows.
fn begins(plain: &str, name: &str) -> Option<usize> {
    let name = name.replace('.', "-");
    let rest = plain.strip_prefix(name.as_str())?;
    rest.bytes().next().is_none_or(|byte| !byte.is_ascii_alphanumeric()).then_some(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_whole() {
        assert!(LIST.provider.len() >= 10);
        for provider in &LIST.provider {
            assert!(provider.like.as_deref().is_none_or(|like| provider_of(like).is_some()), "{}", provider.name);
            assert!(provider.family.iter().all(|family| !family.names.is_empty()), "{}", provider.name);
        }
    }

    #[test]
    fn a_family_is_known_by_how_its_names_begin() {
        let claude = |model| Capabilities::shipped("anthropic", model);
        assert_eq!(claude("claude-opus-4-20250514").thinking, Thinking::Budget);
        assert_eq!(claude("claude-opus-4-7").thinking, Thinking::Adaptive);
        assert_eq!(claude("claude-opus-4-7-20270101").thinking_off, ThinkingOff::Omit);
        assert_eq!(claude("claude-opus-5").thinking_off, ThinkingOff::Disabled);
        assert_eq!(claude("claude-opus-5-5").thinking_off, ThinkingOff::Least);
        assert_eq!(claude("claude-3-5-sonnet-20241022").thinking, Thinking::None);
        let bedrock = Capabilities::shipped("bedrock", "us.anthropic.claude-opus-4-7-v1:0");
        assert_eq!((bedrock.thinking, bedrock.temperature), (Thinking::Adaptive, false));
        let gpt = |model| Capabilities::shipped("openai", model);
        assert_eq!(gpt("gpt-5.6-sol").effort_with_tools.as_deref(), Some("none"));
        assert_eq!(gpt("gpt-5-mini").effort_with_tools, None);
        assert_eq!(gpt("gpt-4o-of-my-own").effort, [""; 0]);
        assert!(gpt("gpt-50").temperature, "it begins so, and is another");
    }

    #[test]
    fn a_provider_is_known_by_its_host() {
        assert_eq!(provider_at("api.mistral.ai"), Some("mistral"));
        assert_eq!(provider_at("europe-west4-aiplatform.googleapis.com"), Some("google"));
        assert_eq!(provider_at("api.mistral.ai.example.org"), None);
        assert_eq!(provider_at("notopenrouter.ai"), None);
    }

    #[test]
    fn a_hint_becomes_the_nearest_word() {
        let word = |words: &[&str], effort| {
            let effort_words = words.iter().map(|word| (*word).to_owned()).collect();
            let known = Capabilities { effort: effort_words, ..Capabilities::default() };
            known.effort_word(effort).map(str::to_owned)
        };
        let check =
            |words: &[&str], effort, expected: Option<&str>| assert_eq!(word(words, effort).as_deref(), expected);
        check(&["none", "low", "medium", "high", "xhigh"], Effort::Off, Some("none"));
        check(&["none", "low", "medium", "high", "xhigh"], Effort::High, Some("high"));
        check(&["minimal", "low", "medium", "high"], Effort::Off, Some("minimal"));
        check(&["none", "default"], Effort::High, Some("default"));
        check(&["none", "high"], Effort::Low, Some("high"));
        check(&["high", "max"], Effort::Low, Some("high"));
        check(&["low", "high"], Effort::Off, Some("low"));
        check(&[], Effort::High, None);
    }
}
