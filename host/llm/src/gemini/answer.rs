//! The pieces of Gemini's streamed answer, put into a draft.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Signature;
use crate::draft::{Counts, Draft};
use crate::loose::{Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{Complaint, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// Nothing has to be kept from one piece to the next.
pub(crate) struct Answer;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    usage_metadata: Option<UsageLine>,
    #[serde(borrow, default)]
    prompt_feedback: Option<Feedback<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Loose<'a>,
    #[serde(borrow, default)]
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
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(borrow, default)]
    function_call: Option<CallLine<'a>>,
}

#[derive(Deserialize)]
struct CallLine<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageLine {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let chunk: Chunk<'_> = serde_json::from_str(&event.data)
            .map_err(|why| Trouble::Garbage(format!("a piece of the answer is none of Gemini's: {why}")))?;
        // Others than the first were not asked for.
        if let Some(candidate) = chunk.candidates.into_iter().flatten().next() {
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self::part(part, draft)?;
            }
            let word = candidate.finish_reason.text();
            if !word.is_empty() && word != "FINISH_REASON_UNSPECIFIED" {
                draft.stop(stop_reason(word, candidate.finish_message.text())?);
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
    let signature = part.thought_signature.filter(|signature| !signature.is_empty());
    let keep = |of_call, draft: &mut Draft| {
        if let Some(thought_signature) = signature {
            Signature { thought_signature, of_call }.keep(draft);
        }
    };
    if let Some(call) = part.function_call {
        keep(true, draft);
        let index = draft.call(call.id.as_deref().unwrap_or_default(), &call.name);
        let index = index.ok_or_else(|| Trouble::Garbage("too many tool calls".to_owned()))?;
        draft.arguments(index, call.args.map(RawValue::get).unwrap_or_default());
        return Ok(());
    }
    let text = part.text.as_deref().unwrap_or_default();
    if part.thought == Some(true) {
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
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
            StopReason::Filtered
        }
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => {
            let complaint = Complaint::saying(format!("the answer ended with `{word}`: {message}"));
            return Err(Trouble::Failed(Box::new(complaint)));
        }
        other => StopReason::Other(other.to_owned()),
    })
}

impl From<UsageLine> for Counts {
    fn from(line: UsageLine) -> Self {
        let tool_use = line.tool_use_prompt_token_count.0.unwrap_or(0);
        let prompt = line.prompt_token_count.0.map(|prompt| prompt.saturating_add(tool_use));
        let cache_read = line.cached_content_token_count.0.map(|read| read.min(prompt.unwrap_or(read)));
        let thought = line.thoughts_token_count.0;
        // Thoughts are not among the candidates' tokens here, and are billed as these.
        let output = match (line.candidates_token_count.0, thought) {
            (None, None) => None,
            (said, thought) => Some(said.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
        };
        Self {
            input_fresh: prompt.map(|prompt| prompt - cache_read.unwrap_or(0)),
            cache_read,
            cache_write: None,
            output,
            reasoning: thought,
        }
    }
}
