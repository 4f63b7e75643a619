//! Pieces of an answer between a model that speaks and a guest that listens. A slow guest gets larger pieces, not more of them; all
//! pieces together are no larger than an answer may be.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use crate::limits::LLM_DELTAS_WAITING_MAX;
use crate::syscalls::bindings::agentry::agent::llm::Delta;

/// The guest's end.
pub(in crate::syscalls) struct Pieces(Arc<Mutex<Queue>>);

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
        (Spout(Arc::clone(&queue)), Self(queue))
    }

    /// A stream that has ended.
    pub(in crate::syscalls) fn none() -> Self {
        Self(Arc::new(Mutex::new(Queue { ended: true, ..Queue::default() })))
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
        let mut queue = self.0.lock();
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
        let mut queue = self.0.lock();
        if !queue.waiting.is_empty() {
            let waiting: Vec<Delta> = std::mem::take(&mut queue.waiting).into();
            destination.set_buffer(waiting.into());
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if queue.ended {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        if finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        queue.guest = Some(cx.waker().clone());
        Poll::Pending
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
        let queue = pieces.0.lock();
        assert_eq!(queue.waiting.len(), LLM_DELTAS_WAITING_MAX);
        let bytes: usize = queue.waiting.iter().map(|d| if let Delta::Text(text) = d { text.len() } else { 0 }).sum();
        assert_eq!(bytes, 10_000);
    }

    #[test]
    fn a_dropped_stream_keeps_nothing_and_the_model_goes_on() {
        let (spout, pieces) = Pieces::new();
        spout.push(Delta::Text("x".to_owned()));
        let queue = Arc::clone(&pieces.0);
        drop(pieces);
        spout.push(Delta::Text("y".to_owned()));
        assert!(queue.lock().waiting.is_empty());
    }
}
