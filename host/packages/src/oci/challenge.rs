//! What a registry says to whoever it does not know (RFC 9110, 11.6.1), and the token that it gives then. It sends nothing.

use reqwest::Url;
use serde::Deserialize;

use crate::limits::CHALLENGE_MAX_BYTES;

/// How it wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By a token from there.
    Bearer {
        /// Where.
        realm: Url,
        /// For whom the token is.
        service: Option<String>,
    },
    /// By a name and a password with each request.
    Basic,
}

impl Challenge {
    /// Reads `WWW-Authenticate`; none if it says nothing of the kind.
    pub(super) fn read(header: &str) -> Option<Self> {
        let header = header.trim();
        if header.len() > CHALLENGE_MAX_BYTES {
            return None;
        }
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut rest) = (None, None, rest.trim_start());
        while !rest.is_empty() {
            let (name, tail) = rest.split_once('=')?;
            let tail = tail.strip_prefix('"')?;
            let (value, tail) = tail.split_once('"')?;
            // What is quoted inside a quote is no address.
            if value.contains('\\') {
                return None;
            }
            match name.trim() {
                name if name.eq_ignore_ascii_case("realm") => realm = Some(value),
                name if name.eq_ignore_ascii_case("service") => service = Some(value.to_owned()),
                _ => {}
            }
            rest = tail.trim_start().trim_start_matches(',').trim_start();
        }
        let realm = Url::parse(realm?).ok().filter(|realm| realm.host().is_some() && realm.username().is_empty())?;
        Some(Self::Bearer { realm, service })
    }
}

/// Where a token for this is to be had.
pub(super) fn address(realm: &Url, service: Option<&str>, scope: &str) -> Url {
    let mut address = realm.clone();
    address.set_fragment(None);
    address.set_query(None);
    let mut pairs = address.query_pairs_mut();
    if let Some(service) = service {
        pairs.append_pair("service", service);
    }
    pairs.append_pair("scope", scope);
    drop(pairs);
    address
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

/// The token in an answer; none if there is none that fits in a header.
pub(super) fn token(body: &[u8]) -> Option<String> {
    let given: Given = serde_json::from_slice(body).ok()?;
    let token = given.token.or(given.access_token)?;
    let visible = |byte: u8| byte.is_ascii_graphic();
    (!token.is_empty() && token.len() <= CHALLENGE_MAX_BYTES && token.bytes().all(visible)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_as_registries_write_it() {
        let text = r#"Bearer realm="https://auth.example.org/token?x=1",service="registry.example.org",scope="repository:a/b:pull""#;
        let Some(Challenge::Bearer { realm, service }) = Challenge::read(text) else { panic!("it is one") };
        let address = address(&realm, service.as_deref(), "repository:acme/keeper:pull");
        assert_eq!(
            address.as_str(),
            "https://auth.example.org/token?service=registry.example.org&scope=repository%3Aacme%2Fkeeper%3Apull"
        );
        assert_eq!(Challenge::read("basic realm=\"x\""), Some(Challenge::Basic));
        let long = format!("Bearer realm=\"https://a.example/{}\"", "a".repeat(100_000));
        for bad in [
            "",
            "Negotiate abc",
            "Bearer",
            "Bearer realm=x",
            "Bearer realm=\"x\"",
            "Bearer service=\"x\"",
            "Bearer realm=\"https://a.example",
            "Bearer realm=\"https://u:p@a.example/\"",
            "Bearer realm=\"\\\\x\"",
            &long,
        ] {
            assert_eq!(Challenge::read(bad), None, "{bad:.40}");
        }
    }

    #[test]
    fn a_token_is_visible_text_or_none() {
        assert_eq!(token(br#"{"token": "abc.def", "expires_in": 60}"#).as_deref(), Some("abc.def"));
        assert_eq!(token(br#"{"access_token": "abc"}"#).as_deref(), Some("abc"));
        for bad in [&b"{}"[..], br#"{"token": ""}"#, br#"{"token": "a\nb"}"#, br#"{"token": 1}"#, b"abc"] {
            assert_eq!(token(bad), None);
        }
    }
}
