//! The events of a streamed response, or all of it at once, put into a draft.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::draft::{Counts, Draft};
use crate::loose::{Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{Complaint, Trouble};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// Which of the provider's items is which of our calls, by its place in the output.
#[derive(Default)]
pub(crate) struct Answer {
    calls: Vec<(u64, usize)>,
}

/// An event. What stands in it depends on its type.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    output_index: u64,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow, default)]
    output: Vec<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(borrow, default)]
    incomplete_details: Option<Details<'a>>,
    #[serde(default)]
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    reason: Loose<'a>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    FunctionCall {
        #[serde(borrow, default)]
        call_id: Cow<'a, str>,
        #[serde(borrow, default)]
        name: Cow<'a, str>,
        #[serde(borrow, default)]
        arguments: Cow<'a, str>,
    },
    Reasoning {
        #[serde(borrow, default)]
        summary: Vec<Summary<'a>>,
    },
    Message {
        #[serde(borrow, default)]
        content: Vec<Content<'a>>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Summary<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    refusal: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageLine {
    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

impl remote::Answer for Answer {
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble> {
        let garbage = |why: serde_json::Error| Trouble::Garbage(format!("a piece of the answer is no event: {why}"));
        let line: Line<'_> = serde_json::from_str(&event.data).map_err(garbage)?;
        let delta = line.delta.as_deref().unwrap_or_default();
        match (&*line.kind, line.item, line.response) {
            ("response.output_item.added", Some(item), _) => {
                if let Ok(item) = serde_json::from_str(item.get()) {
                    self.begin(line.output_index, &item, draft)?;
                }
            }
            ("response.output_item.done", Some(item), _) => self.end_item(line.output_index, item, draft)?,
            ("response.output_text.delta" | "response.refusal.delta", _, _) => draft.text(delta),
            ("response.reasoning_summary_text.delta" | "response.reasoning_text.delta", _, _) => draft.reasoning(delta),
            ("response.function_call_arguments.delta", _, _) => {
                if let Some((_, call)) = self.calls.iter().find(|(item, _)| *item == line.output_index) {
                    draft.arguments(*call, delta);
                }
            }
            ("response.completed" | "response.incomplete" | "response.failed" | "response.done", _, Some(response)) => {
                end(&serde_json::from_str(response.get()).map_err(garbage)?, draft)?;
                return Ok(Heard::Last);
            }
            // Some gateways send the whole response at once, which is no event and has no type.
            ("", _, _) => return self.whole(&serde_json::from_str(&event.data).map_err(garbage)?, draft),
            _ => {}
        }
        Ok(Heard::More)
    }
}

impl Answer {
    fn begin(&mut self, at: u64, item: &Item<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        match item {
            Item::FunctionCall { call_id, name, arguments } => {
                let call =
                    draft.call(call_id, name).ok_or_else(|| Trouble::Garbage("too many tool calls".to_owned()))?;
                draft.arguments(call, arguments);
                self.calls.push((at, call));
            }
            Item::Reasoning { .. } => draft.new_thought(false),
            Item::Message { .. } | Item::Other => {}
        }
        Ok(())
    }

    /// Pieces have said all of it but what only the provider can read, and arguments that came at once.
    fn end_item(&mut self, at: u64, raw: &RawValue, draft: &mut Draft) -> Result<(), Trouble> {
        let Ok(item) = serde_json::from_str::<Item<'_>>(raw.get()) else { return Ok(()) };
        match &item {
            Item::Reasoning { .. } => draft.opaque(raw.get().as_bytes()),
            Item::FunctionCall { arguments, .. } => match self.calls.iter().find(|(known, _)| *known == at) {
                None => self.begin(at, &item, draft)?,
                Some((_, call)) => {
                    if draft.call_so_far(*call).is_some_and(|call| call.arguments_json.is_empty()) {
                        draft.arguments(*call, arguments);
                    }
                }
            },
            Item::Message { .. } | Item::Other => {}
        }
        Ok(())
    }

    fn whole(&mut self, response: &Response<'_>, draft: &mut Draft) -> Result<Heard, Trouble> {
        for (at, raw) in (0..).zip(&response.output) {
            let Ok(item) = serde_json::from_str::<Item<'_>>(raw.get()) else { continue };
            match &item {
                Item::Message { content } => content.iter().for_each(|content| {
                    draft.text(&content.text);
                    draft.text(&content.refusal);
                }),
                Item::Reasoning { summary } => {
                    draft.new_thought(false);
                    summary.iter().for_each(|summary| draft.reasoning(&summary.text));
                    draft.opaque(raw.get().as_bytes());
                }
                Item::FunctionCall { .. } => self.begin(at, &item, draft)?,
                Item::Other => {}
            }
        }
        end(response, draft)?;
        Ok(Heard::Last)
    }
}

/// Why it ended, and what it took.
fn end(response: &Response<'_>, draft: &mut Draft) -> Result<(), Trouble> {
    if let Some(usage) = &response.usage {
        draft.usage(usage.into());
    }
    let reason = response.incomplete_details.as_ref().map(|details| details.reason.text()).unwrap_or_default();
    draft.stop(match (response.status.text(), reason) {
        ("completed" | "", _) => StopReason::End,
        ("incomplete", "max_output_tokens") => StopReason::MaxOutput,
        ("incomplete", "content_filter") => StopReason::Filtered,
        ("incomplete", other) => StopReason::Other(other.to_owned()),
        (status, _) => {
            let unsaid = || Complaint::saying(format!("the response is `{status}`"));
            let error = response.error.as_ref().filter(|error| !error.is_null());
            return Err(Trouble::Failed(Box::new(error.map_or_else(unsaid, Complaint::of))));
        }
    });
    Ok(())
}

impl From<&UsageLine> for Counts {
    fn from(line: &UsageLine) -> Self {
        let (input, output) = (line.input_tokens.0, line.output_tokens.0);
        let details = line.input_tokens_details.as_ref();
        let cache_read =
            details.and_then(|details| details.cached_tokens.0).map(|read| read.min(input.unwrap_or(read)));
        let uncached = input.map(|input| input - cache_read.unwrap_or(0));
        let written = details.and_then(|details| details.cache_write_tokens.0);
        let cache_write = written.map(|written| written.min(uncached.unwrap_or(written)));
        let thought = line.output_tokens_details.as_ref().and_then(|details| details.reasoning_tokens.0);
        Self {
            input_fresh: uncached.map(|uncached| uncached - cache_write.unwrap_or(0)),
            cache_read,
            cache_write,
            output,
            reasoning: thought.zip(output).map(|(thought, output)| thought.min(output)),
        }
    }
}
