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
use agentry_store::limits::HTTP_ANSWER_MAX_BYTES;
use tokio_util::sync::CancellationToken;

pub use self::request::Wanted;
use crate::secrets::{Secrets, Withheld};
use crate::web::address::Named;
use crate::web::{Incoming, Outgoing, Trouble, Web};

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
                Err(why) => return withheld(permit, &why),
            }
        }
        let outgoing = Outgoing {
            method: wanted.method.clone(),
            url: wanted.url.clone(),
            headers,
            body: wanted.body.clone(),
            timeout: wanted.left(),
            answer_max_bytes: HTTP_ANSWER_MAX_BYTES,
        };
        let sent = Amounts::of(Resource::Egress, wanted.bytes());
        match self.web.send(outgoing, named, cut).await {
            Ok(came) => Fetched { result: Ok(self.response(came)), spent: sent, note: None },
            Err(trouble) => {
                let spent = if trouble.is_before_sending() { Amounts::ZERO } else { sent };
                let note = self.secrets.scrub().text(&trouble.to_string());
                Fetched { result: Err(error(permit, trouble)), spent, note: Some(note) }
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

fn withheld(permit: &Permit, why: &Withheld) -> Fetched {
    let result = Err(match why {
        Withheld::Unknown(_) => Error::NotFound("there is no such secret".to_owned()),
        Withheld::Unset(_) => unavailable("the secret is not set up on this host", None),
        Withheld::Audience(_) => forbidden(permit, "secret"),
    });
    Fetched { result, spent: Amounts::ZERO, note: Some(why.to_string()) }
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
