//! The way from an author's desk to a server: one address, by our own guard, with at most one secret of this home, which it takes out of all that
//! comes back. It follows no redirect.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentry_drivers::secrets::Secrets;
use agentry_drivers::web::address::Named;
use agentry_drivers::web::{BodyOf, Outgoing, System, Trouble, Web};
use agentry_kernel::text;
use agentry_kernel::url;
use agentry_mcp::{Post, Reply, Way};
use agentry_packages::Fault;
use agentry_runtime::config::Config;
use agentry_store::limits::HTTP_ANSWER_MAX_BYTES;
use anyhow::{Result, anyhow};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio_util::sync::CancellationToken;

use super::Asking;

/// How long an answer may take: as long as one that an agent asks for.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What is told of a server's own words, in characters.
const TOLD_MAX_CHARS: usize = 400;

/// The way to one server.
pub(super) struct Desk {
    web: Web,
    url: Url,
    secrets: Secrets,
    secret: Option<(HeaderName, HeaderValue)>,
    named: Named,
}

/// How it failed: a fault of the way, or what is wrong with an answer.
#[derive(Debug)]
pub(super) struct Said(Fault);

impl Desk {
    /// Looks at the address and for the secret; nothing is sent.
    pub(super) fn open(home: &Path, asking: &Asking<'_>) -> Result<Self> {
        let url = address(asking.url, !asking.networks.is_empty())?;
        let config = Config::load(home)?;
        let secrets = Secrets::open(&config.secrets);
        let origin = url.origin().ascii_serialization();
        let secret = asking.secret.map(|handle| secrets.header(handle, &url)).transpose();
        let secret = secret.map_err(|why| anyhow!(why.told(&origin)))?;
        let named = Named::new(asking.networks.iter().copied());
        Ok(Self { web: Web::new(Arc::new(System::new(config.hosts))), url, secrets, secret, named })
    }

    /// The address in its canonical form.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Scheme, host and, where it is not the scheme's own, port.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    fn fault(&self, trouble: &Trouble) -> Fault {
        let message = format!("cannot ask {}: {}", text::line(&self.origin()), text::line(&trouble.to_string()));
        match trouble {
            Trouble::Barred { address, .. } => {
                Fault::denied(message, format!("if it is meant to be there, name its network: --network {address}"))
            }
            Trouble::Cancelled
            | Trouble::TimedOut(_)
            | Trouble::Busy
            | Trouble::Unreached(_)
            | Trouble::Broken(_)
            | Trouble::TooLong(_) => Fault::unavailable(
                message,
                "look at the address; a server of MCP by Streamable HTTP answers to POST there",
            ),
        }
    }
}

impl Way for Desk {
    type Error = Said;

    async fn post(&mut self, post: Post) -> Result<Reply, Said> {
        let mut headers = HeaderMap::new();
        for (name, value) in post.headers {
            let value =
                HeaderValue::from_str(&value).map_err(|_| Said::from("a header of the protocol is none".to_owned()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        headers.extend(self.secret.clone());
        let request = Outgoing {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: post.body,
            timeout: ANSWER_MAX,
            answer_max_bytes: HTTP_ANSWER_MAX_BYTES,
            body_of: BodyOf::Any,
        };
        let came = self.web.send(request, &self.named, &CancellationToken::new()).await;
        let came = came.map_err(|trouble| Said(self.fault(&trouble)))?;
        let header = |name: &str| Some(came.headers.get(name)?.to_str().ok()?.to_owned());
        let (content_type, session) = (header("content-type").unwrap_or_default(), header("mcp-session-id"));
        // A server that gives back what it was sent would have it in a package that everybody reads.
        Ok(Reply { status: came.status, content_type, session, body: self.secrets.scrub().bytes(came.body) })
    }
}

impl From<String> for Said {
    fn from(why: String) -> Self {
        let hint = "it has to speak MCP by Streamable HTTP at this address; `--secret HANDLE` says who asks";
        Self(Fault::unavailable(text::show_up_to(TOLD_MAX_CHARS, &why), hint))
    }
}

impl From<Said> for anyhow::Error {
    fn from(Said(fault): Said) -> Self {
        fault.into()
    }
}

/// An address that can be read in one way alone, and that may stand in a package for everybody to read.
fn address(text: &str, inside: bool) -> Result<Url, Fault> {
    let wrong = |why: &str, hint: &str| Fault::usage(format!("{} {why}", text::line(text)), hint);
    let hint = "for example https://mcp.example.org/mcp";
    let url = Url::parse(text).map_err(|why| wrong(&format!("is no address: {why}"), hint))?;
    url::Url::parse(url.as_str()).map_err(|flaw| wrong(flaw, hint))?;
    if url.scheme() != "https" && !inside {
        return Err(wrong(
            "is not asked without TLS",
            "write https://, or name the network that it is in: --network 10.1.0.0/16",
        ));
    }
    if url.query().is_some() {
        let hint =
            "what stands behind the `?` would be in the package for everybody to read: say who asks by --secret HANDLE";
        return Err(wrong("has a query", hint));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_public_by_tls_or_inside_and_says_nothing_that_others_may_not_read() {
        for (text, inside) in [("https://a.example/mcp", false), ("http://10.1.2.3:8000/mcp", true)] {
            assert!(address(text, inside).is_ok(), "{text}");
        }
        for (text, says) in [
            ("mcp.example.org", "is no address"),
            ("http://a.example/mcp", "without TLS"),
            ("https://me:key@a.example/mcp", "a.example"),
            ("https://a.example/mcp?key=1", "has a query"),
            ("https://a.example/mcp#x", "fragment"),
            ("ftp://a.example/mcp", "begins neither"),
        ] {
            let fault = address(text, false).expect_err(text);
            assert!(format!("{fault}").contains(says), "{fault}");
        }
    }
}
