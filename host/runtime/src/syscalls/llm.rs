//! `llm`: questions to models. It measures nothing and chooses nothing; it hands the pieces of an answer to the guest while it is written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use agentry_abi::bindings::agentry::agent::llm::{Delta, Failure, Host, HostWithStore, ModelInfo, Request, Response};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{Delivery, LlmComplete, LlmCountTokens, LlmEmbed, LlmModels, LlmStream};
use agentry_kernel::call::CallId;
use wasmtime::StoreContextMut;
use wasmtime::component::{Access, Destination, FutureReader, StreamProducer, StreamReader, StreamResult, VecBuffer};

use super::{Interfaces, State, future, later};
use crate::guest::Guest;

impl Host for State {
    fn models(&mut self) -> wasmtime::Result<Result<Vec<ModelInfo>, Error>> {
        self.at_once(LlmModels {})
    }

    fn count_tokens(&mut self, request: Request) -> wasmtime::Result<Result<u64, Error>> {
        self.at_once(LlmCountTokens { request })
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn complete(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Failure>>> {
        let answer = later(&mut store, LlmComplete { request });
        future(store, answer)
    }

    fn stream(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<(StreamReader<Delta>, FutureReader<Result<Response, Failure>>)> {
        let guest = Arc::clone(&store.get().guest);
        let passed = guest.pass(LlmStream { request });
        let answer = guest.answer::<LlmStream>(passed.answer);
        let pieces = Pieces(passed.pieces.map(|call| Ear { guest, call }));
        Ok((StreamReader::new(&mut store, pieces)?, future(store, answer)?))
    }

    fn embed(
        mut store: Access<'_, T, Self>,
        model: String,
        texts: Vec<String>,
    ) -> wasmtime::Result<FutureReader<Result<Vec<Vec<f32>>, Error>>> {
        let vectors = later(&mut store, LlmEmbed { model, texts });
        future(store, vectors)
    }
}

/// The guest's end of a streamed answer; none of a stream that ended before it began.
pub(super) struct Pieces(Option<Ear>);

/// Through which a guest hears, in its place among all that it sees.
struct Ear {
    guest: Arc<Guest>,
    call: CallId,
}

impl Pieces {
    /// A stream that has ended.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

impl Ear {
    fn delivery(&self) -> Delivery {
        Delivery::Pieces(self.call)
    }

    /// What the guest hears next; nothing at the end.
    fn poll(&self, context: &mut Context<'_>) -> Poll<wasmtime::Result<Vec<Delta>>> {
        ready!(self.guest.port.poll_pieces(self.call, context));
        ready!(self.guest.deliveries.poll(self.delivery(), context));
        Poll::Ready(self.guest.port.hear(self.call).map_err(wasmtime::Error::msg))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.guest.deliveries.leave(self.delivery());
        self.guest.port.unheard(self.call);
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
        let Some(ear) = &self.0 else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        match ear.poll(cx)? {
            Poll::Ready(pieces) if pieces.is_empty() => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(pieces) => {
                destination.set_buffer(pieces.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending if finish => {
                ear.guest.deliveries.leave(ear.delivery());
                Poll::Ready(Ok(StreamResult::Cancelled))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
