//! How a no and a breakdown reach the guest: the kernel's refusal, and what happens to an act, as errors of `wit/`.
//!
//! A guest never learns the rule, the file or a path of the host; those stand in the run's trace.

use agentry_kernel::budget::Resource;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::Outcome;
use agentry_kernel::refusal::{Code, Refusal};
use agentry_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::agentry::agent::llm::Failure;
use crate::bindings::agentry::agent::types::{Denial, Error, Exhaustion, ResourceKind, Unavailability};

/// How a syscall can fail: `types.error`, or something that holds one.
pub trait Fault: From<Error> + Serialize + DeserializeOwned + Send + 'static {
    /// The error itself.
    fn error(&self) -> &Error;

    /// True if there is more to it than the error's case and text.
    fn has_more(&self) -> bool {
        matches!(self.error(), Error::Denied(_) | Error::Exhausted(_) | Error::Unavailable(_))
    }
}

impl Fault for Error {
    fn error(&self) -> &Error {
        self
    }
}

impl From<Error> for Failure {
    fn from(why: Error) -> Self {
        Self { why, partial: None }
    }
}

impl Fault for Failure {
    fn error(&self) -> &Error {
        &self.why
    }

    fn has_more(&self) -> bool {
        self.partial.is_some() || self.why.has_more()
    }
}

/// Every case of an error, in the order of `wit/types.wit`.
pub const KINDS: [&str; 9] =
    ["denied", "exhausted", "invalid", "not-found", "conflict", "unavailable", "interrupted", "cancelled", "timed-out"];

/// The case of an error, as `wit/types.wit` spells it.
pub fn kind(error: &Error) -> &'static str {
    match error {
        Error::Denied(_) => "denied",
        Error::Exhausted(_) => "exhausted",
        Error::Invalid(_) => "invalid",
        Error::NotFound(_) => "not-found",
        Error::Conflict(_) => "conflict",
        Error::Unavailable(_) => "unavailable",
        Error::Interrupted(_) => "interrupted",
        Error::Cancelled => "cancelled",
        Error::TimedOut => "timed-out",
    }
}

/// What an error says of itself.
pub fn words(error: &Error) -> String {
    match error {
        Error::Denied(denial) => match &denial.argument {
            Some(argument) => format!("{}, argument `{argument}`, see {}", denial.code, denial.reference),
            None => format!("{}, see {}", denial.code, denial.reference),
        },
        Error::Exhausted(exhaustion) => match exhaustion.refills_in_s {
            Some(seconds) => {
                format!("the budget for {} is used up; it refills in {seconds} s", resource(exhaustion.what).name())
            }
            None => format!("the budget for {} is used up", resource(exhaustion.what).name()),
        },
        Error::Invalid(text) | Error::NotFound(text) | Error::Conflict(text) | Error::Interrupted(text) => text.clone(),
        Error::Unavailable(unavailability) => unavailability.reason.clone(),
        Error::Cancelled => "the call was cancelled".to_owned(),
        Error::TimedOut => "the deadline passed first".to_owned(),
    }
}

fn text(error: &Error) -> String {
    match error {
        Error::Denied(denial) => format!("{} {}", denial.code, denial.reference),
        Error::Exhausted(exhaustion) => format!("{:?}", exhaustion.what),
        Error::Invalid(text) | Error::NotFound(text) | Error::Conflict(text) | Error::Interrupted(text) => text.clone(),
        Error::Unavailable(unavailability) => unavailability.reason.clone(),
        Error::Cancelled | Error::TimedOut => String::new(),
    }
}

/// The error of a case and a text that say all there is to it.
pub fn known(kind: &str, text: &str) -> Option<Error> {
    let text = text.to_owned();
    Some(match kind {
        "invalid" => Error::Invalid(text),
        "not-found" => Error::NotFound(text),
        "conflict" => Error::Conflict(text),
        "interrupted" => Error::Interrupted(text),
        "cancelled" => Error::Cancelled,
        "timed-out" => Error::TimedOut,
        _ => return None,
    })
}

/// An error as the journal has it, and the encoded rest of it, to be stored by name.
pub fn outcome<E: Fault>(fault: &E) -> (Outcome, Option<Vec<u8>>) {
    let error = fault.error();
    let rest = fault.has_more().then(|| postcard::to_allocvec(fault).ok()).flatten();
    (Outcome::Error { kind: kind(error).to_owned(), text: text(error), partial: None }, rest)
}

/// What the guest gets of a refusal.
pub fn refused(refusal: &Refusal, run: RunId, call: CallId) -> Error {
    match refusal.code {
        Code::NoGrant
        | Code::NotDeclared
        | Code::Argument
        | Code::Expired
        | Code::NoPrice
        | Code::Forbidden
        | Code::AboveCeiling
        | Code::Label
        | Code::NotApproved
        | Code::Locked
        | Code::Rate
        | Code::Delegation => Error::Denied(Denial {
            code: refusal.code.word().to_owned(),
            argument: refusal.argument.as_ref().map(|argument| argument.name.clone()),
            reference: format!("{run}/{call}"),
        }),
        Code::Exhausted { what, refills_in_s } => {
            Error::Exhausted(Exhaustion { what: resource_kind(what), refills_in_s })
        }
        Code::Unknown => Error::NotFound(refusal.because.clone()),
        Code::Busy => unavailable(&refusal.because, Some(1000)),
        Code::Later => unavailable(&refusal.because, None),
        Code::Ended => Error::Cancelled,
    }
}

/// A budget as `wit/types.wit` names it.
pub fn resource_kind(resource: Resource) -> ResourceKind {
    match resource {
        Resource::Usd => ResourceKind::Usd,
        // The table has one word for tokens, and a component that was compiled against it must go on working.
        Resource::Tokens | Resource::TokensIn | Resource::TokensOut => ResourceKind::Tokens,
        Resource::LlmCalls => ResourceKind::LlmCalls,
        Resource::ToolCalls => ResourceKind::ToolCalls,
        Resource::Fuel => ResourceKind::Fuel,
        Resource::WallTime => ResourceKind::WallTime,
        Resource::Memory => ResourceKind::Memory,
        // Nor a word for what is written, which is about the same disk.
        Resource::Storage | Resource::Written => ResourceKind::Storage,
        Resource::Egress => ResourceKind::Egress,
    }
}

/// What a word of the table is an account of.
pub fn resource(kind: ResourceKind) -> Resource {
    match kind {
        ResourceKind::Usd => Resource::Usd,
        ResourceKind::Tokens => Resource::Tokens,
        ResourceKind::LlmCalls => Resource::LlmCalls,
        ResourceKind::ToolCalls => Resource::ToolCalls,
        ResourceKind::Fuel => Resource::Fuel,
        ResourceKind::WallTime => Resource::WallTime,
        ResourceKind::Memory => Resource::Memory,
        ResourceKind::Storage => Resource::Storage,
        ResourceKind::Egress => Resource::Egress,
    }
}

/// What the guest gets when a part of the host panicked: that, and nothing about why.
pub fn broke() -> Error {
    unavailable("this part of the host broke down", None)
}

/// It is not to be had now; whether it may be asked again, and when.
pub fn unavailable(reason: &str, retry_after_ms: Option<u64>) -> Error {
    Error::Unavailable(Unavailability { reason: reason.to_owned(), retry_after_ms })
}

/// What an interface answers that is in the table and not built yet, once the kernel has said yes.
pub fn not_yet(interface: &str) -> Error {
    unavailable(&format!("`{interface}` comes in a later version of Agentry"), None)
}

/// What it passed makes no sense.
pub fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

/// What the guest gets when the store fails: that it failed, and nothing about where it is.
pub fn stored(error: &StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict("the entry changed since it was read".to_owned()),
        StoreError::TooLarge { what, max, .. } => Error::Invalid(format!("the {what} is over {max} bytes")),
        StoreError::Full => unavailable("the host's disk is full", Some(10_000)),
        _ => unavailable("the host's store does not answer", Some(1000)),
    }
}
