//! `memory`: entries under names that last longer than a run.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::memory::{
    Change, Entry, Hit, Host, HostWithStore, Page, Query, Value, WriteOptions,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_drivers::memory::Author;
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;
use agentry_store::limits::MEMORY_VALUE_MAX_BYTES;
use wasmtime::component::{Access, FutureReader, StreamReader};

use super::{Interfaces, State, future, invalid, not_yet};
use crate::gate::CallRequest;

impl State {
    fn author(&self) -> Author {
        // What a child writes is kept by the one that pays for it.
        Author { agent: self.run.payer().to_owned(), run: self.run.id, now: self.run.clock.now() }
    }

    /// A function of the table that is not built yet: the kernel is asked all the same, for a no comes before a not yet.
    fn memory_later<T: Recordable>(&self, function: &str, namespace: String) -> wasmtime::Result<Result<T, Error>> {
        let name = format!("memory.{function}");
        let what = Call::Memory { function: name.clone(), namespace };
        self.at_once(what, |_| Err(not_yet(&name)))
    }
}

impl Host for State {
    async fn get(&mut self, namespace: String, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        let what = Call::MemoryGet { namespace: namespace.clone(), key: key.clone() };
        let (drivers, run) = (Arc::clone(&self.drivers), Arc::clone(&self.run));
        let get = move |permit: &_| drivers.memory.get(permit, &namespace, &key, run.clock.now());
        Ok(self.read_at_once(what, get)?.await)
    }

    async fn put(
        &mut self,
        namespace: String,
        key: String,
        value: Value,
        options: WriteOptions,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let bytes = match &value {
            Value::Text(text) | Value::Json(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
        };
        // Before its content is named and stored: too large a value is not an entry of the journal either.
        if bytes.len() > MEMORY_VALUE_MAX_BYTES {
            return Ok(Err(invalid(format!("the value is over {MEMORY_VALUE_MAX_BYTES} bytes"))));
        }
        let content = Content::of(bytes);
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (drivers, author) = (Arc::clone(&self.drivers), self.author());
        // Also where a run repeats its past: a write that waited for people is decided on anew.
        let grows = drivers.memory.growth(&author.agent, (&namespace, &key), &value, &options);
        let (space, name, digest) = (namespace.clone(), key.clone(), content.digest);
        let call = |grows| Call::MemoryPut { namespace: space, key: name, content: digest, bytes, grows };
        let what = match grows {
            Ok(grows) => call(grows),
            Err(error) => return Ok(Err(drivers.gate.reject(&self.run, call(0).into(), error))),
        };
        let put = move |permit: &_| drivers.memory.put(permit, &author, (&namespace, &key), &value, &options);
        Ok(self.stored(CallRequest::with(what, vec![content]), put)?.await)
    }

    async fn delete(&mut self, namespace: String, key: String, hard: bool) -> wasmtime::Result<Result<(), Error>> {
        let what = Call::MemoryDelete { namespace: namespace.clone(), key: key.clone() };
        let (drivers, author) = (Arc::clone(&self.drivers), self.author());
        let delete = move |permit: &_| drivers.memory.delete(permit, &author, (&namespace, &key), hard);
        Ok(self.stored(what, delete)?.await)
    }

    async fn list(
        &mut self,
        namespace: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let what = Call::MemoryList { namespace: namespace.clone(), prefix: prefix.clone() };
        let (drivers, run) = (Arc::clone(&self.drivers), Arc::clone(&self.run));
        let list = move |permit: &_| {
            drivers.memory.list(permit, (&namespace, &prefix), after.as_deref(), limit, run.clock.now())
        };
        Ok(self.read_at_once(what, list)?.await)
    }

    fn history(&mut self, namespace: String, _key: String) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        self.memory_later("history", namespace)
    }

    async fn rollback(
        &mut self,
        namespace: String,
        _key: String,
        _version: u64,
    ) -> wasmtime::Result<Result<u64, Error>> {
        self.memory_later("rollback", namespace)
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn search(
        mut store: Access<'_, T, Self>,
        namespace: String,
        _query: Query,
    ) -> wasmtime::Result<FutureReader<Result<Vec<Hit>, Error>>> {
        let state = store.get();
        let what = Call::Memory { function: "memory.search".to_owned(), namespace };
        let hits = state
            .drivers
            .gate
            .pass(&state.run, what, |_, _| async { Completed::of(Err(not_yet("memory.search")), Amounts::ZERO) });
        future(store, hits)
    }

    fn watch(
        mut store: Access<'_, T, Self>,
        namespace: String,
        _prefix: String,
    ) -> wasmtime::Result<Result<StreamReader<Change>, Error>> {
        let refused: Result<(), Error> = store.get().memory_later("watch", namespace)?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("memory.watch"))))
    }
}
