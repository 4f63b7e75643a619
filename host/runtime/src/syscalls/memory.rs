//! `memory`: entries under names that last longer than a run.

use agentry_abi::bindings::agentry::agent::memory::{
    Change, Entry, Hit, Host, HostWithStore, Page, Query, Value, WriteOptions,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::not_yet;
use agentry_abi::port::{
    MemoryDelete, MemoryGet, MemoryHistory, MemoryList, MemoryPut, MemoryRollback, MemorySearch, MemoryWatch,
};
use wasmtime::component::{Access, FutureReader, StreamReader};

use super::{Interfaces, State, future, later};

impl Host for State {
    async fn get(&mut self, namespace: String, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        Ok(self.stand(MemoryGet { namespace, key })?.await)
    }

    async fn put(
        &mut self,
        namespace: String,
        key: String,
        value: Value,
        options: WriteOptions,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.stand(MemoryPut { namespace, key, value, options })?.await)
    }

    async fn delete(&mut self, namespace: String, key: String, hard: bool) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.stand(MemoryDelete { namespace, key, hard })?.await)
    }

    async fn list(
        &mut self,
        namespace: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        Ok(self.stand(MemoryList { namespace, prefix, after, limit })?.await)
    }

    fn history(&mut self, namespace: String, key: String) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        self.at_once(MemoryHistory { namespace, key })
    }

    async fn rollback(&mut self, namespace: String, key: String, version: u64) -> wasmtime::Result<Result<u64, Error>> {
        self.at_once(MemoryRollback { namespace, key, version })
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn search(
        mut store: Access<'_, T, Self>,
        namespace: String,
        query: Query,
    ) -> wasmtime::Result<FutureReader<Result<Vec<Hit>, Error>>> {
        let hits = later(&mut store, MemorySearch { namespace, query });
        future(store, hits)
    }

    fn watch(
        mut store: Access<'_, T, Self>,
        namespace: String,
        prefix: String,
    ) -> wasmtime::Result<Result<StreamReader<Change>, Error>> {
        let refused = store.get().at_once(MemoryWatch { namespace, prefix })?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("memory.watch"))))
    }
}
