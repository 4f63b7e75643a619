//! `human`: questions to people and notices.

use agentry_abi::bindings::agentry::agent::human::{Host, HostWithStore, Question};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{HumanAsk, HumanNotify};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, later};

impl Host for State {
    async fn notify(&mut self, text: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.stand(HumanNotify { text })?.await)
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn ask(
        mut store: Access<'_, T, Self>,
        question: Question,
    ) -> wasmtime::Result<FutureReader<Result<String, Error>>> {
        let answer = later(&mut store, HumanAsk { question });
        future(store, answer)
    }
}
