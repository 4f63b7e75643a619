//! A streamed answer whose run was cut while it was written or heard: what the guest hears of it when the run goes on.

use agentry_abi::bindings::agentry::agent::llm::{
    CallFragment, CallStart, Delta, Failure, Part, Response, StopReason, Usage,
};
use agentry_abi::bindings::agentry::agent::types::{Cost, Error};
use agentry_kernel::call::CallId;

use crate::gate::decode;
use crate::run::context::RunContext;

/// What is left to hear of an answer that had come as a whole. Which pieces were on their way nobody knows, so a guest that had heard
/// some is told to begin again.
pub(super) fn rest(run: &RunContext, call: CallId) -> Vec<Delta> {
    let Some(past) = run.recording() else { return Vec::new() };
    let Some((outcome, some)) = past.unheard(call) else { return Vec::new() };
    let Ok(Ok(response)) = decode::<Response, Failure>(past, outcome) else { return Vec::new() };
    let again = some.then_some(Delta::Restarted);
    again.into_iter().chain((0..).zip(&response.parts).flat_map(|(index, part)| deltas(index, part))).collect()
}

/// Where the host stopped in the middle of an answer, the guest gets what it had heard by then.
pub(super) fn add_what_was_heard(run: &RunContext, call: Option<CallId>, answer: &mut Result<Response, Failure>) {
    if let Err(failure @ Failure { why: Error::Interrupted(_), partial: None }) = answer {
        failure.partial = call.and_then(|call| heard(run, call));
    }
}

fn heard(run: &RunContext, call: CallId) -> Option<Response> {
    let past = run.recording()?;
    let mut text = String::new();
    for delta in past.heard(call).filter_map(|pieces| postcard::from_bytes::<Vec<Delta>>(pieces).ok()).flatten() {
        match delta {
            Delta::Text(more) => text.push_str(&more),
            Delta::Restarted => text.clear(),
            // Half a call of a tool is of no use to anybody.
            Delta::Reasoning(_) | Delta::CallStart(_) | Delta::CallFragment(_) => {}
        }
    }
    let usage = Usage { input_fresh: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, estimated: true };
    let cost = Cost { microusd: 0, duration_ms: 0 };
    let (model, parts, stop) = (String::new(), vec![Part::Text(text)], StopReason::Cancelled);
    past.heard(call).next().map(|_| Response { model, parts, stop, usage, cost, preemptions: 0 })
}

fn deltas(index: u32, part: &Part) -> Vec<Delta> {
    match part {
        Part::Text(text) => vec![Delta::Text(text.clone())],
        Part::Reasoning(thought) => thought.text.iter().map(|text| Delta::Reasoning(text.clone())).collect(),
        Part::ToolCall(call) => vec![
            Delta::CallStart(CallStart { index, id: call.id.clone(), name: call.name.clone() }),
            Delta::CallFragment(CallFragment { index, arguments_json: call.arguments_json.clone() }),
        ],
        // A model does not answer with these piece by piece.
        Part::Media(_) | Part::ToolResult(_) => Vec::new(),
    }
}
