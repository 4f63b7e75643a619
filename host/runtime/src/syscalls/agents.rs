//! `agents`: other agents of this host.

use agentry_abi::bindings::agentry::agent::agents::{AgentInfo, Host, HostWithStore, Letter, Share};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{AgentsCall, AgentsFind, AgentsReceive, AgentsReply, AgentsSend};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, delegated, future, later};

impl Host for State {
    async fn find(&mut self, provides: String) -> wasmtime::Result<Result<Vec<AgentInfo>, Error>> {
        Ok(self.stand(AgentsFind { provides })?.await)
    }

    async fn send(
        &mut self,
        agent: String,
        subject: String,
        body_json: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        Ok(self.stand(AgentsSend { agent, subject, body_json })?.await)
    }

    async fn reply(&mut self, letter: String, body_json: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.stand(AgentsReply { letter, body_json })?.await)
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn call(
        mut store: Access<'_, T, Self>,
        agent: String,
        input_json: String,
        budget: Vec<Share>,
    ) -> wasmtime::Result<FutureReader<Result<String, Error>>> {
        let asks = |fuel_left| AgentsCall { agent, input_json, budget, fuel_left };
        let answer = delegated(&mut store, asks)?;
        future(store, answer)
    }

    fn receive(
        mut store: Access<'_, T, Self>,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<FutureReader<Result<Option<Letter>, Error>>> {
        let letter = later(&mut store, AgentsReceive { timeout_ms });
        future(store, letter)
    }
}
