//! `tools`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use std::sync::Arc;

use agentry_kernel::{Amounts, Call, json};
use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::tools::{Answer, Host, HostWithStore, Tool};
use super::bindings::agentry::agent::types::Error;
use super::{State, future, invalid, not_yet};
use crate::gate::{Acted, Asking};
use crate::journal::Content;

impl Host for State {
    fn list(&mut self) -> wasmtime::Result<Result<Vec<Tool>, Error>> {
        Ok(self.services.gate.pass_inner(&self.run, Call::ToolsList, |_| Err(not_yet("tools"))))
    }
}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn call(
        mut store: Access<'_, T, Self>,
        name: String,
        arguments_json: String,
    ) -> wasmtime::Result<FutureReader<Result<Answer, Error>>> {
        let state = store.get();
        let value = match json::parse(&arguments_json) {
            Ok(value) => Arc::new(value),
            Err(flaw) => {
                let error = invalid(format!("the arguments are not JSON that is taken: {flaw}"));
                return future(store, std::future::ready(Err(error)));
            }
        };
        let arguments = Content::of(value.to_string());
        let what = Call::ToolsCall { name, arguments: arguments.digest, value };
        let answer = state.services.gate.pass(&state.run, Asking::with(what, vec![arguments]), |_, _| async {
            Acted::of(Err(not_yet("tools")), Amounts::ZERO)
        });
        future(store, answer)
    }
}
