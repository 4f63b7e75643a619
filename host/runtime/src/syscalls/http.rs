//! `http`: the web, by allow-list. A redirect is a call of its own, made when the guest may see the answer that asks for it.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::http::{Host, HostWithStore, Request, Response};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{HttpFetch, HttpFollow};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, later};

impl Host for State {}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn fetch(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Error>>> {
        // Decided now, in the order in which the guest asks.
        let first = later(&mut store, HttpFetch { request });
        let guest = Arc::clone(&store.get().guest);
        future(store, async move {
            let mut fetched = first.await?;
            while let Some(redirect) = fetched.redirect {
                let passed = guest.pass(HttpFollow { redirect });
                fetched = guest.answer::<HttpFollow>(passed.answer).await?;
            }
            Ok(fetched.response)
        })
    }
}
