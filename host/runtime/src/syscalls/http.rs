//! `http`: the web, by allow-list. A redirect is a request of its own: it goes through the gate as the first one did, or not at all.

use std::sync::Arc;

use wasmtime::component::{Access, FutureReader, HasSelf};

use super::bindings::agentry::agent::http::{Host, HostWithStore, Request, Response};
use super::bindings::agentry::agent::log::Level;
use super::bindings::agentry::agent::types::Error;
use super::{Services, State, future, invalid};
use crate::drivers::http::Wanted;
use crate::gate::Acted;
use crate::limits::HTTP_REDIRECTS_MAX;
use crate::run::context::{Event, RunContext};
use crate::web::address::Named;

impl Host for State {}

impl<T: 'static> HostWithStore<T> for HasSelf<State> {
    fn fetch(
        mut store: Access<'_, T, Self>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Error>>> {
        let state = store.get();
        let wanted = match Wanted::read(request) {
            Ok(wanted) => wanted,
            Err(error) => return future(store, std::future::ready(Err(error))),
        };
        let (services, run) = (Arc::clone(&state.services), Arc::clone(&state.run));
        // Decided now, in the order in which the guest asks.
        let first = ask(&services, &run, wanted.clone());
        future(store, async move { follow(&services, &run, wanted, first.await?).await })
    }
}

/// Decides on one request and sends it.
fn ask(
    services: &Arc<Services>,
    run: &Arc<RunContext>,
    wanted: Wanted,
) -> impl Future<Output = Result<Response, Error>> + Send + use<> {
    let (with, told) = (Arc::clone(services), Arc::clone(run));
    services.gate.pass(run, wanted.asking(), move |permit, cut| async move {
        let named = if permit.private() { Named::inside() } else { Named::default() };
        let done = with.http.fetch(&permit, &wanted, &named, &cut).await;
        if let Some(note) = &done.note {
            told.observer.tell(Event::Log { level: Level::Warn, line: format!("http.fetch: {note}") });
        }
        Acted::of(done.result, done.spent).noting(done.note)
    })
}

/// Goes where redirects lead, each decided anew.
async fn follow(
    services: &Arc<Services>,
    run: &Arc<RunContext>,
    first: Wanted,
    answer: Response,
) -> Result<Response, Error> {
    let (mut wanted, mut answer) = (first, answer);
    for _ in 0..HTTP_REDIRECTS_MAX {
        let Some(next) = wanted.redirected(&answer) else { return Ok(answer) };
        wanted = next?;
        answer = ask(services, run, wanted.clone()).await?;
    }
    match wanted.redirected(&answer) {
        None => Ok(answer),
        Some(_) => Err(invalid(format!("the url leads through more than {HTTP_REDIRECTS_MAX} redirects"))),
    }
}
