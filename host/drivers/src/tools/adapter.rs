//! The seam behind which tools are reached: a way to a tool is an adapter, one a file. It does what a permit says, and never decides who may
//! call what.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::llm::{MediaSource, ResultPart};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::unavailable;
use agentry_kernel::Permit;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::answer::{self, Said};
use super::config::ToolLine;

/// A way to one tool.
pub trait Adapter: Send + Sync {
    /// For the admin: its kind in one word, and where it leads.
    fn reach(&self) -> (&'static str, String);

    /// For the admin: why the tool cannot be called as things stand.
    fn trouble(&self, _tool: &ToolLine) -> Option<String> {
        None
    }

    /// Bytes that leave this machine with each call, beside its arguments; none if nothing leaves it.
    fn sends_bytes(&self) -> Option<u64> {
        None
    }

    /// Makes one call. The arguments are what the kernel decided on, and fit the tool's schema. It ends within the tool's timeout, soon after
    /// `cut` is cancelled, and whenever its future is dropped.
    fn call<'a>(
        &'a self,
        tool: &'a ToolLine,
        permit: &'a Permit,
        arguments: &'a Value,
        cut: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>>;
}

/// What the registry says of the way to a tool, before a host is there to go it.
pub trait Reach: Any + Debug + Send + Sync {
    /// The adapter of a host.
    fn adapter(self: Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Adapter>;
}

/// Why a tool said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The arguments do not fit how it is called; the agent reads why.
    Unfit(String),
    /// There is no room for it now.
    Busy,
    /// Nobody wants the answer any more.
    Cancelled,
    /// Its time is over.
    TimedOut,
    /// It did not begin; the admin reads why.
    NotBegun(String),
    /// A secret that it needs is not to be had; the admin reads why.
    Withheld(String),
    /// The other side gave no answer.
    Unanswered {
        /// For the admin.
        why: String,
        /// What left this machine all the same.
        egress_bytes: u64,
    },
}

impl Wrong {
    /// What nobody did costs nothing.
    pub(super) fn spent(&self, price: Amounts) -> Amounts {
        match self {
            Self::Unfit(_) | Self::Busy | Self::NotBegun(_) | Self::Withheld(_) => Amounts::ZERO,
            Self::Unanswered { egress_bytes: 0, .. } => Amounts::ZERO,
            Self::Unanswered { egress_bytes, .. } => price.with(Resource::Egress, *egress_bytes),
            Self::Cancelled | Self::TimedOut => price,
        }
    }

    /// For the admin.
    pub(super) fn note(&self, tool: &ToolLine) -> Option<String> {
        match self {
            Self::NotBegun(why) | Self::Withheld(why) | Self::Unanswered { why, .. } => Some(why.clone()),
            Self::TimedOut => {
                let (name, ms) = (&tool.name, tool.timeout.as_millis());
                let hint = format!("raise `timeout_ms` of [tools.{name:?}] in tools.toml, if it needs more");
                Some(format!("`{name}` was not done within its {ms} ms\nhint: {hint}"))
            }
            Self::Unfit(_) | Self::Busy | Self::Cancelled => None,
        }
    }

    /// For the agent.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Unfit(why) => Error::Invalid(why),
            Self::Busy => unavailable("too many tools are at work", Some(1000)),
            Self::Cancelled => Error::Cancelled,
            Self::TimedOut => Error::TimedOut,
            Self::NotBegun(_) | Self::Withheld(_) => unavailable("the tool is not set up rightly on this host", None),
            Self::Unanswered { .. } => unavailable("the tool does not answer", None),
        }
    }
}

/// An adapter that another program brings. It is held to what the registry's own hold themselves to: its time, a cut, the length of its answer.
pub(super) struct Bounded(pub(super) Arc<dyn Adapter>);

impl Adapter for Bounded {
    fn reach(&self) -> (&'static str, String) {
        self.0.reach()
    }

    fn trouble(&self, tool: &ToolLine) -> Option<String> {
        self.0.trouble(tool)
    }

    fn sends_bytes(&self) -> Option<u64> {
        self.0.sends_bytes()
    }

    fn call<'a>(
        &'a self,
        tool: &'a ToolLine,
        permit: &'a Permit,
        arguments: &'a Value,
        cut: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        async move {
            // Only here: a timer belongs to the executor that polls this.
            let called = tokio::time::timeout(tool.timeout, self.0.call(tool, permit, arguments, cut));
            let said = tokio::select! {
                biased;
                () = cut.cancelled() => return Err(Wrong::Cancelled),
                called = called => called.map_err(|_| Wrong::TimedOut)??,
            };
            let bytes = said.parts.iter().map(size).fold(0, usize::saturating_add);
            if bytes <= tool.output_max_bytes {
                return Ok(said);
            }
            let why = answer::text(format!("it said more than {} bytes", tool.output_max_bytes));
            Ok(Said { failed: true, parts: vec![why], egress_bytes: said.egress_bytes })
        }
        .boxed()
    }
}

fn size(part: &ResultPart) -> usize {
    match part {
        ResultPart::Text(text) | ResultPart::Json(text) => text.len(),
        ResultPart::Media(media) => media.mime.len().saturating_add(match &media.source {
            MediaSource::Bytes(bytes) => bytes.len(),
            MediaSource::Url(url) => url.len(),
        }),
    }
}

#[cfg(test)]
mod tests;
