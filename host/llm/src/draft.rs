//! An answer while it is being written: pieces go in, the whole comes out, even when it breaks off. It reads no wire format, and lets
//! nothing out that holds a key.

use std::sync::Arc;

use agentry_kernel::model::Usage;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use super::{Finished, Sink, TOOL_CALLS_MAX};
use agentry_abi::bindings::agentry::agent::llm::{
    CallFragment, CallStart, Delta, Failure, Part, Reasoning, Response, StopReason, ToolCall,
};
use agentry_abi::bindings::agentry::agent::types::{Cost, Error, Unavailability};
use agentry_config::scrub::{Scrub, ScrubPieces};

/// No tokenizer in use has a longer token. Whoever counts fewer tokens than so many bytes must be has not counted.
const TOKEN_MAX_BYTES: u64 = 128;

/// An id that is made up is as long as the strictest provider wants it.
const MADE_UP_ID_CHARS: usize = 9;

/// An answer so far.
pub struct Draft {
    sink: Sink,
    origin: String,
    /// Names this call among all, for ids that the provider did not give.
    key: String,
    scrub: Arc<Scrub>,
    parts: Vec<Part>,
    calls: Vec<Call>,
    text: ScrubPieces,
    reasoning: ScrubPieces,
    stop: Option<StopReason>,
    counts: Counts,
    /// What was counted on this host.
    exact: Option<Usage>,
    /// Bytes that had come when the provider counted last.
    counted_bytes: Option<u64>,
    input_tokens_max: u64,
    output_tokens_max: u64,
    bytes: u64,
    reasoning_bytes: u64,
}

/// A tool call of the answer.
struct Call {
    /// Its place among the parts.
    place: usize,
    arguments: ScrubPieces,
}

/// Why something is no tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCall {
    /// It says not which tool.
    #[error("a tool call without a name")]
    Nameless,
    /// There are [`TOOL_CALLS_MAX`] before it.
    #[error("too many tool calls")]
    TooMany,
}

/// What a provider counted; none where it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read at full price.
    pub input_fresh: Option<u64>,
    /// Read from its cache.
    pub cache_read: Option<u64>,
    /// Written to its cache.
    pub cache_write: Option<u64>,
    /// Written by the model, thoughts included.
    pub output: Option<u64>,
    /// How much of that was thought.
    pub reasoning: Option<u64>,
}

impl Counts {
    fn input(&self) -> u64 {
        let counts = [self.input_fresh, self.cache_read, self.cache_write];
        counts.into_iter().flatten().fold(0, u64::saturating_add)
    }
}

impl Draft {
    /// An empty answer of the model that `origin` names, to the call that `key` names: its prompt has at most so many tokens, and the
    /// answer so many.
    pub fn new(sink: Sink, origin: &str, key: &str, (input_tokens_max, output_tokens_max): (u64, u64)) -> Self {
        Self {
            sink,
            origin: origin.to_owned(),
            key: key.to_owned(),
            scrub: Arc::default(),
            parts: Vec::new(),
            calls: Vec::new(),
            text: ScrubPieces::default(),
            reasoning: ScrubPieces::default(),
            stop: None,
            counts: Counts::default(),
            exact: None,
            counted_bytes: None,
            input_tokens_max,
            output_tokens_max,
            bytes: 0,
            reasoning_bytes: 0,
        }
    }

    /// The same, of which this is kept out.
    pub fn scrubbed(mut self, scrub: Arc<Scrub>) -> Self {
        self.scrub = scrub;
        self
    }

    /// More text.
    pub fn text(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        self.bytes += more.len() as u64;
        self.end_reasoning();
        let more = self.text.push(&self.scrub, more).into_owned();
        self.push_text(more);
    }

    fn push_text(&mut self, more: String) {
        if more.is_empty() {
            return;
        }
        self.sink.tell(|| Delta::Text(more.clone()));
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            text.push_str(&more);
        } else {
            self.parts.push(Part::Text(more));
        }
    }

    /// More thoughts that a person can read.
    pub fn reasoning(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        self.bytes += more.len() as u64;
        self.reasoning_bytes += more.len() as u64;
        self.end_text();
        let more = self.reasoning.push(&self.scrub, more).into_owned();
        self.push_reasoning(more);
    }

    fn push_reasoning(&mut self, more: String) {
        if more.is_empty() {
            return;
        }
        self.sink.tell(|| Delta::Reasoning(more.clone()));
        self.thought().text.get_or_insert_default().push_str(&more);
    }

    /// What only the provider can read of the thought at hand.
    pub fn opaque(&mut self, more: &[u8]) {
        self.end_reasoning();
        self.thought().opaque.get_or_insert_default().extend_from_slice(more);
    }

    /// Begins a thought of its own, so that its signature does not land in the one before. One that is `shown` has a text, if only an
    /// empty one, and goes back with it.
    pub fn new_thought(&mut self, shown: bool) {
        self.end_pieces();
        let text = shown.then(String::new);
        self.parts.push(Part::Reasoning(Reasoning { text, opaque: None, origin: self.origin.clone() }));
    }

    fn thought(&mut self) -> &mut Reasoning {
        if !matches!(self.parts.last(), Some(Part::Reasoning(_))) {
            self.new_thought(false);
        }
        match self.parts.last_mut() {
            Some(Part::Reasoning(thought)) => thought,
            _ => unreachable!("a thought was pushed just now"),
        }
    }

    /// What was kept back of a part comes out before the next part begins.
    fn end_pieces(&mut self) {
        self.end_text();
        self.end_reasoning();
    }

    fn end_text(&mut self) {
        let rest = self.text.end(&self.scrub);
        self.push_text(rest);
    }

    fn end_reasoning(&mut self) {
        let rest = self.reasoning.end(&self.scrub);
        self.push_reasoning(rest);
    }

    /// The model begins to ask for a tool; gives the call's index. A call without an id of its own gets one, for its result must find it.
    ///
    /// # Errors
    /// If it is none that anybody could answer.
    pub fn call(&mut self, id: &str, name: &str) -> Result<usize, NoCall> {
        if self.calls.len() == TOOL_CALLS_MAX {
            return Err(NoCall::TooMany);
        }
        if name.is_empty() {
            return Err(NoCall::Nameless);
        }
        self.end_pieces();
        let index = self.calls.len();
        self.bytes += name.len() as u64;
        let name = self.scrub.text(name);
        let is_taken = self.parts.iter().any(|part| matches!(part, Part::ToolCall(call) if call.id == id));
        let is_usable = !is_taken && !["", "null"].contains(&id) && self.scrub.text(id) == id;
        let id = if is_usable { id.to_owned() } else { self.made_up_id(index) };
        self.calls.push(Call { place: self.parts.len(), arguments: ScrubPieces::default() });
        let (told_id, told_name) = (id.clone(), name.clone());
        self.parts.push(Part::ToolCall(ToolCall { id, name, arguments_json: String::new() }));
        self.sink.tell(|| Delta::CallStart(CallStart { index: index as u32, id: told_id, name: told_name }));
        Ok(index)
    }

    /// Unlike all others that this run may send back to the provider.
    fn made_up_id(&self, index: usize) -> String {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let digest = Sha256::digest(format!("{} {index}", self.key));
        digest
            .iter()
            .take(MADE_UP_ID_CHARS)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }

    /// More arguments of the call with this index.
    pub fn arguments(&mut self, index: usize, more: &str) {
        self.bytes += more.len() as u64;
        if let Some(call) = self.calls.get_mut(index) {
            let more = call.arguments.push(&self.scrub, more).into_owned();
            self.push_arguments(index, more);
        }
    }

    fn push_arguments(&mut self, index: usize, more: String) {
        let place = self.calls.get(index).map(|call| call.place);
        let Some(Part::ToolCall(call)) = place.and_then(|place| self.parts.get_mut(place)) else { return };
        if !more.is_empty() {
            call.arguments_json.push_str(&more);
            self.sink.tell(|| Delta::CallFragment(CallFragment { index: index as u32, arguments_json: more }));
        }
    }

    /// The call with this index as far as it came.
    pub fn call_so_far(&self, index: usize) -> Option<&ToolCall> {
        match self.parts.get(self.calls.get(index)?.place)? {
            Part::ToolCall(call) => Some(call),
            _ => None,
        }
    }

    /// Why the model stopped.
    pub fn stop(&mut self, reason: StopReason) {
        self.stop = Some(match reason {
            StopReason::Sequence(text) => StopReason::Sequence(self.scrub.text(&text)),
            StopReason::Other(word) => StopReason::Other(super::wire::shorten(&self.scrub.text(&word), 64)),
            reason => reason,
        });
    }

    /// The provider says that this was all. If it said nothing of why, and something came that is whole, the model had said all.
    pub fn done(&mut self) {
        let is_whole = self.bytes > 0 && (0..self.calls.len()).all(|index| self.is_call_done(index));
        if self.stop.is_none() && is_whole {
            self.stop = Some(StopReason::End);
        }
    }

    fn is_call_done(&self, index: usize) -> bool {
        let is_json = |text: &str| text.is_empty() || serde_json::from_str::<IgnoredAny>(text).is_ok();
        self.call_so_far(index).is_some_and(|call| is_json(&call.arguments_json))
    }

    /// What the provider counted, now or once more. What it does not say stays as it was said before; of two counts the larger one
    /// counts, so that no early or late one makes an answer cheaper than it was.
    pub fn usage(&mut self, said: Counts) {
        if said == Counts::default() {
            return;
        }
        let known = self.counts;
        let input = Counts {
            input_fresh: said.input_fresh.or(known.input_fresh),
            cache_read: said.cache_read.or(known.cache_read),
            cache_write: said.cache_write.or(known.cache_write),
            ..Counts::default()
        };
        let input = if input.input() >= known.input() { input } else { known };
        let (output, reasoning) = (said.output.max(known.output), said.reasoning.max(known.reasoning));
        self.counts = Counts { output, reasoning, ..input };
        if said.output.is_some() {
            self.counted_bytes = Some(self.bytes);
        }
    }

    /// What was counted on this host, which is true.
    pub fn exact_usage(&mut self, usage: Usage) {
        self.exact = Some(usage);
    }

    /// How many bytes came.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing came, neither words nor counts.
    pub fn is_untouched(&self) -> bool {
        self.bytes == 0 && self.counts == Counts::default() && self.exact.is_none() && self.parts.is_empty()
    }

    /// Whether the model has said why it stopped.
    pub fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether the provider has counted all that came.
    pub fn is_counted(&self) -> bool {
        self.counted_bytes == Some(self.bytes) && self.counts.input() > 0
    }

    /// The tokens to settle for. Of a whole answer the provider's word counts, if it can be true. Where it did not speak, or spoke too
    /// early, a byte counts as a token, on both sides: the measure that the hold was made with, so that cutting an answer short never
    /// makes it cheaper than it was.
    fn bill(&self) -> Usage {
        if let Some(exact) = self.exact {
            return exact;
        }
        let written = self.bytes.min(self.output_tokens_max.max(1));
        let thought = self.reasoning_bytes.min(written);
        let Counts { input_fresh, cache_read, cache_write, output, reasoning } = self.counts;
        let is_read = self.counts.input() > 0;
        let said = output.unwrap_or_default();
        let can_be = said.saturating_mul(TOKEN_MAX_BYTES) >= self.bytes;
        let is_written = self.stop.is_some() && self.counted_bytes == Some(self.bytes) && can_be;
        let output = if is_written { said } else { said.max(written) };
        let reasoning = reasoning.unwrap_or(0).max(if is_written { 0 } else { thought });
        Usage {
            input_fresh: if is_read { input_fresh.unwrap_or(0) } else { self.input_tokens_max },
            cache_read: cache_read.unwrap_or(0),
            cache_write: cache_write.unwrap_or(0),
            output,
            reasoning: reasoning.min(output),
            estimated: !(is_read && is_written),
        }
    }

    fn response(mut self, usage: &Usage, stop: StopReason) -> Response {
        self.end_pieces();
        for index in 0..self.calls.len() {
            let rest = self.calls.get_mut(index).map(|call| call.arguments.end(&self.scrub)).unwrap_or_default();
            self.push_arguments(index, rest);
        }
        let mut parts = self.parts;
        for part in &mut parts {
            match part {
                // A tool without arguments is called with none, and some providers then write nothing at all.
                Part::ToolCall(call) if call.arguments_json.is_empty() => call.arguments_json.push_str("{}"),
                Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) => {
                    *opaque = self.scrub.bytes(std::mem::take(opaque));
                }
                _ => {}
            }
        }
        let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        parts.retain(|part| !matches!(part, Part::Reasoning(Reasoning { text, opaque: None, .. }) if is_empty(text)));
        Response {
            model: String::new(),
            parts,
            stop,
            usage: usage.into(),
            cost: Cost { microusd: 0, duration_ms: 0 },
            preemptions: 0,
        }
    }

    /// The model has stopped; an answer that ends without its last word was cut.
    pub fn finish(self) -> Finished {
        let Some(stop) = self.stop.clone() else {
            return self.fail(unavailable("the model's answer was cut off", None));
        };
        // Some servers say `stop` after tool calls; what counts is that they wait for results.
        let stop = if stop == StopReason::End && !self.calls.is_empty() { StopReason::ToolCalls } else { stop };
        let usage = self.bill();
        Finished { result: Ok(self.response(&usage, stop)), usage, note: None, asked: 1 }
    }

    /// It broke; what had come by then goes along. The provider had begun to work, so the prompt is paid.
    pub fn fail(mut self, why: Error) -> Finished {
        self.stop = None;
        let usage = self.bill();
        let partial = (!self.is_untouched()).then(|| self.response(&usage, StopReason::Cancelled));
        Finished { result: Err(Failure { why, partial }), usage, note: None, asked: 1 }
    }
}

/// Not to be had now.
pub fn unavailable(reason: &str, retry_after_ms: Option<u64>) -> Error {
    Error::Unavailable(Unavailability { reason: reason.to_owned(), retry_after_ms })
}
