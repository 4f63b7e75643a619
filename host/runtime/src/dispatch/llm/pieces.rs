//! Pieces of an answer between a model that speaks and a guest that listens. A slow guest gets larger pieces, not more of them; all
//! pieces together are no larger than an answer may be.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use agentry_abi::bindings::agentry::agent::llm::Delta;
use agentry_kernel::call::CallId;
use agentry_store::limits::LLM_DELTAS_WAITING_MAX;
use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use crate::gate::Gate;
use crate::run::context::RunContext;
use crate::run::delivery::Delivery;
use crate::run::recording::Recording;

/// The guest's end.
pub(in crate::syscalls) struct Pieces {
    queue: Arc<Mutex<Queue>>,
    /// None of a stream that ended before it began.
    ear: Option<Ear>,
}

/// Through which a guest hears: what it heard is written down, in its place among all that it saw.
pub(super) struct Ear {
    pub(super) gate: Gate,
    pub(super) run: Arc<RunContext>,
    pub(super) call: CallId,
}

/// The model's end; the stream ends when it is dropped.
pub(super) struct Spout(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Delta>,
    /// The model has ended.
    ended: bool,
    /// The guest has dropped the stream, but not the call.
    unheard: bool,
    guest: Option<Waker>,
}

impl Pieces {
    pub(super) fn new() -> (Spout, Self) {
        let queue = Arc::<Mutex<Queue>>::default();
        (Spout(Arc::clone(&queue)), Self { queue, ear: None })
    }

    /// The same, for the guest of a call.
    pub(super) fn heard_by(mut self, ear: Option<Ear>) -> Self {
        self.ear = ear;
        self
    }

    /// The same, with what waits to be heard.
    pub(super) fn with(self, deltas: Vec<Delta>) -> Self {
        let mut queue = self.queue.lock();
        deltas.into_iter().for_each(|delta| queue.take(delta));
        drop(queue);
        self
    }

    /// A stream that has ended.
    pub(in crate::syscalls) fn none() -> Self {
        Self { queue: Arc::new(Mutex::new(Queue { ended: true, ..Queue::default() })), ear: None }
    }

    /// True when there is something to hear: pieces, or that there are no more.
    fn poll_queue(&self, context: &Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        if queue.ended || !queue.waiting.is_empty() {
            return Poll::Ready(());
        }
        queue.guest = Some(context.waker().clone());
        Poll::Pending
    }

    /// What the guest hears next; nothing at the end.
    fn poll_heard(&self, ear: &Ear, context: &Context<'_>) -> Poll<wasmtime::Result<Vec<Delta>>> {
        let past = ear.run.recording().filter(|past| past.still_hears(ear.call));
        if past.is_none() {
            ready!(self.poll_queue(context));
        }
        ready!(ear.run.deliveries.poll(ear.delivery(), context));
        if let Some(past) = past {
            return Poll::Ready(heard_before(past));
        }
        let waiting: Vec<Delta> = std::mem::take(&mut self.queue.lock().waiting).into();
        let pieces = if waiting.is_empty() { Ok(Vec::new()) } else { postcard::to_allocvec(&waiting) };
        ear.gate.stream_progress(&ear.run, ear.call, pieces?);
        Poll::Ready(Ok(waiting))
    }
}

fn heard_before(past: &Recording) -> wasmtime::Result<Vec<Delta>> {
    let pieces = past.pieces();
    if pieces.is_empty() { Ok(Vec::new()) } else { Ok(postcard::from_bytes(&pieces)?) }
}

impl Ear {
    fn delivery(&self) -> Delivery {
        Delivery::Pieces(self.call)
    }
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

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(ear) = &self.ear {
            ear.run.deliveries.leave(ear.delivery());
        }
        let mut queue = self.queue.lock();
        queue.unheard = true;
        queue.waiting = VecDeque::new();
    }
}

impl Queue {
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

impl<D> StreamProducer<D> for Pieces {
    type Item = Delta;
    type Buffer = VecBuffer<Delta>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Delta, VecBuffer<Delta>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let Some(ear) = &self.ear else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        match self.poll_heard(ear, cx)? {
            Poll::Ready(pieces) if pieces.is_empty() => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(pieces) => {
                destination.set_buffer(pieces.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending if finish => {
                ear.run.deliveries.leave(ear.delivery());
                Poll::Ready(Ok(StreamResult::Cancelled))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_guest_gets_larger_pieces() {
        let (spout, pieces) = Pieces::new();
        for _ in 0..10_000 {
            spout.push(Delta::Text("x".to_owned()));
        }
        let queue = pieces.queue.lock();
        assert_eq!(queue.waiting.len(), LLM_DELTAS_WAITING_MAX);
        let bytes: usize = queue.waiting.iter().map(|d| if let Delta::Text(text) = d { text.len() } else { 0 }).sum();
        assert_eq!(bytes, 10_000);
    }

    #[test]
    fn a_dropped_stream_keeps_nothing_and_the_model_goes_on() {
        let (spout, pieces) = Pieces::new();
        spout.push(Delta::Text("x".to_owned()));
        let queue = Arc::clone(&pieces.queue);
        drop(pieces);
        spout.push(Delta::Text("y".to_owned()));
        assert!(queue.lock().waiting.is_empty());
    }
}
