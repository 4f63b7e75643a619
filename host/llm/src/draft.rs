//! An answer while it is being written: pieces go in, the whole comes out, even when it breaks off. It reads no wire format.

use agentry_abi::bindings::agentry::agent::llm::{
    CallFragment, CallStart, Delta, Failure, Part, Reasoning, Response, StopReason, ToolCall,
};
use agentry_abi::bindings::agentry::agent::types::{Cost, Error, Unavailability};
use agentry_kernel::model::Usage;

use super::{Finished, Sink, TOOL_CALLS_MAX};

/// An answer so far.
pub struct Draft {
    sink: Sink,
    origin: String,
    parts: Vec<Part>,
    /// Place in `parts` of each call, by its index.
    calls: Vec<usize>,
    stop: Option<StopReason>,
    said: Option<Usage>,
    input_tokens_max: u64,
    output_tokens_max: u64,
    bytes: u64,
    reasoning_bytes: u64,
}

impl Draft {
    /// An empty answer of the model that `origin` names, to a prompt of at most so many tokens.
    pub fn new(sink: Sink, origin: &str, input_tokens_max: u64, output_tokens_max: u64) -> Self {
        Self {
            sink,
            origin: origin.to_owned(),
            parts: Vec::new(),
            calls: Vec::new(),
            stop: None,
            said: None,
            input_tokens_max,
            output_tokens_max,
            bytes: 0,
            reasoning_bytes: 0,
        }
    }

    /// More text.
    pub fn text(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        self.bytes += more.len() as u64;
        self.sink.tell(|| Delta::Text(more.to_owned()));
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            text.push_str(more);
        } else {
            self.parts.push(Part::Text(more.to_owned()));
        }
    }

    /// More thoughts that a person can read.
    pub fn reasoning(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        self.bytes += more.len() as u64;
        self.reasoning_bytes += more.len() as u64;
        self.sink.tell(|| Delta::Reasoning(more.to_owned()));
        self.thought().text.get_or_insert_default().push_str(more);
    }

    /// What only the provider can read of the thought at hand.
    pub fn opaque(&mut self, more: &[u8]) {
        self.thought().opaque.get_or_insert_default().extend_from_slice(more);
    }

    /// Begins a thought of its own, so that its signature does not land in the one before.
    pub(super) fn new_thought(&mut self) {
        self.parts.push(Part::Reasoning(Reasoning { text: None, opaque: None, origin: self.origin.clone() }));
    }

    fn thought(&mut self) -> &mut Reasoning {
        if !matches!(self.parts.last(), Some(Part::Reasoning(_))) {
            self.new_thought();
        }
        match self.parts.last_mut() {
            Some(Part::Reasoning(thought)) => thought,
            _ => unreachable!("a thought was pushed just now"),
        }
    }

    /// The model begins to ask for a tool; gives the call's index, or none if there are too many.
    pub fn call(&mut self, id: &str, name: &str) -> Option<usize> {
        if self.calls.len() == TOOL_CALLS_MAX {
            return None;
        }
        let index = self.calls.len();
        self.bytes += name.len() as u64;
        self.calls.push(self.parts.len());
        self.parts.push(Part::ToolCall(ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments_json: String::new(),
        }));
        self.sink
            .tell(|| Delta::CallStart(CallStart { index: index as u32, id: id.to_owned(), name: name.to_owned() }));
        Some(index)
    }

    /// More arguments of the call with this index.
    pub fn arguments(&mut self, index: usize, more: &str) {
        let Some(Part::ToolCall(call)) = self.calls.get(index).and_then(|place| self.parts.get_mut(*place)) else {
            return;
        };
        if more.is_empty() {
            return;
        }
        self.bytes += more.len() as u64;
        call.arguments_json.push_str(more);
        self.sink.tell(|| Delta::CallFragment(CallFragment { index: index as u32, arguments_json: more.to_owned() }));
    }

    /// Why the model stopped.
    pub fn stop(&mut self, reason: StopReason) {
        self.stop = Some(reason);
    }

    /// What the provider counted. `estimated` marks a count that may still grow.
    pub fn usage(&mut self, said: Usage) {
        self.said = Some(said);
    }

    /// What the provider counted so far.
    pub fn said(&self) -> Usage {
        self.said.unwrap_or_default()
    }

    /// The tokens to settle for. A provider's last word counts. Where it did not speak, a byte counts as a token, on both
    /// sides: the measure that the hold was made with, so that cutting an answer short never makes it cheaper than it was.
    fn bill(&self) -> Usage {
        let written = self.bytes.min(self.output_tokens_max.max(1));
        let thought = self.reasoning_bytes.min(written);
        match self.said {
            Some(said) if !said.estimated => said,
            Some(said) => Usage { output: said.output.max(written), reasoning: said.reasoning.max(thought), ..said },
            None => Usage {
                input_fresh: self.input_tokens_max,
                output: written,
                reasoning: thought,
                estimated: true,
                ..Usage::default()
            },
        }
    }

    fn response(self, usage: &Usage, stop: StopReason) -> Response {
        let mut parts = self.parts;
        for part in &mut parts {
            // A tool without arguments is called with none, and some providers then write nothing at all.
            if let Part::ToolCall(call) = part
                && call.arguments_json.is_empty()
            {
                call.arguments_json.push_str("{}");
            }
        }
        parts.retain(|part| !matches!(part, Part::Reasoning(Reasoning { text: None, opaque: None, .. })));
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
    pub fn finish(mut self) -> Finished {
        let Some(stop) = self.stop.take() else {
            return self.fail(unavailable("the model's answer was cut off", None));
        };
        // Some servers say `stop` after tool calls; what counts is that they wait for results.
        let stop = if stop == StopReason::End && !self.calls.is_empty() { StopReason::ToolCalls } else { stop };
        let usage = self.bill();
        Finished { result: Ok(self.response(&usage, stop)), usage, note: None }
    }

    /// It broke; what had come by then goes along. The provider had begun to work, so the prompt is paid.
    pub fn fail(self, why: Error) -> Finished {
        let usage = self.bill();
        let partial = (self.bytes > 0 || self.said.is_some()).then(|| self.response(&usage, StopReason::Cancelled));
        Finished { result: Err(Failure { why, partial }), usage, note: None }
    }
}

/// Not to be had now.
pub fn unavailable(reason: &str, retry_after_ms: Option<u64>) -> Error {
    Error::Unavailable(Unavailability { reason: reason.to_owned(), retry_after_ms })
}
