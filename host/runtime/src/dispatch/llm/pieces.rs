//! Pieces of an answer between a model that speaks and a guest that listens. A slow guest gets larger pieces, not more of them; all
//! pieces together are no larger than an answer may be. What it is given is written down as heard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use agentry_abi::bindings::agentry::agent::llm::Delta;
use agentry_kernel::call::CallId;
use agentry_store::limits::LLM_DELTAS_WAITING_MAX;
use parking_lot::Mutex;

use crate::gate::Gate;
use crate::run::context::RunContext;
use crate::run::recording::Recording;

/// What waits to be heard of one call.
pub(in crate::dispatch) struct Pieces {
    call: CallId,
    queue: Arc<Mutex<PieceQueue>>,
}

/// The model's end; the stream ends when it is dropped.
pub(super) struct Spout(Arc<Mutex<PieceQueue>>);

/// Pieces between both.
#[derive(Default)]
pub(super) struct PieceQueue {
    waiting: VecDeque<Delta>,
    /// The model has ended.
    ended: bool,
    /// The guest has dropped the stream, but not the call.
    unheard: bool,
    guest: Option<Waker>,
}

/// The model's end of a stream, and what comes out of it.
pub(super) fn queue() -> (Spout, Arc<Mutex<PieceQueue>>) {
    let queue = Arc::<Mutex<PieceQueue>>::default();
    (Spout(Arc::clone(&queue)), queue)
}

impl Pieces {
    /// For the guest of this call.
    pub(super) fn new(call: CallId, queue: Arc<Mutex<PieceQueue>>) -> Self {
        Self { call, queue }
    }

    /// The same, with what waits to be heard.
    pub(super) fn with(self, deltas: Vec<Delta>) -> Self {
        let mut queue = self.queue.lock();
        deltas.into_iter().for_each(|delta| queue.take(delta));
        drop(queue);
        self
    }

    /// Ready when there is something to hear: pieces, or that there are no more. What was heard before is always there.
    pub(in crate::dispatch) fn poll(&self, run: &RunContext, context: &Context<'_>) -> Poll<()> {
        if self.past(run).is_some() {
            return Poll::Ready(());
        }
        let mut queue = self.queue.lock();
        if queue.ended || !queue.waiting.is_empty() {
            return Poll::Ready(());
        }
        queue.guest = Some(context.waker().clone());
        Poll::Pending
    }

    /// What the guest hears now; nothing at the end.
    ///
    /// # Errors
    /// If what it heard before is not what it should be.
    pub(in crate::dispatch) fn hear(&self, gate: &Gate, run: &RunContext) -> Result<Vec<Delta>, String> {
        if let Some(past) = self.past(run) {
            return heard_before(past).map_err(|error| error.to_string());
        }
        let waiting: Vec<Delta> = std::mem::take(&mut self.queue.lock().waiting).into();
        let pieces = if waiting.is_empty() { Ok(Vec::new()) } else { postcard::to_allocvec(&waiting) };
        gate.stream_progress(run, self.call, pieces.map_err(|error| error.to_string())?);
        Ok(waiting)
    }

    /// The guest hears no more of it.
    pub(in crate::dispatch) fn unheard(&self) {
        let mut queue = self.queue.lock();
        queue.unheard = true;
        queue.waiting = VecDeque::new();
    }

    fn past<'r>(&self, run: &'r RunContext) -> Option<&'r Arc<Recording>> {
        run.recording().filter(|past| past.still_hears(self.call))
    }
}

fn heard_before(past: &Recording) -> Result<Vec<Delta>, postcard::Error> {
    let pieces = past.pieces();
    if pieces.is_empty() { Ok(Vec::new()) } else { postcard::from_bytes(&pieces) }
}

impl Spout {
    pub(super) fn push(&self, delta: Delta) {
        let mut queue = self.0.lock();
        if queue.unheard {
            return;
        }
        queue.take(delta);
        let guest = queue.guest.take();
        drop(queue);
        if let Some(guest) = guest {
            guest.wake();
        }
    }
}

impl Drop for Spout {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.ended = true;
        let guest = queue.guest.take();
        drop(queue);
        if let Some(guest) = guest {
            guest.wake();
        }
    }
}

impl PieceQueue {
    fn take(&mut self, delta: Delta) {
        if self.waiting.len() >= LLM_DELTAS_WAITING_MAX {
            match (self.waiting.back_mut(), &delta) {
                (Some(Delta::Text(last)), Delta::Text(more))
                | (Some(Delta::Reasoning(last)), Delta::Reasoning(more)) => {
                    last.push_str(more);
                    return;
                }
                (Some(Delta::CallFragment(last)), Delta::CallFragment(more)) if last.index == more.index => {
                    last.arguments_json.push_str(&more.arguments_json);
                    return;
                }
                _ => {}
            }
        }
        self.waiting.push_back(delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_guest_gets_larger_pieces() {
        let (spout, queue) = queue();
        for _ in 0..10_000 {
            spout.push(Delta::Text("x".to_owned()));
        }
        let queue = queue.lock();
        assert_eq!(queue.waiting.len(), LLM_DELTAS_WAITING_MAX);
        let bytes: usize = queue.waiting.iter().map(|d| if let Delta::Text(text) = d { text.len() } else { 0 }).sum();
        assert_eq!(bytes, 10_000);
    }

    #[test]
    fn a_dropped_stream_keeps_nothing_and_the_model_goes_on() {
        let (spout, queue) = queue();
        let pieces = Pieces::new(CallId(1), Arc::clone(&queue));
        spout.push(Delta::Text("x".to_owned()));
        pieces.unheard();
        spout.push(Delta::Text("y".to_owned()));
        assert!(queue.lock().waiting.is_empty());
    }
}
