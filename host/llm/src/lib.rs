//! Models behind one trait: a provider spends a permit on one answer. It never decides, and never shows a guest a key or an address.

mod adapt;
mod amazon;
mod anthropic;
#[cfg(test)]
mod asked;
mod bedrock;
pub(crate) mod capabilities;
#[cfg(test)]
mod cases;
pub mod config;
mod connect;
pub mod count;
#[cfg(test)]
mod dialects;
pub mod draft;
mod embeddings;
#[cfg(test)]
mod fixtures;
mod form;
mod frames;
mod gemini;
mod history;
mod http;
#[cfg(test)]
mod kept;
mod learned;
mod loose;
mod media;
pub mod models;
pub mod nearby;
mod ollama;
mod openai;
pub mod prices;
pub mod probe;
pub mod reading;
mod remote;
mod responses;
mod retry;
mod rewrite;
pub mod scripted;
pub mod silent;
pub mod sse;
mod target;
mod trouble;
mod wire;

// The properties that fuzzers try name this crate as they see it.
#[cfg(test)]
extern crate self as agentry_llm;

use std::fmt;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::llm::{Delta, Failure, Request, Response};
use agentry_abi::bindings::agentry::agent::types;
use agentry_kernel::Permit;
use agentry_kernel::model::Usage;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use models::{Entry, Models};

/// Something that answers as a model.
pub trait Provider: Send + Sync {
    /// An upper bound of the tokens that this prompt takes; never too small, so that what is held for it is enough.
    fn input_tokens_max(&self, request: &Request) -> u64;

    /// Asks, tells `sink` each piece as it comes, and gives the whole answer with what it cost.
    ///
    /// The answer is at most `permit.output_tokens_max()` long. It ends soon after `cancelled`, with what came until then;
    /// dropping the future ends it as well. It waits without end for nothing: a silent server is given up.
    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Finished>;

    /// Asks for one vector a text. A model that makes none says so, and nobody is asked.
    fn embed<'a>(
        &'a self,
        _permit: &'a Permit,
        _texts: Vec<String>,
        _cancelled: CancellationToken,
    ) -> BoxFuture<'a, Embedded> {
        std::future::ready(Embedded::none()).boxed()
    }
}

/// What came of a question for vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// For the guest: one a text, in their order, all of one length.
    pub result: Result<Vec<Vec<f32>>, types::Error>,
    /// What it took.
    pub usage: Usage,
    /// For the admin alone: what the provider said, cut; never a key.
    pub note: Option<String>,
}

impl Embedded {
    /// Of a model that makes no vectors.
    fn none() -> Self {
        let why = draft::unavailable("this model makes no vectors", None);
        Self { result: Err(why), usage: Usage::default(), note: None }
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// For the guest.
    pub result: Result<Response, Failure>,
    /// What it took, whether it ended well or not.
    pub usage: Usage,
    /// For the admin alone: what the provider said, cut; never a key.
    pub note: Option<String>,
    /// How often it was asked for.
    pub asked: u64,
}

impl Finished {
    /// A call that ended before a model was reached: it cost nothing.
    pub fn unasked(why: types::Error) -> Self {
        Self { result: Err(Failure { why, partial: None }), usage: Usage::default(), note: None, asked: 1 }
    }

    /// The same, asked for so often; the admin is told if it was more than once.
    #[must_use]
    pub(crate) fn asked(mut self, times: u64) -> Self {
        self.asked = times;
        if times > 1 {
            let note = self.note.take().map_or_else(String::new, |note| format!(": {note}"));
            self.note = Some(format!("asked {times} times{note}"));
        }
        self
    }

    /// The same, with words for the admin.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// Where the pieces of an answer go while it is written. Telling it never waits.
#[derive(Clone, Default)]
pub struct Sink(Option<Arc<Hear>>);

type Hear = dyn Fn(&Delta) + Send + Sync;

impl Sink {
    /// Nobody listens.
    pub const NONE: Self = Self(None);

    /// Calls `hear` with each piece, in order. It must return at once; all pieces of an answer together are no larger
    /// than [`ANSWER_MAX_BYTES`].
    pub fn new(hear: impl Fn(&Delta) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Tells one piece; it is not even made if nobody listens.
    pub fn tell(&self, delta: impl FnOnce() -> Delta) {
        if let Some(hear) = &self.0 {
            hear(&delta());
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Sink(heard)" } else { "Sink(none)" })
    }
}

/// All bytes that one answer may have as it comes from a provider: several times the longest that any model gives.
pub const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Calls of tools in one answer; a model that asks for more is not in its senses.
pub const TOOL_CALLS_MAX: usize = 256;

#[cfg(test)]
mod tests;
