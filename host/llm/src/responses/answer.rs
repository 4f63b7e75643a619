//! The events of a streamed response, or all of it at once, put into a draft.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::draft::{Counts, Draft};
use crate::loose::{self, Count, Loose};
use crate::remote::{self, Heard};
use crate::sse::Event;
use crate::trouble::{self, Complaint, Trouble};
use agentry_abi::bindings::agentry::agent::llm::{StopReason, ToolCall};

/// What is known of the items that came, by their places in the output.
#[derive(Default)]
pub(crate) struct Answer {
    /// Which item is which of our calls.
    calls: Vec<(u64, usize)>,
    /// The last message whose text has come.
    told: Option<u64>,
    /// Whether a thought has come.
    has_thought: bool,
}

/// An event. What stands in it depends on its type.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Loose<'a>,
    #[serde(default)]
    output_index: Count,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Loose<'a>,
    #[serde(borrow, default)]
    arguments: Loose<'a>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(borrow, default)]
    incomplete_details: Option<Details<'a>>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    reason: Loose<'a>,
}

/// An item of the output. What stands in it depends on its type.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    call_id: Loose<'a>,
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    arguments: Loose<'a>,
    /// Of a thought.
    #[serde(borrow, default)]
    summary: Loose<'a>,
    /// Of a message: texts and refusals.
    #[serde(borrow, default)]
    content: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageLine {
    input_tokens: Count,
    output_tokens: Count,
    #[serde(deserialize_with = "loose::if_it_is_one")]
    input_tokens_details: Option<InputDetails>,
    #[serde(deserialize_with = "loose::if_it_is_one")]
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
        let line: Line<'_> = read(&event.data)?;
        let (at, more) = (line.output_index.0.unwrap_or_default(), line.delta.written());
        match (line.kind.text(), line.item, line.response) {
            ("response.output_item.added", Some(item), _) => {
                let item: Item<'_> = read(item.get())?;
                match item.kind.text() {
                    "function_call" => self.begin(at, &item, draft)?,
                    "reasoning" => {
                        self.has_thought = true;
                        draft.new_thought(false);
                    }
                    _ => {}
                }
            }
            ("response.output_item.done", Some(item), _) => self.end_item(at, item, draft)?,
            ("response.output_text.delta" | "response.refusal.delta", _, _) => {
                self.told = Some(at);
                draft.text(&more);
            }
            ("response.reasoning_summary_text.delta" | "response.reasoning_text.delta", _, _) => {
                self.has_thought = true;
                draft.reasoning(&more);
            }
            ("response.function_call_arguments.delta", _, _) => {
                if let Some(call) = self.call(at) {
                    draft.arguments(call, &more);
                }
            }
            ("response.function_call_arguments.done", _, _) => self.fill(at, &line.arguments, draft),
            // Some gateways send the whole response at once, which is no event and has no type.
            ("", _, _) => {
                let response: Response<'_> = read(&event.data)?;
                self.whole(&response, draft)?;
                end("", &response, draft)?;
                return Ok(Heard::Last);
            }
            (
                kind @ ("response.completed"
                | "response.incomplete"
                | "response.failed"
                | "response.cancelled"
                | "response.done"),
                _,
                Some(response),
            ) => {
                let response: Response<'_> = read(response.get())?;
                // What did not come in pieces is here.
                self.whole(&response, draft)?;
                end(kind.trim_start_matches("response."), &response, draft)?;
                return Ok(Heard::Last);
            }
            _ => {}
        }
        Ok(Heard::More)
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Trouble> {
    serde_json::from_str(json).map_err(|why| Trouble::Garbage(format!("a piece of the answer is no event: {why}")))
}

impl Answer {
    fn call(&self, at: u64) -> Option<usize> {
        // Where all items have the same number, the last one is meant.
        self.calls.iter().rfind(|(item, _)| *item == at).map(|(_, call)| *call)
    }

    /// Whether the call at this place is this one.
    fn knows(&self, at: u64, item: &Item<'_>, draft: &Draft) -> bool {
        let is_it = |call: &ToolCall| item.call_id == Loose::Nothing || call.id == item.call_id.written();
        self.call(at).and_then(|call| draft.call_so_far(call)).is_some_and(is_it)
    }

    fn begin(&mut self, at: u64, item: &Item<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        let call = draft.call(&item.call_id.written(), &item.name.written())?;
        self.calls.push((at, call));
        self.fill(at, &item.arguments, draft);
        Ok(())
    }

    /// Arguments that come at once, where no piece of them came.
    fn fill(&self, at: u64, arguments: &Loose<'_>, draft: &mut Draft) {
        if let Some(call) = self.call(at)
            && draft.call_so_far(call).is_some_and(|call| call.arguments_json.is_empty())
        {
            draft.arguments(call, &arguments.written());
        }
    }

    /// Pieces have said all of it but what only the provider can read, and what came at once.
    fn end_item(&mut self, at: u64, raw: &RawValue, draft: &mut Draft) -> Result<(), Trouble> {
        let item: Item<'_> = read(raw.get())?;
        match item.kind.text() {
            "reasoning" => {
                self.has_thought = true;
                draft.opaque(raw.get().as_bytes());
            }
            "function_call" if !self.knows(at, &item, draft) => self.begin(at, &item, draft)?,
            "function_call" => self.fill(at, &item.arguments, draft),
            "message" if self.told != Some(at) => {
                item.content.pieces(&mut |text, _| draft.text(text));
                self.told = Some(at);
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, response: &Response<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        let (has_text, has_calls) = (self.told.is_some(), !self.calls.is_empty());
        for (at, raw) in (0..).zip(response.output.iter().flatten()) {
            let item: Item<'_> = read(raw.get())?;
            match item.kind.text() {
                "message" if has_text => {}
                "function_call" if has_calls => {}
                "reasoning" if self.has_thought => {}
                "message" => item.content.pieces(&mut |text, _| draft.text(text)),
                "reasoning" => {
                    draft.new_thought(false);
                    item.summary.pieces(&mut |text, _| draft.reasoning(text));
                    draft.opaque(raw.get().as_bytes());
                }
                "function_call" => self.begin(at, &item, draft)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Why it ended, and what it took. `word` is how the event says it, for those who leave it out of the response.
fn end(word: &str, response: &Response<'_>, draft: &mut Draft) -> Result<(), Trouble> {
    if let Some(usage) = &response.usage {
        draft.usage(usage.into());
    }
    let reason = response.incomplete_details.as_ref().map(|details| details.reason.text()).unwrap_or_default();
    let status = Some(response.status.text()).filter(|status| !status.is_empty()).unwrap_or(word);
    draft.stop(match (status, reason) {
        // Nobody says that it is whole, so it has to look so.
        ("", _) => {
            draft.done();
            return Ok(());
        }
        ("completed" | "done", _) => StopReason::End,
        ("incomplete", "max_output_tokens") => StopReason::MaxOutput,
        ("incomplete", "content_filter") => StopReason::Filtered,
        ("incomplete", "") => StopReason::Other("incomplete".to_owned()),
        ("incomplete", other) => trouble::other_reason(other, "")?,
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
