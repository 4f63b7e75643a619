//! `tools`: the tools of the registry that an agent may call.

use agentry_abi::bindings::agentry::agent::tools::{Answer, Host, HostWithStore, Tool};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{ToolsCall, ToolsList};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, later};

impl Host for State {
    fn list(&mut self) -> wasmtime::Result<Result<Vec<Tool>, Error>> {
        self.at_once(ToolsList {})
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn call(
        mut store: Access<'_, T, Self>,
        name: String,
        arguments_json: String,
    ) -> wasmtime::Result<FutureReader<Result<Answer, Error>>> {
        let answer = later(&mut store, ToolsCall { name, arguments_json });
        future(store, answer)
    }
}
