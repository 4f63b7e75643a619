//! `human`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_kernel::{Amounts, Call};
use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::human::{Host, HostWithStore, Question};
use super::bindings::agentry::agent::types::Error;
use super::{State, future, not_yet};
use crate::gate::Acted;

impl Host for State {
    fn notify(&mut self, _text: String) -> wasmtime::Result<Result<(), Error>> {
        let what = Call::Human("human.notify".to_owned());
        self.at_once(what, |_| Err(not_yet("human")))
    }
}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn ask(
        mut store: Access<'_, T, Self>,
        _question: Question,
    ) -> wasmtime::Result<FutureReader<Result<String, Error>>> {
        let state = store.get();
        let answer = state.services.gate.pass(&state.run, Call::Human("human.ask".to_owned()), |_, _| async {
            Acted::of(Err(not_yet("human")), Amounts::ZERO)
        });
        future(store, answer)
    }
}
