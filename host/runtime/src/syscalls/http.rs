//! `http`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_kernel::{Amounts, Call};
use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::http::{Host, HostWithStore, Request, Response};
use super::bindings::agentry::agent::types::Error;
use super::{State, future, not_yet};
use crate::gate::Acted;

impl Host for State {}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn fetch(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Error>>> {
        let state = store.get();
        let what = Call::HttpFetch { method: request.method, url: request.url };
        let response = state
            .services
            .gate
            .pass(&state.run, what, |_, _| async { Acted { result: Err(not_yet("http")), spent: Amounts::ZERO } });
        future(store, response)
    }
}
