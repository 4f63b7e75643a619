//! `tools`: the tools that an agent may call, agents among them.

use agentry_abi::bindings::agentry::agent::tools::{Answer, Host, HostWithStore, Tool};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{ToolsCall, ToolsList};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, delegated, future};

impl Host for State {
    async fn list(&mut self) -> wasmtime::Result<Result<Vec<Tool>, Error>> {
        Ok(self.stand(ToolsList {})?.await)
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn call(
        mut store: Access<'_, T, Self>,
        name: String,
        arguments_json: String,
    ) -> wasmtime::Result<FutureReader<Result<Answer, Error>>> {
        let answer = delegated(&mut store, |fuel_left| ToolsCall { name, arguments_json, fuel_left })?;
        future(store, answer)
    }
}
