//! `http`: the web, by allow-list. A redirect is a request of its own: it goes through the gate as the first one did, or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::http::Response;
use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Barred, Completed};
use agentry_abi::fault::invalid;
use agentry_abi::port::{Fetched, HttpFetch, HttpFollow, Passed, Syscall};
use agentry_drivers::http::Wanted;
use agentry_drivers::web::address::Named;
use agentry_kernel::call::CallId;
use agentry_store::limits::HTTP_REDIRECTS_MAX;
use parking_lot::Mutex;

use super::Dispatch;
use crate::gate::{Begun, CallRequest};
use crate::run::events::Event;

/// A request, and how many redirects led to it.
#[derive(Clone)]
struct Hop {
    wanted: Wanted,
    behind: usize,
}

/// Where answers lead. Of those that the guest has seen only the last one is kept: a redirect is followed at once or not at all.
#[derive(Default)]
pub(super) struct Hops {
    unseen: HashMap<CallId, Result<Hop, Error>>,
    seen: Option<(CallId, Result<Hop, Error>)>,
}

impl Hops {
    pub(super) fn seen(&mut self, call: CallId) {
        self.seen = self.unseen.remove(&call).map(|hop| (call, hop));
    }

    pub(super) fn dropped(&mut self, call: CallId) {
        self.unseen.remove(&call);
    }
}

pub(super) fn fetch(of: &Dispatch, HttpFetch { request }: HttpFetch) -> Passed {
    match Wanted::read(request) {
        Ok(wanted) => ask::<HttpFetch>(of, Hop { wanted, behind: 0 }),
        Err(error) => of.now::<HttpFetch>(Err(error)),
    }
}

pub(super) fn follow(of: &Dispatch, HttpFollow { redirect }: &HttpFollow) -> Passed {
    let hop = of.hops.lock().seen.take().filter(|(call, _)| call == redirect);
    match hop {
        Some((_, Ok(hop))) => ask::<HttpFollow>(of, hop),
        Some((_, Err(error))) => of.now::<HttpFollow>(Err(error)),
        None => of.now::<HttpFollow>(Err(invalid("there is no such redirect to follow"))),
    }
}

/// Decides on one request and sends it.
fn ask<S: Syscall<Reply = Fetched, Fault = Error>>(of: &Dispatch, hop: Hop) -> Passed {
    let (with, told, wanted) = (Arc::clone(&of.drivers), Arc::clone(&of.run), hop.wanted.clone());
    let (call, contents) = wanted.call();
    let asking = CallRequest::with(call, contents);
    let begun: Begun<Response, Error> = of.drivers.gate.pass(&of.run, asking, move |permit, cut| async move {
        let named = if permit.private() { Named::inside() } else { Named::default() };
        let done = with.http.fetch(&permit, &wanted, &named, &cut).await;
        if let Some(note) = &done.note {
            told.observer.tell(Event::Log { level: Level::Warn, line: format!("http.fetch: {note}") });
        }
        let barred = done.bar.map(|bar| {
            let bar = with.gate.placed(bar, &told.agent, |right| wanted.fits(right));
            Barred { what: wanted.call().0, bar }
        });
        Completed::of(done.result, done.spent).noting(done.note).barred(barred)
    });
    let (call, hops) = (begun.call, Arc::clone(&of.hops));
    of.begun_as::<S, _>(begun, move |answer| {
        let response = answer?;
        let redirect = call.filter(|call| leads(*call, &hop, &response, &hops));
        Ok(Fetched { response, redirect })
    })
}

/// Whether an answer is a redirect; where it leads is kept until the guest has seen it.
fn leads(call: CallId, hop: &Hop, response: &Response, hops: &Mutex<Hops>) -> bool {
    let Some(next) = hop.wanted.redirected(response) else { return false };
    let next = if hop.behind == HTTP_REDIRECTS_MAX {
        Err(invalid(format!("the url leads through more than {HTTP_REDIRECTS_MAX} redirects")))
    } else {
        next.map(|wanted| Hop { wanted, behind: hop.behind + 1 })
    };
    hops.lock().unseen.insert(call, next);
    true
}
