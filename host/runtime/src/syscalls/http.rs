//! `http`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_kernel::call::Fetch;
use agentry_kernel::{Amounts, Call};
use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::http::{Host, HostWithStore, Request, Response};
use super::bindings::agentry::agent::types::Error;
use super::{State, future, not_yet};
use crate::gate::{Acted, Asking};
use crate::journal::Content;

impl Host for State {}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn fetch(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Error>>> {
        let state = store.get();
        let bytes = (request.url.len() + request.body.len()) as u64;
        let content = Content::of(request.body);
        let Request { method, url, secret, .. } = request;
        let what = Call::Fetch(Fetch { method, url, content: content.digest, bytes, secret });
        let response = state.services.gate.pass(&state.run, Asking::with(what, vec![content]), |_, _| async {
            Acted::of(Err(not_yet("http")), Amounts::ZERO)
        });
        future(store, response)
    }
}
