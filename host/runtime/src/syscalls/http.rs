//! `http`: the web, by allow-list. A redirect is a request of its own: it goes through the gate as the first one did, or not at all.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::http::{Host, HostWithStore, Request, Response};
use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_drivers::http::Wanted;
use agentry_drivers::web::address::Named;
use agentry_store::limits::HTTP_REDIRECTS_MAX;
use wasmtime::component::{Access, FutureReader};

use super::drivers::Drivers;
use super::{Interfaces, State, future, invalid};
use crate::gate::CallRequest;
use crate::run::context::RunContext;
use crate::run::events::Event;

impl Host for State {}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn fetch(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Error>>> {
        let state = store.get();
        let wanted = match Wanted::read(request) {
            Ok(wanted) => wanted,
            Err(error) => return future(store, std::future::ready(Err(error))),
        };
        let (drivers, run) = (Arc::clone(&state.drivers), Arc::clone(&state.run));
        // Decided now, in the order in which the guest asks.
        let first = ask(&drivers, &run, wanted.clone());
        future(store, async move { follow(&drivers, &run, wanted, first.await?).await })
    }
}

/// Decides on one request and sends it.
fn ask(
    drivers: &Arc<Drivers>,
    run: &Arc<RunContext>,
    wanted: Wanted,
) -> impl Future<Output = Result<Response, Error>> + Send + use<> {
    let (with, told) = (Arc::clone(drivers), Arc::clone(run));
    let (call, contents) = wanted.call();
    drivers.gate.pass(run, CallRequest::with(call, contents), move |permit, cut| async move {
        let named = if permit.private() { Named::inside() } else { Named::default() };
        let done = with.http.fetch(&permit, &wanted, &named, &cut).await;
        if let Some(note) = &done.note {
            told.observer.tell(Event::Log { level: Level::Warn, line: format!("http.fetch: {note}") });
        }
        Completed::of(done.result, done.spent).noting(done.note)
    })
}

/// Goes where redirects lead, each decided anew.
async fn follow(
    drivers: &Arc<Drivers>,
    run: &Arc<RunContext>,
    first: Wanted,
    answer: Response,
) -> Result<Response, Error> {
    let (mut wanted, mut answer) = (first, answer);
    for _ in 0..HTTP_REDIRECTS_MAX {
        let Some(next) = wanted.redirected(&answer) else { return Ok(answer) };
        wanted = next?;
        answer = ask(drivers, run, wanted.clone()).await?;
    }
    match wanted.redirected(&answer) {
        None => Ok(answer),
        Some(_) => Err(invalid(format!("the url leads through more than {HTTP_REDIRECTS_MAX} redirects"))),
    }
}
