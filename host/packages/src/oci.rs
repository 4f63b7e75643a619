//! Packages in registries of containers (the distribution specification of OCI, 1.1), through the host's own guard. What is read is bounded in
//! size and time, held against its digest, and led nowhere that an admin did not name; whether it is to be believed is not decided here.

mod challenge;
mod image;

use std::sync::Arc;

use agentry_drivers::secrets::Secrets;
use agentry_drivers::web::{BodyOf, Incoming, Outgoing, Trouble, Web};
use agentry_kernel::digest::Digest;
use agentry_kernel::text::line;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::challenge::Challenge;
use self::image::{Image, Layer, MANIFEST};
use crate::config::RegistryLine;
use crate::fault::Fault;
use crate::limits::{IMAGE_MAX_BYTES, REDIRECTS_MAX, TOKEN_MAX_BYTES};
use crate::name::oci::OciName;
use crate::name::{host, origin};

/// Where a registry says of which bytes it speaks.
const DIGEST: &str = "docker-content-digest";

/// A registry, for one package.
pub struct Registry {
    web: Arc<Web>,
    secrets: Secrets,
    line: RegistryLine,
    name: OciName,
    base: Url,
    /// What says who asks, once the registry wanted to know.
    known: Option<(HeaderName, HeaderValue)>,
}

/// A package as it was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The component.
    pub component: Vec<u8>,
    /// The envelope beside it; or why that is not to be had, which says nothing of the component.
    pub envelope: Result<Option<Vec<u8>>, Fault>,
    /// Where it is, by digest.
    pub from: OciName,
}

/// One request.
struct Request {
    method: Method,
    url: Url,
    accept: Option<&'static str>,
    body: Vec<u8>,
    body_type: &'static str,
    answer_max_bytes: usize,
    /// What the token must be good for.
    acts: &'static str,
}

impl Registry {
    /// The registry of this name.
    ///
    /// # Errors
    /// If its address cannot be put together.
    pub fn new(name: &OciName, line: RegistryLine, web: Arc<Web>, secrets: Secrets) -> Result<Self, Fault> {
        let scheme = if line.plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{}/v2/{}/", name.host, name.repository));
        let base = base.map_err(|_| Fault::usage(format!("{name} is no address"), "look at the host"))?;
        Ok(Self { web, secrets, line, name: name.clone(), base, known: None })
    }

    /// The package, each part held against the digest by which it is named.
    ///
    /// # Errors
    /// If it is not there, not what it should be, or leads elsewhere.
    pub async fn pull(&mut self) -> Result<Pulled, Fault> {
        let url = self.url(&format!("manifests/{}", self.name.wanted()))?;
        let came = self.get(url, Some(MANIFEST), IMAGE_MAX_BYTES).await?;
        let digest = Digest(Sha256::digest(&came).into());
        if self.name.digest.is_some_and(|wanted| wanted != digest) {
            let message = format!("{} gives another manifest than the one that was named", self.name);
            return Err(Fault::denied(message, "tell whoever runs the registry"));
        }
        let image = Image::read(&came).map_err(|fault| fault.about(&self.name.to_string()))?;
        let component = self.layer(image.component).await?;
        let envelope = match image.envelope {
            Some(layer) => self.layer(layer).await.map(Some),
            None => Ok(None),
        };
        Ok(Pulled { component, envelope, from: self.name.pinned(digest) })
    }

    /// Puts a package there under its tag. Gives where it is, by digest.
    ///
    /// # Errors
    /// If the registry does not take it.
    pub async fn push(&mut self, file: &str, version: &str, parts: (&[u8], &[u8])) -> Result<OciName, Fault> {
        let (blobs, manifest) = image::made(file, version, parts.0, parts.1);
        for (digest, bytes) in blobs {
            self.upload(digest, bytes).await?;
        }
        let url = self.url(&format!("manifests/{}", self.name.wanted()))?;
        let digest = Digest(Sha256::digest(&manifest).into());
        let put = Request { body: manifest, body_type: MANIFEST, ..Request::to(Method::PUT, url) };
        let came = self.ask(put).await?;
        self.is_taken(&came, &[201])?;
        let name = self.name.clone();
        let other = || {
            let message = format!("{name} took the manifest, and has another one");
            Fault::denied(message, "nothing of it is believed; tell whoever runs the registry")
        };
        let said = came.headers.get(DIGEST).map(HeaderValue::as_bytes);
        if said.is_some_and(|said| said != format!("sha256:{digest}").as_bytes()) {
            return Err(other());
        }
        // What it says that it took, it may have thrown away.
        let url = self.url(&format!("manifests/sha256:{digest}"))?;
        let back = Request { accept: Some(MANIFEST), ..Request::to(Method::GET, url) };
        let came = self.ask(back).await?;
        if came.status == 404 {
            let message = format!("{} took the manifest, and does not have it", self.name);
            return Err(Fault::unavailable(message, "try again; if it stays so, tell whoever runs the registry"));
        }
        self.is_taken(&came, &[200])?;
        if Digest(Sha256::digest(&came.body).into()) != digest {
            return Err(other());
        }
        Ok(self.name.pinned(digest))
    }

    async fn upload(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), Fault> {
        let at = self.url("blobs/uploads/")?;
        let begun = self.ask(Request::to(Method::POST, at.clone())).await?;
        self.is_taken(&begun, &[202])?;
        let mut url = self.led(&at, &begun)?;
        url.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        let put =
            Request { body: bytes.to_vec(), body_type: "application/octet-stream", ..Request::to(Method::PUT, url) };
        let came = self.ask(put).await?;
        self.is_taken(&came, &[201])
    }

    /// A layer: these bytes and no others.
    async fn layer(&mut self, Layer { digest, bytes }: Layer) -> Result<Vec<u8>, Fault> {
        let url = self.url(&format!("blobs/sha256:{digest}"))?;
        // Nobody gives more than the manifest says.
        let came = self.get(url, None, bytes).await?;
        if came.len() == bytes && Digest(Sha256::digest(&came).into()) == digest {
            return Ok(came);
        }
        let message = format!("{} gives another layer than its manifest names", self.name);
        Err(Fault::denied(message, "try again later; if it stays so, tell whoever runs the registry"))
    }

    async fn get(&mut self, url: Url, accept: Option<&'static str>, max_bytes: usize) -> Result<Vec<u8>, Fault> {
        let get = Request { accept, answer_max_bytes: max_bytes, acts: "pull", ..Request::to(Method::GET, url) };
        let came = self.ask(get).await?;
        match came.status {
            200 => Ok(came.body),
            404 => {
                let message = format!("there is no {}", self.name);
                Err(Fault::usage(message, "look at its repository and its tag; who publishes it says what they are"))
            }
            status => Err(answered(&self.base, status)),
        }
    }

    /// Asks, says who asks if the registry wants to know, and follows where it may lead: all of that together takes no longer than one request may.
    async fn ask(&mut self, request: Request) -> Result<Incoming, Fault> {
        let (mut url, mut asked_who) = (request.url.clone(), false);
        let until = Instant::now() + self.line.patience;
        for _ in 0..=REDIRECTS_MAX {
            let came = self.send(&request, &url, until).await?;
            match came.status {
                401 if !asked_who && same(&url, &self.base) => {
                    asked_who = true;
                    self.introduce(&came, request.acts, until).await?;
                }
                301 | 302 | 303 | 307 | 308 if request.method == Method::GET => url = self.led(&url, &came)?,
                401 | 403 => {
                    let message = format!("{} lets nobody in who asks as this home does", host(&url));
                    let hint = "agentry.toml holds what says who asks, and packages.toml names it: secret = \"HANDLE\"";
                    return Err(Fault::denied(message, hint));
                }
                _ => return Ok(came),
            }
        }
        let message = format!("{} leads on more than {REDIRECTS_MAX} times", host(&self.base));
        Err(Fault::denied(message, "tell whoever runs the registry"))
    }

    async fn send(&self, request: &Request, url: &Url, until: Instant) -> Result<Incoming, Fault> {
        let mut headers = HeaderMap::new();
        request.accept.iter().for_each(|accept| drop(headers.insert(ACCEPT, HeaderValue::from_static(accept))));
        if !request.body_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.body_type));
        }
        // Who asks is for the registry alone, wherever it leads.
        if let Some((name, value)) = self.known.as_ref().filter(|_| same(url, &self.base)) {
            headers.insert(name, value.clone());
        }
        self.exchange(Outgoing {
            method: request.method.clone(),
            url: url.clone(),
            headers,
            body: request.body.clone(),
            timeout: until.saturating_duration_since(Instant::now()),
            answer_max_bytes: request.answer_max_bytes,
            body_of: BodyOf::Status(200),
        })
        .await
    }

    async fn exchange(&self, request: Outgoing) -> Result<Incoming, Fault> {
        let shown = format!("{}{}", host(&request.url), line(request.url.path()));
        let section = format!("[registries.\"{}\"] of packages.toml", self.name.host);
        self.web.send(request, &self.line.networks, &CancellationToken::new()).await.map_err(|trouble| {
            let trouble = match trouble {
                // What is left of the time says nothing to whoever gave it.
                Trouble::TimedOut(_) => Trouble::TimedOut(self.line.patience),
                trouble => trouble,
            };
            let message = format!("cannot read {shown}: {}", line(&trouble.to_string()));
            match trouble {
                Trouble::Barred { .. } => Fault::denied(
                    message,
                    format!("if it is meant to be there, name its network in {section}: networks = [\"…\"]"),
                ),
                Trouble::TooLong(_) => {
                    Fault::denied(message, "it gives more than it said: tell whoever runs the registry")
                }
                Trouble::Cancelled
                | Trouble::TimedOut(_)
                | Trouble::Busy
                | Trouble::Unreached(_)
                | Trouble::Broken(_) => Fault::unavailable(
                    message,
                    format!("look at the line, or give it more time in {section}: seconds = N"),
                ),
            }
        })
    }

    /// Learns how to say who asks.
    async fn introduce(&mut self, came: &Incoming, acts: &str, until: Instant) -> Result<(), Fault> {
        let asked = came.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
        let secret = |to: &Url| {
            let Some(handle) = &self.line.secret else { return Ok(None) };
            let given = self.secrets.header(handle, to).map(Some);
            given.map_err(|why| {
                let told = why.told(&to.origin().ascii_serialization());
                let (message, hint) = told.split_once("\nhint: ").unwrap_or((&told, "look at agentry.toml"));
                Fault::denied(format!("{}: {message}", host(&self.base)), hint)
            })
        };
        self.known = match Challenge::best(asked) {
            Some(Challenge::Basic) => Some(secret(&self.base)?.ok_or_else(|| {
                let message = format!("{} wants to know who asks", host(&self.base));
                Fault::denied(
                    message,
                    format!(
                        "name what says so: secret = \"HANDLE\" in [registries.\"{}\"] of packages.toml",
                        self.name.host
                    ),
                )
            })?),
            Some(Challenge::Bearer { realm, service }) => {
                self.may_lead(&self.base, &realm)?;
                let mut headers = HeaderMap::new();
                secret(&realm)?.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
                let scope = format!("repository:{}:{acts}", self.name.repository);
                let came = self
                    .exchange(Outgoing {
                        method: Method::GET,
                        url: challenge::address(&realm, service.as_deref(), &scope),
                        headers,
                        body: Vec::new(),
                        timeout: until.saturating_duration_since(Instant::now()),
                        answer_max_bytes: TOKEN_MAX_BYTES,
                        body_of: BodyOf::Status(200),
                    })
                    .await?;
                if came.status == 429 || came.status >= 500 {
                    return Err(answered(&realm, came.status));
                }
                let token = challenge::token(&came.body).filter(|_| came.status == 200).ok_or_else(|| {
                    let message = format!("{} gives no token for {scope}", host(&realm));
                    Fault::denied(message, "look at the repository's name, and at who may read or write there")
                })?;
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value = value.expect("a token is visible ASCII, as its reader saw to");
                value.set_sensitive(true);
                Some((AUTHORIZATION, value))
            }
            None => {
                let message =
                    format!("{} wants to know who asks in a way that this version does not know", host(&self.base));
                return Err(Fault::denied(message, "registries ask by `Bearer` or `Basic`"));
            }
        };
        Ok(())
    }

    /// Where an answer leads, if it may lead there.
    fn led(&self, from: &Url, came: &Incoming) -> Result<Url, Fault> {
        let to = came.headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
        let to =
            to.ok_or_else(|| Fault::denied(format!("{} leads nowhere", host(from)), "tell whoever runs the registry"))?;
        self.may_lead(from, &to)?;
        Ok(to)
    }

    fn may_lead(&self, from: &Url, to: &Url) -> Result<(), Fault> {
        let named = || self.line.leads_to.iter().any(|origin| same(origin, to));
        let is_nobodys = to.username().is_empty() && to.password().is_none();
        let may = same(to, &self.base) || named();
        if is_nobodys && may {
            return Ok(());
        }
        if may {
            let message = format!("{} leads to an address with a name or a password", host(from));
            return Err(Fault::denied(message, "who asks is for an admin to say: tell whoever runs the registry"));
        }
        let message = format!("{} leads to another server, {}", host(from), origin(to));
        let hint = match to.scheme() {
            "http" | "https" => format!(
                "if it is meant to: leads_to = [\"{}\"] in [registries.\"{}\"] of packages.toml",
                host(to),
                self.name.host
            ),
            _ => "no registry is asked on such a way: tell whoever runs this one".to_owned(),
        };
        Err(Fault::denied(message, hint))
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        // A digest has a colon, which would be a scheme at the beginning.
        self.base
            .join(&format!("./{path}"))
            .map_err(|_| Fault::usage(format!("{} is no address", self.name), "look at its tag"))
    }

    fn is_taken(&self, came: &Incoming, good: &[u16]) -> Result<(), Fault> {
        if good.contains(&came.status) { Ok(()) } else { Err(answered(&self.base, came.status)) }
    }
}

impl Request {
    fn to(method: Method, url: Url) -> Self {
        let (accept, body, body_type, acts) = (None, Vec::new(), "", "pull,push");
        Self { method, url, accept, body, body_type, answer_max_bytes: IMAGE_MAX_BYTES, acts }
    }
}

fn answered(by: &Url, status: u16) -> Fault {
    let message = format!("{} answered with status {status}", host(by));
    Fault::unavailable(message, "try again later, or ask whoever runs it")
}

/// Whether two addresses are of one server.
fn same(a: &Url, b: &Url) -> bool {
    (a.scheme(), a.host(), a.port_or_known_default()) == (b.scheme(), b.host(), b.port_or_known_default())
}
