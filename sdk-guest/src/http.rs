//! The web, by allow-list. A secret is named by its handle and put in by the host.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::agentry::agent::http as wit;
use crate::call::Call;
use crate::host;
use crate::types::Error;

pub use wit::{Header, Request, Response};

/// Sends a request to an allowed host; a redirect is decided anew.
///
/// ```no_run
/// # async fn fetch() -> Result<(), agentry::Failure> {
/// use agentry::http::Request;
///
/// let answer = Request::get("https://api.example.org/v1/items").secret("api-key").fetch().await?;
/// let items: Vec<String> = answer.json()?;
/// # Ok(()) }
/// ```
pub fn fetch(request: &Request) -> Call<Response> {
    host::long(|| wit::fetch(request))
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

    /// Asks for what is at an address.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Sends something to an address.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header. Those that say how bytes travel, such as `host`, are the host's to set.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Sends these bytes along: 4 MiB at most.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends a value along, as JSON.
    ///
    /// # Errors
    /// `invalid` if it does not become JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|error| Error::Invalid(format!("body: {error}")))?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Lets the host put in the secret of this handle. The grant says to whom it may go; the agent never sees it.
    #[must_use]
    pub fn secret(mut self, handle: impl Into<String>) -> Self {
        self.secret = Some(handle.into());
        self
    }

    /// Gives up after this long: 30 s if nothing is said, 5 minutes at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Sends it.
    pub fn fetch(&self) -> Call<Response> {
        fetch(self)
    }
}

impl Response {
    /// Whether the status is one of success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a value.
    ///
    /// # Errors
    /// `invalid` if it is not JSON of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Invalid(format!("the answer: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_what_it_is() {
        let header = Header { name: "content-type".into(), value: "application/json".into() };
        let answer = Response { status: 204, headers: vec![header], body: b"[1, 2]".to_vec(), labels: Vec::new() };
        assert!(answer.is_success());
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.json::<Vec<u32>>(), Ok(vec![1, 2]));
        assert!(answer.json::<String>().is_err());
    }
}
