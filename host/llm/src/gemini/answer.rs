//! The pieces of Gemini's streamed answer, put into a draft.

use serde::Deserialize;
use serde_json::Value;

use super::Signature;
use crate::draft::{Counts, Draft};
use crate::loose::{self, Count, Loose, Written};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{self, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// Nothing has to be kept from one piece to the next.
pub(crate) struct Answer;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default, deserialize_with = "loose::if_it_is_one", alias = "usage_metadata")]
    usage_metadata: Option<UsageLine>,
    #[serde(borrow, default, alias = "prompt_feedback")]
    prompt_feedback: Option<Feedback<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default, alias = "finish_reason")]
    finish_reason: Loose<'a>,
    #[serde(borrow, default, alias = "finish_message")]
    finish_message: Loose<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<PartLine<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartLine<'a> {
    #[serde(borrow, default)]
    text: Loose<'a>,
    #[serde(default)]
    thought: Value,
    #[serde(borrow, default, alias = "thought_signature")]
    thought_signature: Loose<'a>,
    #[serde(borrow, default, alias = "function_call")]
    function_call: Option<CallLine<'a>>,
}

#[derive(Deserialize)]
struct CallLine<'a> {
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    args: Written<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default, alias = "block_reason")]
    block_reason: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageLine {
    #[serde(alias = "prompt_token_count")]
    prompt_token_count: Count,
    #[serde(alias = "tool_use_prompt_token_count")]
    tool_use_prompt_token_count: Count,
    #[serde(alias = "cached_content_token_count")]
    cached_content_token_count: Count,
    #[serde(alias = "candidates_token_count")]
    candidates_token_count: Count,
    #[serde(alias = "thoughts_token_count")]
    thoughts_token_count: Count,
    #[serde(alias = "total_token_count")]
    total_token_count: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let chunk: Chunk<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is none of Gemini's: {why}")))?;
        // Others than the first were not asked for.
        let mut candidates = chunk.candidates.into_iter().flatten();
        if let Some(candidate) = candidates.find(|candidate| candidate.index.0.is_none_or(|index| index == 0)) {
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self::part(part, draft)?;
            }
            let word = candidate.finish_reason.text().to_ascii_uppercase();
            if !trouble::is_no_reason(&word) {
                draft.stop(stop_reason(&word, candidate.finish_message.text())?);
            }
        } else if chunk.prompt_feedback.is_some_and(|feedback| !feedback.block_reason.text().is_empty()) {
            draft.stop(StopReason::Filtered);
        }
        if let Some(usage) = chunk.usage_metadata {
            draft.usage(usage.into());
        }
        Ok(Heard::More)
    }
}

fn part(part: PartLine<'_>, draft: &mut Draft) -> Result<(), Trouble> {
    let signature = part.thought_signature.text();
    let keep = |of_call, draft: &mut Draft| {
        if !signature.is_empty() {
            Signature { thought_signature: signature.to_owned(), of_call }.keep(draft);
        }
    };
    if let Some(call) = part.function_call {
        keep(true, draft);
        let index = draft.call(&call.id.written(), &call.name.written())?;
        draft.arguments(index, call.args.text());
        return Ok(());
    }
    let text = part.text.text();
    if part.thought == true {
        draft.reasoning(text);
    } else {
        draft.text(text);
    }
    keep(false, draft);
    Ok(())
}

fn stop_reason(word: &str, message: &str) -> Result<StopReason, Trouble> {
    Ok(match word {
        "STOP" => StopReason::End,
        "MAX_TOKENS" => StopReason::MaxOutput,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => StopReason::Filtered,
        "TOO_MANY_TOOL_CALLS" | "MISSING_THOUGHT_SIGNATURE" => return Err(trouble::broken_off(word, message)),
        other => trouble::other_reason(other, message)?,
    })
}

impl From<UsageLine> for Counts {
    fn from(line: UsageLine) -> Self {
        let tool_use = line.tool_use_prompt_token_count.0.unwrap_or(0);
        let prompt = line.prompt_token_count.0.map(|prompt| prompt.saturating_add(tool_use));
        let cache_read = line.cached_content_token_count.0.map(|read| read.min(prompt.unwrap_or(read)));
        let thought = line.thoughts_token_count.0;
        // Thoughts are not among the candidates' tokens here, and are billed as these.
        let written = line.candidates_token_count.0.map(|said| said.saturating_add(thought.unwrap_or(0)));
        // Some count all of them in the sum alone.
        let sum = line.total_token_count.0.zip(prompt).and_then(|(total, prompt)| total.checked_sub(prompt));
        let output = written.max(sum).max(thought);
        Self {
            input_fresh: prompt.map(|prompt| prompt - cache_read.unwrap_or(0)),
            cache_read,
            cache_write: None,
            output,
            reasoning: thought,
        }
    }
}
