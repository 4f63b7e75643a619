//! The web, by allow-list. A secret is named by its handle and put in by the host.

use crate::bindings::agentry::agent::http as wit;
use crate::call::Call;

pub use wit::{Header, Request, Response};

/// Sends a request to an allowed host; a redirect is decided anew.
pub fn fetch(request: &Request) -> Call<Response> {
    Call::new(wit::fetch(request))
}

impl Request {
    /// A request without headers, body or secret.
    #[must_use]
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            secret: None,
            timeout_ms: None,
        }
    }
}
