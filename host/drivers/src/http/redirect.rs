//! What a redirect asks for (RFC 9110, 15.4; the Fetch standard, 4.4): another request, which knows less where it goes elsewhere.

use agentry_abi::bindings::agentry::agent::http::Response;
use agentry_abi::bindings::agentry::agent::types::Error;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE};

use super::Wanted;
use super::request::address;

impl Wanted {
    /// The request that an answer asks for instead; none if it is an answer.
    ///
    /// # Errors
    /// `invalid` if it leads to no address.
    pub fn redirected(&self, answer: &Response) -> Option<Result<Self, Error>> {
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let mut locations = answer.headers.iter().filter(|header| header.name == "location");
        let (location, None) = (locations.next()?, locations.next()) else {
            return Some(Err(Error::Invalid("a redirect leads to two places".to_owned())));
        };
        Some(self.to(answer.status, &location.value))
    }

    fn to(&self, status: u16, location: &str) -> Result<Self, Error> {
        let joined =
            self.url.join(location).map_err(|why| Error::Invalid(format!("a redirect leads nowhere: {why}")))?;
        let url = address(joined.as_str())?;
        let mut next = Self { url, ..self.clone() };
        let becomes_get = match status {
            303 => !matches!(self.method, Method::GET | Method::HEAD),
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = Vec::new();
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                next.headers.remove(name);
            }
        }
        // What was for one server is not for another one, whoever sends us there.
        if next.url.origin() != self.url.origin() {
            next.secret = None;
            next.headers.remove(AUTHORIZATION);
            next.headers.remove(COOKIE);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::http::{Header, Request};

    use super::*;

    fn wanted(method: &str) -> Wanted {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        Wanted::read(Request {
            method: method.into(),
            url: "https://api.example.org/v1/a".into(),
            headers: vec![
                header("authorization", "Basic x"),
                header("cookie", "c"),
                header("content-type", "text/plain"),
            ],
            body: b"body".to_vec(),
            secret: Some("crm".into()),
            timeout_ms: None,
        })
        .expect("it makes sense")
    }

    fn answer(status: u16, locations: &[&str]) -> Response {
        let header = |value: &&str| Header { name: "location".into(), value: (*value).into() };
        Response { status, headers: locations.iter().map(header).collect(), body: Vec::new(), labels: Vec::new() }
    }

    fn redirected(method: &str, status: u16, location: &str) -> Wanted {
        wanted(method).redirected(&answer(status, &[location])).expect("a redirect").expect("it leads somewhere")
    }

    #[test]
    fn a_redirect_to_another_server_takes_no_secret_along() {
        for elsewhere in
            ["https://evil.example/", "http://api.example.org/v1/a", "https://api.example.org:444/", "//x.example/"]
        {
            let next = redirected("GET", 302, elsewhere);
            assert_eq!(next.secret, None, "{elsewhere}");
            assert!(!next.headers.contains_key("authorization") && !next.headers.contains_key("cookie"), "{elsewhere}");
        }
        let next = redirected("GET", 302, "../b?c");
        assert_eq!((next.url.as_str(), next.secret.as_deref()), ("https://api.example.org/b?c", Some("crm")));
        assert!(next.headers.contains_key("authorization"));
    }

    #[test]
    fn a_redirect_keeps_method_and_body_where_it_says_so() {
        for (method, status, becomes, keeps_body) in [
            ("POST", 301, "GET", false),
            ("POST", 302, "GET", false),
            ("PUT", 302, "PUT", true),
            ("POST", 303, "GET", false),
            ("PUT", 303, "GET", false),
            ("HEAD", 303, "HEAD", true),
            ("POST", 307, "POST", true),
            ("DELETE", 308, "DELETE", true),
        ] {
            let next = redirected(method, status, "/b");
            assert_eq!((next.method.as_str(), next.body.is_empty()), (becomes, !keeps_body), "{method} {status}");
            assert_eq!(next.headers.contains_key("content-type"), keeps_body);
        }
    }

    #[test]
    fn what_is_no_redirect_is_an_answer() {
        assert!(wanted("GET").redirected(&answer(200, &["/b"])).is_none());
        assert!(wanted("GET").redirected(&answer(304, &["/b"])).is_none());
        assert!(wanted("GET").redirected(&answer(302, &[])).is_none());
    }

    #[test]
    fn a_redirect_that_makes_no_sense_is_refused() {
        for location in
            ["file:///etc/passwd", "https://user@x.example/", "https://x.example/a%2fb", "http://[", "javascript:1"]
        {
            let next = wanted("GET").redirected(&answer(302, &[location])).expect("a redirect");
            assert!(matches!(next, Err(Error::Invalid(_))), "{location}");
        }
        assert!(wanted("GET").redirected(&answer(302, &["/a", "/b"])).expect("a redirect").is_err());
    }
}
