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
    /// The one that is answered, of all that these headers of `WWW-Authenticate` offer: a token, which is good for one repository, before a password,
    /// which is good for all; none if they offer neither.
    pub(super) fn best<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<Self> {
        let all: Vec<Self> = headers.into_iter().flat_map(Self::all).collect();
        all.iter().find(|one| matches!(one, Self::Bearer { .. })).or(all.first()).cloned()
    }

    /// Those of one header that are known here; none of one that is not as it should be.
    fn all(header: &str) -> Vec<Self> {
        if header.len() > CHALLENGE_MAX_BYTES {
            return Vec::new();
        }
        let offers = offers(header).unwrap_or_default();
        offers.into_iter().filter_map(|(scheme, given)| Self::of(scheme, &given)).collect()
    }

    fn of(scheme: &str, given: &[(&str, &str)]) -> Option<Self> {
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let said = |wanted: &str| {
            let named = given.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| *value)
        };
        let realm = Url::parse(said("realm")?).ok();
        let is_nobodys = |realm: &Url| realm.username().is_empty() && realm.password().is_none();
        let realm = realm.filter(|realm| realm.host().is_some() && is_nobodys(realm))?;
        Some(Self::Bearer { realm, service: said("service").map(str::to_owned) })
    }
}

/// A scheme, and what is said with it.
type Offer<'h> = (&'h str, Vec<(&'h str, &'h str)>);

/// What one header offers: schemes, each with what is said of it, all of them behind commas. None if it is not so.
fn offers(header: &str) -> Option<Vec<Offer<'_>>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = header.split(|letter| {
        let is_comma = letter == ',' && !is_quoted;
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_comma
    });
    let mut offers: Vec<Offer<'_>> = Vec::new();
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(said) = parameter(part) {
            offers.last_mut()?.1.push(said);
            continue;
        }
        let (scheme, behind) = part.split_once(' ').unwrap_or((part, ""));
        if !is_token(scheme) {
            return None;
        }
        // What is no parameter is a ticket of a scheme that is not known here.
        offers.push((scheme, parameter(behind.trim_start()).into_iter().collect()));
    }
    Some(offers)
}

/// `name=value` or `name="value"`. What is escaped inside a quote is no address.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim_start());
    let quoted = || value.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\']));
    let value = if is_token(value) { value } else { quoted()? };
    is_token(name).then_some((name, value))
}

/// A word of HTTP (RFC 9110, 5.6.2).
fn is_token(word: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !word.is_empty() && word.bytes().all(known)
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
        let Some(Challenge::Bearer { realm, service }) = Challenge::best([text]) else { panic!("it is one") };
        let address = address(&realm, service.as_deref(), "repository:acme/keeper:pull");
        assert_eq!(
            address.as_str(),
            "https://auth.example.org/token?service=registry.example.org&scope=repository%3Aacme%2Fkeeper%3Apull"
        );
        assert_eq!(Challenge::best(["basic realm=\"x\""]), Some(Challenge::Basic));
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
            "Bearer realm=\"https://:p@a.example/\"",
            "Bearer realm=\"\\\\x\"",
            &long,
        ] {
            assert_eq!(Challenge::best([bad]), None, "{bad:.40}");
        }
    }

    #[test]
    fn of_several_challenges_a_token_goes_before_a_password() {
        let bearer = r#"Bearer realm="https://a.example/token", service=registry.example"#;
        let known = Challenge::Bearer {
            realm: Url::parse("https://a.example/token").unwrap(),
            service: Some("registry.example".to_owned()),
        };
        let negotiate = "Negotiate YWJj==";
        let basic = r#"Basic realm="it is, \"Bearer realm=x\"", charset="UTF-8""#;
        for headers in [
            vec![bearer.to_owned()],
            vec![basic.to_owned(), bearer.to_owned()],
            vec![negotiate.to_owned(), bearer.to_owned()],
            vec![format!("{negotiate}, {basic} ,, {bearer}")],
            vec![format!("{bearer},{negotiate}")],
            vec![
                "\"".to_owned(),
                bearer.replace(", service", " , SERVICE").replace("Bearer realm=", "bearer  Realm = "),
            ],
        ] {
            let found = Challenge::best(headers.iter().map(String::as_str));
            assert_eq!(found.as_ref(), Some(&known), "{headers:?}");
        }
        assert_eq!(Challenge::best([negotiate, basic]), Some(Challenge::Basic));
        assert_eq!(Challenge::best([negotiate, "realm=\"https://a.example/\""]), None);
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
