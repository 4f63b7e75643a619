//! `context`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_abi::bindings::agentry::agent::llm::{Failure, Response};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_abi::fault::not_yet;
use agentry_abi::port::{
    ContextAppend, ContextComplete, ContextConversation, ContextFork, ContextRestore, ContextSnapshot, ContextStream,
    ContextUsage, Passed,
};
use agentry_kernel::{Amounts, Call};

use super::Dispatch;
use crate::gate::Begun;

fn refused<T: Recordable>(of: &Dispatch, function: &str) -> Result<T, Error> {
    let what = Call::Context(format!("context.{function}"));
    of.drivers.gate.call_now(&of.run, what, |_| Err(not_yet("context")))
}

fn begun(of: &Dispatch, function: &str) -> Begun<Response, Failure> {
    let what = Call::Context(format!("context.{function}"));
    let later = |_, _| async { Completed::of(Err(not_yet("context").into()), Amounts::ZERO) };
    of.drivers.gate.pass(&of.run, what, later)
}

pub(super) fn conversation(of: &Dispatch) -> Passed {
    of.now::<ContextConversation>(refused(of, "conversation"))
}

pub(super) fn append(of: &Dispatch) -> Passed {
    of.now::<ContextAppend>(refused(of, "append"))
}

pub(super) fn usage(of: &Dispatch) -> Passed {
    of.now::<ContextUsage>(refused(of, "usage"))
}

pub(super) fn complete(of: &Dispatch) -> Passed {
    of.begun::<ContextComplete>(begun(of, "complete"))
}

pub(super) fn stream(of: &Dispatch) -> Passed {
    of.begun::<ContextStream>(begun(of, "stream"))
}

pub(super) fn fork(of: &Dispatch) -> Passed {
    of.now::<ContextFork>(refused(of, "fork"))
}

pub(super) fn snapshot(of: &Dispatch) -> Passed {
    of.now::<ContextSnapshot>(refused(of, "snapshot"))
}

pub(super) fn restore(of: &Dispatch) -> Passed {
    of.now::<ContextRestore>(refused(of, "restore"))
}
