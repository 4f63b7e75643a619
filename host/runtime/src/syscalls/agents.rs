//! `agents`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_kernel::{Amounts, Call};
use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::agents::{AgentInfo, Host, HostWithStore, Letter, Share};
use super::bindings::agentry::agent::types::Error;
use super::{State, future, not_yet};
use crate::gate::{Acted, Told};

impl State {
    fn agents_later<T: Told>(&self, function: &str) -> wasmtime::Result<Result<T, Error>> {
        let what = Call::Agents(format!("agents.{function}"));
        self.at_once(what, |_| Err(not_yet("agents")))
    }

    fn agents_later_future<T>(&self, function: &str) -> impl Future<Output = Result<T, Error>> + Send + use<T>
    where
        T: Told + Send + 'static,
    {
        let what = Call::Agents(format!("agents.{function}"));
        self.services.gate.pass(&self.run, what, |_, _| async { Acted::of(Err(not_yet("agents")), Amounts::ZERO) })
    }
}

impl Host for State {
    fn find(&mut self, _provides: String) -> wasmtime::Result<Result<Vec<AgentInfo>, Error>> {
        self.agents_later("find")
    }

    fn send(&mut self, _agent: String, _subject: String, _body: String) -> wasmtime::Result<Result<String, Error>> {
        self.agents_later("send")
    }

    fn reply(&mut self, _letter: String, _body: String) -> wasmtime::Result<Result<(), Error>> {
        self.agents_later("reply")
    }
}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn call(
        mut store: Access<'_, T, Self>,
        _agent: String,
        _input_json: String,
        _budget: Vec<Share>,
    ) -> wasmtime::Result<FutureReader<Result<String, Error>>> {
        let output = store.get().agents_later_future("call");
        future(store, output)
    }

    fn receive(
        mut store: Access<'_, T, Self>,
        _timeout_ms: Option<u64>,
    ) -> wasmtime::Result<FutureReader<Result<Option<Letter>, Error>>> {
        let letter = store.get().agents_later_future("receive");
        future(store, letter)
    }
}
