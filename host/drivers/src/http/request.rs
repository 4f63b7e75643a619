//! A guest's request, read once: the address in its canonical form, so that what is decided on is what is dialled, and headers that a guest
//! may set. It repairs nothing else.

use std::time::{Duration, Instant};

use agentry_abi::bindings::agentry::agent::http::Request;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_kernel::call::{Call, Fetch};
use agentry_kernel::rights::HttpRight;
use agentry_kernel::url;
use agentry_store::content::Content;
use agentry_store::limits::{
    HTTP_BODY_MAX_BYTES, HTTP_HEADERS_MAX, HTTP_HEADERS_MAX_BYTES, HTTP_TIMEOUT_DEFAULT_MS, HTTP_TIMEOUT_MAX_MS,
    HTTP_URL_MAX_BYTES,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

/// Headers that say how bytes travel, or for whom: they are the host's to set.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// A longer method is none.
const METHOD_MAX_BYTES: usize = 16;

/// A request that makes sense.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) secret: Option<String>,
    pub(super) deadline: Instant,
}

impl Wanted {
    /// Reads what a guest passed.
    ///
    /// # Errors
    /// `invalid`, with what is wrong.
    pub fn read(request: Request) -> Result<Self, Error> {
        let timeout_ms = u64::from(request.timeout_ms.unwrap_or(u32::MAX)).min(HTTP_TIMEOUT_MAX_MS);
        let timeout_ms = if request.timeout_ms.is_none() { HTTP_TIMEOUT_DEFAULT_MS } else { timeout_ms };
        if request.body.len() > HTTP_BODY_MAX_BYTES {
            return Err(invalid(format!("the body is over {HTTP_BODY_MAX_BYTES} bytes")));
        }
        let headers = request.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        Ok(Self {
            method: method(&request.method)?,
            url: address(&request.url)?,
            headers: self::headers(headers)?,
            body: request.body,
            secret: request.secret,
            deadline: Instant::now() + Duration::from_millis(timeout_ms),
        })
    }

    /// What it asks the kernel, and the contents that it names.
    pub fn call(&self) -> (Call, Vec<Content>) {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let content = postcard::to_allocvec(&(headers.collect::<Vec<_>>(), &self.body));
        let content = Content::of(content.expect("requests are plain data, and memory grows"));
        let fetch = Fetch {
            method: self.method.as_str().to_owned(),
            url: self.url.as_str().to_owned(),
            content: content.digest,
            bytes: self.bytes(),
            secret: self.secret.clone(),
        };
        (Call::Fetch(fetch), vec![content])
    }

    /// Whether a rule covers it.
    pub fn fits(&self, right: &HttpRight) -> bool {
        url::Url::parse(self.url.as_str()).is_ok_and(|url| right.allows(self.method.as_str(), &url))
    }

    /// Bytes that leave this machine: address, headers and body. What the host adds is not the agent's.
    pub fn bytes(&self) -> u64 {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        (self.method.as_str().len() + self.url.as_str().len() + headers + self.body.len()) as u64
    }

    /// The time that is left of it.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn method(text: &str) -> Result<Method, Error> {
    let fits = (1..=METHOD_MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase());
    // The one asks a server for a tunnel, the other for what we sent, secrets included.
    if !fits || matches!(text, "CONNECT" | "TRACE") {
        return Err(invalid("the method is none that can be asked for: `GET`, `POST`, … in capitals"));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| invalid("the method is none"))
}

/// The address in its canonical form (WHATWG URL), if policy can read that in one way only. A fragment is never sent, so it is left out.
pub(super) fn address(text: &str) -> Result<Url, Error> {
    if text.len() > HTTP_URL_MAX_BYTES {
        return Err(invalid(format!("the url is over {HTTP_URL_MAX_BYTES} bytes")));
    }
    let mut url = Url::parse(text).map_err(|why| invalid(format!("the url makes no sense: {why}")))?;
    url.set_fragment(None);
    url::Url::parse(url.as_str()).map_err(|flaw| invalid(format!("the url {flaw}")))?;
    Ok(url)
}

fn headers<'a>(given: impl Iterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap, Error> {
    let (mut headers, mut bytes) = (HeaderMap::new(), 0_usize);
    for (name, value) in given {
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if headers.len() == HTTP_HEADERS_MAX || bytes > HTTP_HEADERS_MAX_BYTES {
            let max = format!("{HTTP_HEADERS_MAX} headers or {HTTP_HEADERS_MAX_BYTES} bytes of them");
            return Err(invalid(format!("there are more than {max}")));
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("a header's name is none"))?;
        if OURS.contains(&name.as_str()) {
            return Err(invalid(format!("the header `{name}` is the host's to set")));
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| invalid(format!("the value of header `{name}` is none")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::http::Header;

    use super::*;

    fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() });
        Request {
            method: method.into(),
            url: url.into(),
            headers: headers.collect(),
            body: Vec::new(),
            secret: None,
            timeout_ms: None,
        }
    }

    fn canonical(url: &str) -> Result<String, Error> {
        Wanted::read(request("GET", url, &[])).map(|wanted| wanted.url.as_str().to_owned())
    }

    #[test]
    fn a_host_has_one_spelling_whatever_was_written() {
        for (written, meant) in [
            ("https://EXAMPLE.org", "https://example.org/"),
            ("https://example.org:443/a#b", "https://example.org/a"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://0177.0.0.1/", "http://127.0.0.1/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://１２７.０.０.１/", "http://127.0.0.1/"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://example.org/a/../b/./c", "https://example.org/b/c"),
            ("https://example.org/a/%2e%2e/b", "https://example.org/b"),
            ("https:\\\\example.org\\a", "https://example.org/a"),
        ] {
            assert_eq!(canonical(written).as_deref(), Ok(meant), "{written}");
        }
    }

    #[test]
    fn an_address_that_two_could_read_differently_is_refused() {
        for url in [
            "https://user@example.org/",
            "https://example.org@evil.example/",
            "https://example.org./",
            "https://[::ffff:127.0.0.1]/",
            "https://example.org/a%2fb",
            "https://example.org/a%5cb",
            "https://example.org/%252e%252e/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "//example.org/",
            "example.org",
            "https://",
            "",
        ] {
            assert!(matches!(canonical(url), Err(Error::Invalid(_))), "{url}: {:?}", canonical(url));
        }
        assert!(canonical(&format!("https://example.org/{}", "a".repeat(HTTP_URL_MAX_BYTES))).is_err());
    }

    #[test]
    fn headers_that_are_the_hosts_or_break_a_line_are_refused() {
        let bad = [
            ("Host", "evil.example"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("x", "a\r\nx-injected: b"),
            ("x\r\ny", "a"),
            ("", "a"),
            ("x y", "a"),
            ("x", "a\0b"),
        ];
        for (name, value) in bad {
            let read = Wanted::read(request("GET", "https://example.org/", &[(name, value)]));
            assert!(matches!(read, Err(Error::Invalid(_))), "{name}: {value}");
        }
        let many: Vec<(&str, &str)> = vec![("x", "y"); HTTP_HEADERS_MAX + 1];
        assert!(Wanted::read(request("GET", "https://example.org/", &many)).is_err());
        let long = "x".repeat(HTTP_HEADERS_MAX_BYTES);
        assert!(Wanted::read(request("GET", "https://example.org/", &[("x", &long)])).is_err());
        assert!(Wanted::read(request("GET", "https://example.org/", &[("x-a", "b"), ("accept", "*/*")])).is_ok());
    }

    #[test]
    fn a_method_is_a_word_in_capitals_and_opens_no_tunnel() {
        for bad in ["", "get", "CONNECT", "TRACE", "GET /", "GET\r\n", "ABCDEFGHIJKLMNOPQ"] {
            assert!(Wanted::read(request(bad, "https://example.org/", &[])).is_err(), "{bad}");
        }
        for good in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            assert!(Wanted::read(request(good, "https://example.org/", &[])).is_ok(), "{good}");
        }
    }

    #[test]
    fn all_that_leaves_is_counted() {
        let mut request = request("POST", "https://example.org/", &[("x-a", "bc")]);
        request.body = vec![0; 100];
        let wanted = Wanted::read(request).expect("it makes sense");
        assert_eq!(wanted.bytes(), 4 + 20 + 3 + 2 + 4 + 100);
    }
}
