//! `memory`: entries under names that last longer than a run.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::memory::Value;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_abi::fault::{invalid, not_yet};
use agentry_abi::port::{
    MemoryDelete, MemoryGet, MemoryHistory, MemoryList, MemoryPut, MemoryRollback, MemorySearch, MemoryWatch, Passed,
};
use agentry_drivers::memory::Author;
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;
use agentry_store::limits::MEMORY_VALUE_MAX_BYTES;

use super::Dispatch;
use crate::gate::CallRequest;

impl Dispatch {
    fn author(&self) -> Author {
        // What a child writes is kept by the one that pays for it.
        Author { agent: self.run.payer().to_owned(), run: self.run.id, now: self.run.clock.now() }
    }

    /// A function of the table that is not built yet: the kernel is asked all the same, for a no comes before a not yet.
    fn memory_later<T: Recordable>(&self, function: &str, namespace: String) -> Result<T, Error> {
        let name = format!("memory.{function}");
        let what = Call::Memory { function: name.clone(), namespace };
        self.drivers.gate.call_now(&self.run, what, |_| Err(not_yet(&name)))
    }
}

pub(super) fn get(of: &Dispatch, MemoryGet { namespace, key }: MemoryGet) -> Passed {
    let what = Call::MemoryGet { namespace: namespace.clone(), key: key.clone() };
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let get = move |permit: &_| drivers.memory.get(permit, &namespace, &key, run.clock.now());
    of.begun::<MemoryGet>(of.drivers.gate.pass_read(&of.run, what, get))
}

pub(super) fn put(of: &Dispatch, MemoryPut { namespace, key, value, options }: MemoryPut) -> Passed {
    let bytes = match &value {
        Value::Text(text) | Value::Json(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
    };
    // Before its content is named and stored: too large a value is not an entry of the journal either.
    if bytes.len() > MEMORY_VALUE_MAX_BYTES {
        return of.now::<MemoryPut>(Err(invalid(format!("the value is over {MEMORY_VALUE_MAX_BYTES} bytes"))));
    }
    let content = Content::of(bytes);
    let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let (drivers, author) = (Arc::clone(&of.drivers), of.author());
    // Also where a run repeats its past: a write that waited for people is decided on anew.
    let grows = drivers.memory.growth(&author.agent, (&namespace, &key), &value, &options);
    let (space, name, digest) = (namespace.clone(), key.clone(), content.digest);
    let call = |grows| Call::MemoryPut { namespace: space, key: name, content: digest, bytes, grows };
    let what = match grows {
        Ok(grows) => call(grows),
        Err(error) => return of.now::<MemoryPut>(Err(drivers.gate.reject(&of.run, call(0).into(), error))),
    };
    let put = move |permit: &_| drivers.memory.put(permit, &author, (&namespace, &key), &value, &options);
    of.begun::<MemoryPut>(of.drivers.gate.pass_store(&of.run, CallRequest::with(what, vec![content]), put))
}

pub(super) fn delete(of: &Dispatch, MemoryDelete { namespace, key, hard }: MemoryDelete) -> Passed {
    let what = Call::MemoryDelete { namespace: namespace.clone(), key: key.clone() };
    let (drivers, author) = (Arc::clone(&of.drivers), of.author());
    let delete = move |permit: &_| drivers.memory.delete(permit, &author, (&namespace, &key), hard);
    of.begun::<MemoryDelete>(of.drivers.gate.pass_store(&of.run, what, delete))
}

pub(super) fn list(of: &Dispatch, MemoryList { namespace, prefix, after, limit }: MemoryList) -> Passed {
    let what = Call::MemoryList { namespace: namespace.clone(), prefix: prefix.clone() };
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let list =
        move |permit: &_| drivers.memory.list(permit, (&namespace, &prefix), after.as_deref(), limit, run.clock.now());
    of.begun::<MemoryList>(of.drivers.gate.pass_read(&of.run, what, list))
}

pub(super) fn search(of: &Dispatch, MemorySearch { namespace, .. }: MemorySearch) -> Passed {
    let what = Call::Memory { function: "memory.search".to_owned(), namespace };
    let later = |_, _| async { Completed::of(Err(not_yet("memory.search")), Amounts::ZERO) };
    of.begun::<MemorySearch>(of.drivers.gate.pass(&of.run, what, later))
}

pub(super) fn history(of: &Dispatch, MemoryHistory { namespace, .. }: MemoryHistory) -> Passed {
    of.now::<MemoryHistory>(of.memory_later("history", namespace))
}

pub(super) fn rollback(of: &Dispatch, MemoryRollback { namespace, .. }: MemoryRollback) -> Passed {
    of.now::<MemoryRollback>(of.memory_later("rollback", namespace))
}

pub(super) fn watch(of: &Dispatch, MemoryWatch { namespace, .. }: MemoryWatch) -> Passed {
    of.now::<MemoryWatch>(of.memory_later("watch", namespace))
}
