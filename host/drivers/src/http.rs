//! `http.fetch`: what an agent asks for, made into one request and spent on one permit. It never decides: a redirect is given back, to be
//! decided anew.

mod redirect;
mod request;

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::http::{Header, Response};
use agentry_abi::bindings::agentry::agent::types::{Denial, Error};
use agentry_abi::fault::unavailable;
use agentry_kernel::Permit;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::refusal::{Bar, PUBLIC, PUBLIC_OR_PRIVATE};
use agentry_store::limits::HTTP_ANSWER_MAX_BYTES;
use tokio_util::sync::CancellationToken;

pub use self::request::Wanted;
use crate::secrets::{Secrets, Withheld};
use crate::web::address::{self, Named};
use crate::web::{BodyOf, Incoming, Outgoing, Trouble, Web};

/// The way of agents to the web.
pub struct Http {
    web: Arc<Web>,
    secrets: Arc<Secrets>,
}

/// What came of a request.
pub struct Fetched {
    /// For the guest.
    pub result: Result<Response, Error>,
    /// What it took.
    pub spent: Amounts,
    /// For the admin alone: why there is no answer; never a secret.
    pub note: Option<String>,
    /// What in this host bars the request, if something does: nothing was sent.
    pub bar: Option<Bar>,
}

impl Http {
    /// Requests that go this way and carry these secrets.
    pub fn new(web: Arc<Web>, secrets: Arc<Secrets>) -> Self {
        Self { web, secrets }
    }

    /// Sends it and gives the answer, without secrets. `named` are the networks that may be dialled though they are not public.
    pub async fn fetch(&self, permit: &Permit, wanted: &Wanted, named: &Named, cut: &CancellationToken) -> Fetched {
        let mut headers = wanted.headers.clone();
        if let Some(handle) = &wanted.secret {
            match self.secrets.header(handle, &wanted.url) {
                Ok((name, value)) => drop(headers.insert(name, value)),
                Err(why) => return withheld(permit, wanted, &why),
            }
        }
        let outgoing = Outgoing {
            method: wanted.method.clone(),
            url: wanted.url.clone(),
            headers,
            body: wanted.body.clone(),
            timeout: wanted.left(),
            answer_max_bytes: HTTP_ANSWER_MAX_BYTES,
            body_of: BodyOf::Any,
        };
        let sent = Amounts::of(Resource::Egress, wanted.bytes());
        match self.web.send(outgoing, named, cut).await {
            Ok(came) => Fetched { result: Ok(self.response(came)), spent: sent, note: None, bar: None },
            Err(trouble) => {
                let spent = if trouble.is_before_sending() { Amounts::ZERO } else { sent };
                let why = self.secrets.scrub().text(&trouble.to_string());
                match bar(&trouble, wanted, &why) {
                    Some(bar) => barred(permit, bar),
                    None => Fetched { result: Err(error(permit, trouble)), spent, note: Some(why), bar: None },
                }
            }
        }
    }

    fn response(&self, came: Incoming) -> Response {
        let scrub = self.secrets.scrub();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| Header {
            name: scrub.text(name.as_str()),
            value: scrub.text(&String::from_utf8_lossy(value.as_bytes())),
        };
        Response {
            status: came.status,
            headers: came.headers.iter().map(header).collect(),
            body: scrub.bytes(came.body),
            labels: Vec::new(),
        }
    }
}

fn withheld(permit: &Permit, wanted: &Wanted, why: &Withheld) -> Fetched {
    let error = match why {
        Withheld::Unknown(_) => Error::NotFound("there is no such secret".to_owned()),
        Withheld::Unset(_) => unavailable("the secret is not set up on this host", None),
        Withheld::Audience(only_to) => {
            let handle = wanted.secret.clone().unwrap_or_default();
            let (because, hint) = (why.to_string(), why.remedy(&wanted.url.origin().ascii_serialization()));
            return barred(permit, Bar { name: "secret", value: handle, allowed: only_to.clone(), because, hint });
        }
    };
    Fetched { result: Err(error), spent: Amounts::ZERO, note: Some(why.to_string()), bar: None }
}

/// What this host has against an address, if that is what is in the way.
fn bar(trouble: &Trouble, wanted: &Wanted, why: &str) -> Option<Bar> {
    let Trouble::Barred { address, .. } = trouble else { return None };
    let (allowed, hint) = if address::check(*address, &Named::inside()).is_ok() {
        (
            PUBLIC_OR_PRIVATE,
            "if the agent may reach this machine and its networks: `private = true` in the [[http]] rule",
        )
    } else {
        (PUBLIC, "no grant opens it")
    };
    let (value, because) = (wanted.url.as_str().to_owned(), why.to_owned());
    Some(Bar { name: "url", value, allowed: allowed.to_owned(), because, hint: hint.to_owned() })
}

fn barred(permit: &Permit, bar: Bar) -> Fetched {
    Fetched { result: Err(forbidden(permit, bar.name)), spent: Amounts::ZERO, note: None, bar: Some(bar) }
}

/// For the agent, who learns nothing of the networks behind this host.
fn error(permit: &Permit, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Cancelled => Error::Cancelled,
        Trouble::TimedOut(_) => Error::TimedOut,
        Trouble::Barred { .. } => forbidden(permit, "url"),
        Trouble::Busy => unavailable("too many requests are in flight", Some(1000)),
        Trouble::Unreached(_) => unavailable("the server cannot be reached", None),
        Trouble::Broken(_) => unavailable("the server's answer broke off", None),
        Trouble::TooLong(what) => unavailable(&format!("the server's answer has {what}"), None),
    }
}

fn forbidden(permit: &Permit, argument: &str) -> Error {
    Error::Denied(Denial {
        code: "forbidden".to_owned(),
        argument: Some(argument.to_owned()),
        reference: format!("{}/{}", permit.run(), permit.call()),
    })
}
