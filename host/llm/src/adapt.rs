//! What a refusal teaches: which of the things that a guest only hinted at a model does not take, read from its provider's words. The request
//! is then made again without it. What matters to a guest is never left out, and a call that was answered teaches nothing.

use std::fmt;

use parking_lot::Mutex;

use super::capabilities::{CallIds, Capabilities, Layer, MaxTokens, Seed, Thinking, ThinkingOff, Thoughts};

/// How often one call is made again without something. There are more hints than this, but no model refuses them all.
pub(super) const AGAIN_MAX: usize = 4;

/// What a model takes, as far as is known by now.
#[derive(Debug)]
pub(crate) struct Known {
    /// What names it: the mark of its thoughts.
    origin: String,
    /// As it was configured.
    shipped: Capabilities,
    learned: Mutex<Vec<Lesson>>,
}

/// One thing that a model was found not to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lesson {
    Temperature,
    TopP,
    Seed,
    StreamOptions,
    Effort,
    EffortWithTools,
    MaxTokens,
    MaxCompletionTokens,
    ThinkingBudget,
    ThinkingAdaptive,
    ThinkingOff,
    Thinking,
    Thoughts,
    CallIds,
    Strict,
    CacheMarks,
}

impl fmt::Display for Lesson {
    /// The name of what is not taken, as it stands in a request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::Seed => "seed",
            Self::StreamOptions => "stream_options",
            Self::Effort => "reasoning_effort",
            Self::EffortWithTools => "reasoning_effort beside tools",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::ThinkingBudget => "thinking by a budget",
            Self::ThinkingAdaptive => "adaptive thinking",
            Self::ThinkingOff => "thinking switched off",
            Self::Thinking => "thinking",
            Self::Thoughts => "reasoning_content",
            Self::CallIds => "call ids of its own",
            Self::Strict => "strict",
            Self::CacheMarks => "cache_control",
        })
    }
}

impl Lesson {
    fn layer(self) -> Layer {
        let none = Layer::default();
        match self {
            Self::Temperature => Layer { temperature: Some(false), ..none },
            Self::TopP => Layer { top_p: Some(false), ..none },
            Self::Seed => Layer { seed: Some(Seed::None), ..none },
            Self::StreamOptions => Layer { stream_options: Some(false), ..none },
            Self::Effort => Layer { effort: Some(Vec::new()), ..none },
            Self::EffortWithTools => Layer { effort_with_tools: Some("none".to_owned()), ..none },
            Self::MaxTokens => Layer { max_tokens: Some(MaxTokens::MaxCompletionTokens), ..none },
            Self::MaxCompletionTokens => Layer { max_tokens: Some(MaxTokens::MaxTokens), ..none },
            Self::ThinkingBudget => {
                let effort = ["low", "medium", "high"].map(str::to_owned).to_vec();
                Layer {
                    thinking: Some(Thinking::Adaptive),
                    thinking_off: Some(ThinkingOff::Omit),
                    effort: Some(effort),
                    ..none
                }
            }
            Self::ThinkingAdaptive => Layer { thinking: Some(Thinking::Budget), ..none },
            Self::ThinkingOff => Layer { thinking_off: Some(ThinkingOff::Omit), ..none },
            Self::Thinking => Layer { thinking: Some(Thinking::None), ..none },
            Self::Thoughts => Layer { thoughts: Some(Thoughts::None), ..none },
            Self::CallIds => Layer { call_ids: Some(CallIds::Nine), ..none },
            Self::Strict => Layer { strict_schema: Some(false), ..none },
            Self::CacheMarks => Layer { cache_marks: Some(false), ..none },
        }
    }
}

impl Known {
    /// What is known before anything was asked.
    pub(crate) fn new(origin: &str, shipped: Capabilities, learned: Vec<Lesson>) -> Self {
        Self { origin: origin.to_owned(), shipped, learned: Mutex::new(learned) }
    }

    /// What names the model.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// What is known now.
    pub(crate) fn now(&self) -> Capabilities {
        let mut now = self.shipped.clone();
        self.learned.lock().iter().for_each(|lesson| now.learn(&lesson.layer()));
        now
    }

    /// All that was learned.
    pub(crate) fn lessons(&self) -> Vec<Lesson> {
        self.learned.lock().clone()
    }

    /// Learns from a refusal of the request `sent`, in the provider's words; none if it says nothing of what can be left out,
    /// or only what was known already.
    pub(crate) fn learn(&self, refusal: &str, sent: &[u8]) -> Option<Lesson> {
        let lesson = lesson(refusal, &String::from_utf8_lossy(sent))?;
        let mut learned = self.learned.lock();
        // Something that was left out and is still complained of is not what is wrong.
        if learned.contains(&lesson) {
            return None;
        }
        learned.push(lesson);
        Some(lesson)
    }
}

/// Words in which servers say that a name is not known to them at all, beside those that say that its value is wrong.
const UNKNOWN: [&str; 10] = [
    "support",
    "unrecognized",
    "unknown",
    "extra",
    "not permitted",
    "instead",
    "deprecated",
    "unexpected",
    "not allowed",
    "not exist",
];

fn lesson(refusal: &str, sent: &str) -> Option<Lesson> {
    let said = refusal.to_lowercase();
    let names = |name: &str| mentions(&said, name);
    let was_sent = |name: &str| sent.contains(&format!("\"{name}\":"));
    if let Some(lesson) = thinking(&said, sent) {
        return Some(lesson);
    }
    if names("reasoning_effort")
        && names("tools")
        && names("none")
        && was_sent("tools")
        && !sent.contains("\"reasoning_effort\":\"none\"")
    {
        return Some(Lesson::EffortWithTools);
    }
    // Of their values nothing can be changed, and they are told together.
    let unknown = UNKNOWN.iter().any(|word| said.contains(word)) || said.len() < 64;
    for (name, lesson) in [("max_tokens", Lesson::MaxTokens), ("max_completion_tokens", Lesson::MaxCompletionTokens)] {
        let value = ["too large", "too high", "exceed", "at most", "maximum value", "less than"]
            .iter()
            .any(|word| said.contains(word));
        if names(name) && was_sent(name) && unknown && !value {
            return Some(lesson);
        }
    }
    let hints = [
        ("temperature", Lesson::Temperature),
        ("top_p", Lesson::TopP),
        ("seed", Lesson::Seed),
        ("random_seed", Lesson::Seed),
        ("stream_options", Lesson::StreamOptions),
        ("include_usage", Lesson::StreamOptions),
        ("reasoning_effort", Lesson::Effort),
        ("effort", Lesson::Effort),
        ("reasoning_content", Lesson::Thoughts),
        ("strict", Lesson::Strict),
        ("cache_control", Lesson::CacheMarks),
        ("thinking", Lesson::Thinking),
    ];
    // Where a name is pointed at, it is meant; a sentence may name others beside it.
    let pointed = |name: &str| {
        ["\"param\":\"", "\"param\": \"", "'", "`", "\\\"", "body\",\"", "body\", \"", "property '", "name \""]
            .iter()
            .any(|before| said.contains(&format!("{before}{name}")))
    };
    let known = hints.iter().filter(|(name, _)| names(name) && was_sent(name));
    let first = known.clone().find(|(name, _)| pointed(name)).or_else(|| known.clone().next());
    first.map(|(_, lesson)| *lesson).or_else(|| {
        let ids =
            (names("tool call id") || names("tool_call_id") || names("tool_call.id")) && said.contains("length of 9");
        ids.then_some(Lesson::CallIds)
    })
}

/// Anthropic names the form that it takes beside the one that it refuses.
fn thinking(said: &str, sent: &str) -> Option<Lesson> {
    if !said.contains("thinking") {
        return None;
    }
    let sent_as = |form: &str| sent.contains(&format!("\"thinking\":{{\"type\":\"{form}\""));
    let refuses =
        ["support", "not available", "not allowed", "not valid", "invalid", "input tag", "unexpected", "unable"]
            .iter()
            .any(|word| said.contains(word));
    if sent_as("enabled") && refuses && said.contains("adaptive") {
        return Some(Lesson::ThinkingBudget);
    }
    if sent_as("adaptive") && refuses && (said.contains("adaptive") || said.contains("enabled")) {
        return Some(Lesson::ThinkingAdaptive);
    }
    if (sent_as("disabled") || sent_as("between_tools")) && refuses {
        return Some(Lesson::ThinkingOff);
    }
    // It is the other one that it does not take beside thinking, if it names one.
    let other =
        ["temperature", "top_p"].iter().any(|name| said.contains(name) && sent.contains(&format!("\"{name}\":")));
    (refuses && !other && sent.contains("\"thinking\":{")).then_some(Lesson::Thinking)
}

/// Whether a text has this name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text[..at].bytes().next_back(), text[at + name.len()..].bytes().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(refusal: &str, sent: &str, expected: Option<Lesson>) {
        assert_eq!(lesson(refusal, sent), expected, "{refusal}");
    }

    #[test]
    fn what_is_refused_is_read_from_the_words_of_many() {
        let sent = r#"{"messages":[{"role":"assistant","reasoning_content":"hm"}],"stream_options":{},"max_tokens":9,"temperature":0,"top_p":1,"seed":1,"tools":[],"reasoning_effort":"low"}"#;
        for (refusal, lesson) in [
            // OpenAI
            (
                r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.","param":"temperature","code":"unsupported_value"}}"#,
                Lesson::Temperature,
            ),
            (
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}"#,
                Lesson::MaxTokens,
            ),
            (r#"{"error":{"message":"Unrecognized request argument supplied: reasoning_effort"}}"#, Lesson::Effort),
            (
                r#"{"error":{"message":"Function tools with reasoning_effort are not supported for x in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."}}"#,
                Lesson::EffortWithTools,
            ),
            // Mistral
            (
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
                Lesson::StreamOptions,
            ),
            (
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",2,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted"}]}"#,
                Lesson::Thoughts,
            ),
            // Groq
            (r#"{"error":{"message":"`reasoning_effort` must be one of `none` or `default`"}}"#, Lesson::Effort),
            (
                r#"{"error":{"message":"'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]"}}"#,
                Lesson::Thoughts,
            ),
            // Google
            (
                r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"seed\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
                Lesson::Seed,
            ),
            // Anthropic by way of others
            ("`temperature` and `top_p` cannot both be specified for this model", Lesson::Temperature),
        ] {
            check(refusal, sent, Some(lesson));
        }
    }

    #[test]
    fn how_claude_thinks_is_read_from_its_refusals() {
        let enabled = r#"{"temperature":0.5,"thinking":{"type":"enabled","budget_tokens":1024}}"#;
        check(
            r#""thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior."#,
            enabled,
            Some(Lesson::ThinkingBudget),
        );
        check(
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
            enabled,
            Some(Lesson::Temperature),
        );
        check(
            "adaptive thinking is not supported on this model",
            r#"{"thinking":{"type":"adaptive"}}"#,
            Some(Lesson::ThinkingAdaptive),
        );
        check(
            r#""thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive"."#,
            r#"{"thinking":{"type":"disabled"}}"#,
            Some(Lesson::ThinkingOff),
        );
        check("`temperature` is deprecated for this model.", r#"{"temperature":0.0}"#, Some(Lesson::Temperature));
    }

    #[test]
    fn what_matters_or_was_not_sent_is_not_left_out() {
        let sent = r#"{"max_tokens":9,"tools":[],"stop":["x"],"response_format":{}}"#;
        for refusal in [
            "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
            "Unsupported parameter: 'stop' is not supported with this model.",
            "tools are not supported by this model",
            "Unsupported value: 'temperature' does not support 0",
            "Invalid schema for response_format",
            "",
        ] {
            check(refusal, sent, None);
        }
    }

    #[test]
    fn the_same_is_learned_once() {
        let known = Known::new("m@1", Capabilities::default(), Vec::new());
        let (refusal, sent) = ("'temperature' is not supported", br#"{"temperature":0.5}"#);
        assert_eq!(known.learn(refusal, sent), Some(Lesson::Temperature));
        assert!(!known.now().temperature && known.now().top_p);
        assert_eq!(known.learn(refusal, sent), None);
    }
}
