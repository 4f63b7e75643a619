//! A tool that is an address of the web. The request carries the arguments, a key by which the other side knows a call again, and a secret
//! that no agent sees. It follows no redirect: its entry says where it is.

use std::sync::Arc;

use agentry_abi::driver::IDEMPOTENCY_KEY;
use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_kernel::Permit;
use agentry_kernel::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::adapter::{Adapter, Reach, Wrong};
use super::answer::{self, Said};
use super::config::ToolLine;
use crate::web::address::Named;
use crate::web::{BodyOf, Outgoing, Trouble};

/// The keys of `http`.
pub(super) const ENDPOINT_KEYS: [&str; 4] = ["method", "url", "secret", "addresses"];

/// An address and what it is asked with.
#[derive(Clone, Debug)]
pub(super) struct EndpointLine {
    /// The method.
    pub(super) method: Method,
    /// Where it is.
    pub(super) url: Url,
    /// The handle of the secret that goes with each request.
    pub(super) secret: Option<String>,
    /// Networks that are not public and may be dialled.
    pub(super) addresses: Vec<IpNet>,
}

/// Asks it.
struct Client {
    line: Arc<EndpointLine>,
    shared: Arc<Shared>,
}

impl Reach for EndpointLine {
    fn adapter(self: Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Adapter> {
        Arc::new(Client { line: self, shared: Arc::clone(shared) })
    }
}

impl Adapter for Client {
    fn reach(&self) -> (&'static str, String) {
        ("http", format!("{} {}", self.line.method, self.line.url))
    }

    fn trouble(&self, _: &ToolLine) -> Option<String> {
        let handle = self.line.secret.as_deref()?;
        self.shared
            .secrets
            .header(handle, &self.line.url)
            .err()
            .map(|why| why.told(&self.line.url.origin().ascii_serialization()))
    }

    fn sends_bytes(&self) -> Option<u64> {
        Some(self.line.url.as_str().len() as u64)
    }

    fn call<'a>(
        &'a self,
        tool: &'a ToolLine,
        permit: &'a Permit,
        arguments: &'a Value,
        cut: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        ask(&self.shared, (tool, &self.line), permit, arguments, cut).boxed()
    }
}

/// Reads `http = { … }` of a tool.
pub(super) fn read(table: &Table<'_>, _: &ToolLine, _: &Value) -> Result<Arc<dyn Reach>, ConfigError> {
    table.only(&ENDPOINT_KEYS)?;
    let method = match table.text("method")?.unwrap_or("POST") {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        other => {
            let hint = "GET and DELETE carry the arguments in the query; POST, PUT and PATCH as JSON";
            return Err(table.mistake_in("method", format!("unknown method `{other}`"), hint));
        }
    };
    let text = table.needs_text("url")?;
    let url = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain
    });
    let Some(url) = url else {
        let hint = "write https:// or http://, a host and a path; keys go under `secret`";
        return Err(table.mistake_in("url", format!("`{text}` is no address of a server"), hint));
    };
    let mut addresses = Vec::new();
    for text in table.texts("addresses")? {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        addresses.push(network.map_err(|_| {
            let hint = "write a network or an address: \"10.1.2.0/24\"";
            table.mistake_in("addresses", format!("`{text}` is no network"), hint)
        })?);
    }
    Ok(Arc::new(EndpointLine { method, url, secret: table.text("secret")?.map(str::to_owned), addresses }))
}

/// Asks it with these arguments.
async fn ask(
    shared: &Shared,
    (tool, line): (&ToolLine, &EndpointLine),
    permit: &Permit,
    arguments: &Value,
    cut: &CancellationToken,
) -> Result<Said, Wrong> {
    let (url, body) = addressed(line, arguments)?;
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.5"));
    if !body.is_empty() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    if let Ok(key) = HeaderValue::from_str(&permit.key()) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    if let Some(handle) = &line.secret {
        let secret = shared.secrets.header(handle, &url).map_err(|why| Wrong::Withheld(why.to_string()))?;
        headers.insert(secret.0, secret.1);
    }
    let egress_bytes = (url.as_str().len() + body.len()) as u64;
    let request = Outgoing {
        method: line.method.clone(),
        url,
        headers,
        body,
        timeout: tool.timeout,
        answer_max_bytes: tool.output_max_bytes,
        body_of: BodyOf::Any,
    };
    let came = shared.web.send(request, &named(line), cut).await.map_err(|trouble| wrong(trouble, egress_bytes))?;
    let scrub = shared.secrets.scrub();
    let mime = came.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let part = answer::part(scrub.bytes(came.body), mime.map(|mime| scrub.text(mime)).as_deref());
    if (200..300).contains(&came.status) {
        return Ok(Said { failed: false, parts: vec![part], egress_bytes });
    }
    let status = answer::text(format!("it answered with status {}", came.status));
    Ok(Said { failed: true, parts: vec![status, part], egress_bytes })
}

/// Networks that its entry names; an address in place of a name names itself.
fn named(line: &EndpointLine) -> Named {
    let named = Named::new(line.addresses.iter().copied());
    let host = line.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse() {
        Ok(address) => named.and(address),
        Err(_) => named,
    }
}

/// The address and the body: the arguments stand in the body, or in the query where there is none.
fn addressed(line: &EndpointLine, arguments: &Value) -> Result<(Url, Vec<u8>), Wrong> {
    if line.method != Method::GET && line.method != Method::DELETE {
        return Ok((line.url.clone(), arguments.to_string().into_bytes()));
    }
    let mut url = line.url.clone();
    let entries = arguments.entries().unwrap_or_default();
    if !entries.is_empty() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in entries {
            match value {
                Value::Text(text) => pairs.append_pair(name, text),
                Value::Integer(_) | Value::Decimal(_) | Value::Bool(_) => pairs.append_pair(name, &value.to_string()),
                other => {
                    let why = format!("argument `{name}` is {}, which cannot stand in an address", other.kind());
                    return Err(Wrong::Unfit(why));
                }
            };
        }
    }
    Ok((url, Vec::new()))
}

fn wrong(trouble: Trouble, egress_bytes: u64) -> Wrong {
    let egress_bytes = if trouble.is_before_sending() { 0 } else { egress_bytes };
    match trouble {
        Trouble::Cancelled => Wrong::Cancelled,
        Trouble::TimedOut(_) => Wrong::TimedOut,
        Trouble::Busy => Wrong::Busy,
        other => Wrong::Unanswered { why: other.to_string(), egress_bytes },
    }
}

#[cfg(test)]
mod tests {
    use agentry_kernel::json;

    use super::*;

    fn line(method: Method, url: &str) -> EndpointLine {
        EndpointLine { method, url: Url::parse(url).expect(url), secret: None, addresses: Vec::new() }
    }

    #[test]
    fn arguments_stand_in_the_query_or_in_the_body_and_nowhere_else() {
        let arguments = json::parse(r#"{"q": "a b&c=d#e/../f", "n": 2}"#).expect("JSON");
        let (url, body) = addressed(&line(Method::GET, "https://x.example/find?v=1"), &arguments).expect("fits");
        assert_eq!(url.as_str(), "https://x.example/find?v=1&n=2&q=a+b%26c%3Dd%23e%2F..%2Ff");
        assert!(body.is_empty());
        let (url, body) = addressed(&line(Method::POST, "https://x.example/find"), &arguments).expect("fits");
        assert_eq!((url.as_str(), body), ("https://x.example/find", arguments.to_string().into_bytes()));
        let nested = json::parse(r#"{"q": {}}"#).expect("JSON");
        assert!(addressed(&line(Method::GET, "https://x.example/"), &nested).is_err());
    }

    #[test]
    fn an_address_in_place_of_a_name_names_itself_alone() {
        let named = named(&line(Method::GET, "http://127.0.0.1:8080/"));
        assert!(crate::web::address::check("127.0.0.1".parse().expect("an address"), &named).is_ok());
        assert!(crate::web::address::check("127.0.0.2".parse().expect("an address"), &named).is_err());
    }
}
