//! The chunks of a streamed chat completion, or all of it at once, put into a draft.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Carried;
use super::calls::{CallLine, Calls, FunctionLine};
use crate::draft::{Counts, Draft};
use crate::loose::{self, Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{self, Complaint, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// What has come of an answer beside what stands in the draft.
#[derive(Default)]
pub(crate) struct Answer {
    calls: Calls,
    /// The number of the choice that was asked for, once one has come.
    number: Option<u64>,
    /// What the router wants back of the thoughts.
    details: Vec<Value>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Option<Choice<'a>>>>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    x_groq: Option<Groq>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    delta: Option<DeltaLine<'a>>,
    /// Of an answer that comes at once.
    #[serde(borrow, default)]
    message: Option<DeltaLine<'a>>,
    #[serde(borrow, default)]
    finish_reason: Loose<'a>,
    #[serde(borrow, default, rename = "finishReason")]
    finish_reason_of_gemini: Loose<'a>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct DeltaLine<'a> {
    #[serde(borrow, default)]
    content: Loose<'a>,
    #[serde(borrow, default)]
    reasoning_content: Loose<'a>,
    #[serde(borrow, default)]
    reasoning: Loose<'a>,
    #[serde(default)]
    reasoning_details: Value,
    #[serde(borrow, default)]
    refusal: Loose<'a>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Option<CallLine<'a>>>>,
    #[serde(borrow, default)]
    function_call: Option<FunctionLine<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

/// All spellings: of OpenAI, DeepSeek, Moonshot, OpenRouter, and of routers that pass on Anthropic's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageLine {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_cache_hit_tokens: Count,
    cached_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    #[serde(deserialize_with = "loose::if_it_is_one")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "loose::if_it_is_one")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    cache_creation_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let chunk: Chunk<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is no chunk: {why}")))?;
        // Others than the first choice were not asked for.
        let choices = chunk.choices.into_iter().flatten().flatten().filter(|choice| self.is_ours(choice));
        if let Some(choice) = choices.min_by_key(|choice| choice.index.0) {
            self.number = self.number.or(choice.index.0);
            self.choice(choice, draft)?;
        }
        for usage in [chunk.usage, chunk.x_groq.and_then(|groq| groq.usage)].into_iter().flatten() {
            draft.usage(usage.into());
        }
        Ok(Heard::More)
    }

    fn end(&mut self, draft: &mut Draft) -> Result<(), Trouble> {
        self.keep_details(draft);
        self.calls.end()
    }
}

impl Answer {
    fn is_ours(&self, choice: &Choice<'_>) -> bool {
        choice.index.0.zip(self.number).is_none_or(|(number, ours)| number == ours)
    }

    fn choice(&mut self, choice: Choice<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        // Some repeat the whole message behind its pieces.
        let message = choice.message.filter(|_| draft.bytes() == 0);
        let is_all = message.is_some() && choice.delta.is_none();
        if let Some(delta) = choice.delta.or(message) {
            self.delta(delta, draft)?;
        }
        if let Some(usage) = choice.usage {
            draft.usage(usage.into());
        }
        let word = [&choice.finish_reason, &choice.finish_reason_of_gemini].map(|word| word.text().trim());
        let word = word.into_iter().find(|word| !trouble::is_no_reason(word));
        if let Some(error) = choice.error.filter(|error| !trouble::is_empty(error)) {
            return Err(Trouble::Failed(Box::new(Complaint::of(&error))));
        }
        match word {
            Some(word) => draft.stop(stop_reason(word)?),
            None if is_all => draft.done(),
            None => {}
        }
        Ok(())
    }

    fn delta(&mut self, delta: DeltaLine<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        // Where both are there they say the same, or one says nothing.
        let thought = [delta.reasoning_content, delta.reasoning].into_iter().find(|text| !text.written().is_empty());
        if let Some(thought) = thought {
            thought.pieces(&mut |piece, _| draft.reasoning(piece));
        }
        match delta.reasoning_details {
            Value::Array(details) => self.details.extend(details),
            detail @ Value::Object(_) => self.details.push(detail),
            _ => {}
        }
        for content in [delta.content, delta.refusal] {
            content.pieces(&mut |piece, is_thought| match is_thought {
                true => draft.reasoning(piece),
                false => draft.text(piece),
            });
        }
        if let Some(extra) = delta.extra_content {
            Carried { extra_content: Some(extra.to_owned()), ..Carried::default() }.keep(draft);
        }
        let old = delta.function_call.map(CallLine::old);
        for call in delta.tool_calls.into_iter().flatten().flatten().chain(old) {
            self.calls.take(&call, draft)?;
        }
        Ok(())
    }

    /// Pieces of one detail become one again, as they must go back.
    fn keep_details(&mut self, draft: &mut Draft) {
        let mut whole: Vec<Value> = Vec::new();
        for piece in std::mem::take(&mut self.details) {
            let last = whole
                .last_mut()
                .filter(|last| ["type", "index", "id"].iter().all(|name| last.get(name) == piece.get(name)));
            match (last.and_then(Value::as_object_mut), piece) {
                (Some(last), Value::Object(piece)) => merge(last, piece),
                (_, piece) => whole.push(piece),
            }
        }
        let details = serde_json::value::to_raw_value(&whole).ok().filter(|_| !whole.is_empty());
        if details.is_some() {
            Carried { reasoning_details: details, ..Carried::default() }.keep(draft);
        }
    }
}

fn merge(last: &mut serde_json::Map<String, Value>, piece: serde_json::Map<String, Value>) {
    for (name, value) in piece {
        match (last.get_mut(&name), value) {
            (Some(Value::String(text)), Value::String(more))
                if ["text", "summary", "data"].contains(&name.as_str()) =>
            {
                text.push_str(&more);
            }
            (_, Value::Null) => {}
            (_, value) => drop(last.insert(name, value)),
        }
    }
}

/// The words of all servers in use.
///
/// # Errors
/// If the word says that the answer is not whole.
fn stop_reason(word: &str) -> Result<StopReason, Trouble> {
    let lower = word.to_ascii_lowercase().replace(['-', ' '], "_");
    Ok(match lower.as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "end" | "complete" | "completed" | "stop_sequence" => {
            StopReason::End
        }
        "length" | "max_tokens" | "max_output_tokens" => StopReason::MaxOutput,
        "tool_calls" | "function_call" | "tool_call" | "tool_use" => StopReason::ToolCalls,
        "content_filter" | "safety" | "recitation" | "refusal" | "sensitive" | "blocklist" | "prohibited_content"
        | "spii" | "error_toxic" => StopReason::Filtered,
        "model_length" | "model_context_window_exceeded" | "error_limit" => StopReason::ContextFull,
        _ => return trouble::other_reason(word, ""),
    })
}

impl From<UsageLine> for Counts {
    fn from(line: UsageLine) -> Self {
        let details = line.prompt_tokens_details.unwrap_or_default();
        let first = |counts: &[Count]| counts.iter().find_map(|count| count.0);
        let read = first(&[
            details.cached_tokens,
            line.prompt_cache_hit_tokens,
            line.cached_tokens,
            line.cache_read_input_tokens,
        ]);
        let written =
            first(&[details.cache_write_tokens, details.cache_creation_tokens, line.cache_creation_input_tokens]);
        let thought = line.completion_tokens_details.and_then(|details| details.reasoning_tokens.0);
        let prompt = line.prompt_tokens.0;
        // All of the prompt is in it, whether it was cached or not.
        let cache_read = read.map(|read| read.min(prompt.unwrap_or(read)));
        let uncached = prompt.map(|prompt| prompt - cache_read.unwrap_or(0));
        let cache_write = written.map(|written| written.min(uncached.unwrap_or(written)));
        // Some count thoughts in the sum alone.
        let sum = line.total_tokens.0.zip(prompt).and_then(|(total, prompt)| total.checked_sub(prompt));
        let output = line.completion_tokens.0.max(sum);
        Self {
            input_fresh: uncached.map(|uncached| uncached - cache_write.unwrap_or(0)),
            cache_read,
            cache_write,
            output,
            reasoning: thought.zip(output).map(|(thought, output)| thought.min(output)),
        }
    }
}
