//! OpenAI's chat completions, and the servers that speak them too: Ollama, vLLM, llama.cpp. It knows their words and decides nothing.
//!
//! Source: OpenAI API reference, "Chat Completions"; `reasoning_content` as llama.cpp and vLLM have it.

mod answer;
mod request;

use agentry_abi::bindings::agentry::agent::llm::Request;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_kernel::Permit;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use super::draft::Draft;
use super::http::{Endpoint, Events, Trouble};
use super::{Finished, Provider, Sink, count};

/// A model behind chat completions.
pub(crate) struct OpenAi {
    pub(super) endpoint: Endpoint,
    /// The provider's name of the model.
    pub(super) model: String,
    /// What its thoughts are marked with.
    pub(super) origin: String,
    pub(super) dialect: Dialect,
}

/// Whose chat completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI itself.
    OpenAi,
    /// A server that follows it.
    Compatible,
}

impl OpenAi {
    async fn answer(&self, permit: &Permit, request: Request, sink: Sink, cut: CancellationToken) -> Finished {
        let output_tokens_max = permit.output_tokens_max();
        let mut draft = Draft::new(sink, &self.origin, self.input_tokens_max(&request), output_tokens_max);
        let body = match request::body(self, &request, output_tokens_max) {
            Ok(body) => body,
            Err(why) => return Finished::unasked(Error::Invalid(why)),
        };
        drop(request);
        let mut events = match self.endpoint.post(&permit.key(), body, &cut).await {
            Ok(events) => events,
            Err(trouble) => return self.endpoint.unanswered(trouble, draft),
        };
        match read(&mut events, &mut draft, &cut).await {
            Ok(()) => {
                events.done().await;
                draft.finish()
            }
            Err(trouble) => self.endpoint.broken(trouble, draft),
        }
    }
}

/// Reads to the last word. A stream that ends without one was cut, which the draft knows.
async fn read(events: &mut Events, draft: &mut Draft, cut: &CancellationToken) -> Result<(), Trouble> {
    let mut answer = Answer::default();
    while let Some(data) = events.next(cut).await? {
        if data == "[DONE]" {
            break;
        }
        answer.take(&data, draft)?;
    }
    Ok(())
}

impl Provider for OpenAi {
    fn input_tokens_max(&self, request: &Request) -> u64 {
        count::input_tokens_max(request)
    }

    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Finished> {
        self.answer(permit, request, sink, cancelled).boxed()
    }
}
