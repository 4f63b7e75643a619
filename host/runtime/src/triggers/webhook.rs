//! Requests from elsewhere: on loopback unless the admin says otherwise, each bounded in size and time. The body becomes the input of a run, as it
//! is; the run carries that strangers wrote it. Whoever asks learns that it was taken, which is durable then, and nothing of the run. Who knows a
//! secret shows it, or signs the body with it; where there is none, no page that a browser shows can ask.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentry_config::secret::Secret;
use agentry_kernel::json;
use agentry_store::Batch;
use agentry_store::limits::{
    INPUT_MAX_BYTES, TRIGGER_QUIET_LOOK_MS, WEBHOOK_CONNECTIONS_MAX, WEBHOOK_HEAD_MAX_BYTES, WEBHOOK_TIME_MAX_MS,
    WEBHOOK_WAITING_MAX,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

use super::pages::{Page, Pages};
use super::{Came, Trigger, Watched};
use crate::config::WebhookKey;

/// Where else a request may show its secret.
const HEADER: &str = "x-agentry-secret";

/// Where it may show that it knows it.
const SIGNATURE: &str = "x-hub-signature-256";

/// How long a request waits for what its agent takes, where the component is not ready yet.
const WEBHOOK_LOOK_MS: u64 = 2_000;

/// Between two tries to let somebody in, after the system could not.
const PAUSE: Duration = Duration::from_millis(100);

/// Why nobody listens for requests.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error(
        "cannot listen for webhooks at {address}: {why}\nhint: end what listens there, or name another address: [webhooks] listen = \"127.0.0.1:PORT\" in agents.toml"
    )]
    Address {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        why: std::io::Error,
    },
    /// The secret of a hook.
    #[error("the secret of {of}: {why}{}", remedy(why))]
    Secret {
        /// Whose.
        of: String,
        /// What is wrong with it; nothing of what is in it.
        why: String,
    },
}

/// What to do about a secret that cannot be read, where that is not said yet.
fn remedy(why: &str) -> &'static str {
    if why.contains("\nhint: ") {
        ""
    } else {
        "\nhint: put it where agents.toml says that it is, or leave `secret` or `token` out there"
    }
}

/// One webhook.
pub(super) struct Hook {
    secret: Option<Secret>,
    host: Arc<Watched>,
    trigger: Trigger,
    /// Requests that wait, each by its number; the next one's.
    next: AtomicU64,
    waiting: Arc<Semaphore>,
    bell: Notify,
}

/// What is answered at an address.
#[derive(Default)]
pub(super) struct Hooks {
    /// Webhooks by their paths.
    pub(super) by_path: BTreeMap<String, Arc<Hook>>,
    /// Who writes the pages on the host's health, if they are shown.
    pub(super) pages: Option<Arc<dyn Pages>>,
    /// What whoever reads the closed ones of these must know.
    pub(super) token: Option<Secret>,
}

impl Hooks {
    pub(super) fn is_empty(&self) -> bool {
        self.by_path.is_empty() && self.pages.is_none()
    }
}

impl Hook {
    pub(super) fn new(host: &Arc<Watched>, trigger: &Trigger, secret: Option<Secret>) -> Self {
        let (waiting, bell) = (Arc::new(Semaphore::new(WEBHOOK_WAITING_MAX)), Notify::new());
        let next = AtomicU64::new(host.drivers.gate.clock().now().0);
        Self { secret, host: Arc::clone(host), trigger: trigger.clone(), next, waiting, bell }
    }

    /// Whether the agent takes this for its input. One that cannot be looked at in time is asked when its run is to begin.
    async fn is_taken(&self, input: &str) -> Result<(), String> {
        if self.trigger.line.input.is_some() {
            return Ok(());
        }
        let package = self.host.agents.components().package(&self.trigger.component);
        match tokio::time::timeout(Duration::from_millis(WEBHOOK_LOOK_MS), package).await {
            Ok(Ok(prepared)) => prepared.shapes.check_input(input),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}

/// What a request must know, as it stands where the configuration says.
pub(super) fn secret(key: &WebhookKey, of: &str) -> Result<Secret, ListenError> {
    key.0.read().map_err(|why| ListenError::Secret { of: of.to_owned(), why })
}

/// An address at which requests are listened for. Dropping it closes it.
pub(super) struct Door {
    address: SocketAddr,
    shown: Arc<RwLock<Arc<Hooks>>>,
    task: AbortHandle,
}

impl Door {
    /// Opens it; until it is told what to show, it shows nothing.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address).await.map_err(|why| ListenError::Address { address, why })?;
        let shown = Arc::<RwLock<Arc<Hooks>>>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&shown))).abort_handle();
        Ok(Self { address, shown, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is answered.
    pub(super) fn show(&self, hooks: Hooks) {
        *self.shown.write() = Arc::new(hooks);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a run for each request, one after another; the room that each has taken comes back then.
pub(super) async fn tend(hook: Arc<Hook>) {
    let Hook { host, trigger, waiting, bell, .. } = &*hook;
    let mut rate = trigger.rate();
    loop {
        if !trigger.is_held(host) {
            if !trigger.carry_out(host, &mut rate).await {
                return;
            }
            waiting.add_permits(WEBHOOK_WAITING_MAX.saturating_sub(waiting.available_permits()));
        }
        // A person may let a dead one try again, too.
        let _ = tokio::time::timeout(Duration::from_millis(TRIGGER_QUIET_LOOK_MS), bell.notified()).await;
    }
}

async fn accept(listener: TcpListener, shown: Arc<RwLock<Arc<Hooks>>>) {
    let (mut connections, mut oldest) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    oldest.retain(|connection| !connection.is_finished());
                    // A request takes a moment: whoever has had a place for the longest is slow, and makes room.
                    if oldest.len() >= WEBHOOK_CONNECTIONS_MAX && let Some(slow) = oldest.pop_front() {
                        slow.abort();
                    }
                    let hooks = Arc::clone(&shown.read());
                    oldest.push_back(connections.spawn(async move {
                        let most = Duration::from_millis(WEBHOOK_TIME_MAX_MS);
                        // A peer that errs or is slow has lost its connection, and nothing else.
                        let _ = tokio::time::timeout(most, converse(stream, hooks)).await;
                    }));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request. Then the connection is closed.
async fn converse(stream: TcpStream, hooks: Arc<Hooks>) -> hyper::Result<()> {
    // A short answer is not kept back for a longer one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let hooks = Arc::clone(&hooks);
        async move { Ok::<_, Infallible>(answer(&hooks, request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(WEBHOOK_TIME_MAX_MS))
        .max_buf_size(WEBHOOK_HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(hooks: &Hooks, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Some(pages) = &hooks.pages
        && let Some(closed) = pages.has(request.uri().path())
    {
        return show(&**pages, hooks.token.as_ref().filter(|_| closed), &request).await;
    }
    let Some(hook) = hooks.by_path.get(request.uri().path()) else {
        return say(StatusCode::NOT_FOUND, "there is no such webhook");
    };
    if request.method() != Method::POST {
        return say(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST");
    }
    let headers = request.headers().clone();
    let signed = signature(&headers);
    match &hook.secret {
        None if !is_no_browser(&headers) => {
            return say(
                StatusCode::FORBIDDEN,
                "a hook without a secret takes application/json, from no page and for this host alone",
            );
        }
        // What is signed is seen when all of it is there.
        Some(secret) if signed.is_none() && !knows(&headers, secret) => {
            return say(StatusCode::UNAUTHORIZED, "the secret is missing or wrong");
        }
        None | Some(_) => {}
    }
    let Ok(body) = Limited::new(request.into_body(), INPUT_MAX_BYTES).collect().await else {
        return say(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broke off");
    };
    let body = body.to_bytes();
    if let (Some(secret), Some(signed)) = (&hook.secret, signed)
        && !bool::from(hmac(secret.reveal().as_bytes(), &body).ct_eq(&signed))
    {
        return say(StatusCode::UNAUTHORIZED, "the signature is not of this body, or not by this secret");
    }
    let Some(input) = std::str::from_utf8(&body).ok().filter(|text| json::check(text).is_ok()) else {
        return say(StatusCode::BAD_REQUEST, "the body is no JSON that everybody reads the same");
    };
    if let Err(why) = hook.is_taken(input).await {
        return say(StatusCode::UNPROCESSABLE_ENTITY, format!("the agent does not take this: {why}"));
    }
    if hook.trigger.is_held(&hook.host) {
        return say(StatusCode::SERVICE_UNAVAILABLE, "a person holds this webhook; try again later");
    }
    let Ok(place) = Arc::clone(&hook.waiting).try_acquire_owned() else {
        return say(StatusCode::TOO_MANY_REQUESTS, "too many requests wait; try again later");
    };
    let (number, came) = (hook.next.fetch_add(1, Ordering::Relaxed), Came::default());
    let noticed = hook.trigger.notice_as(&hook.host, input.to_owned(), &came, Batch::default(), number).await;
    if noticed.is_err() {
        return say(StatusCode::SERVICE_UNAVAILABLE, "it cannot be written down now; try again later");
    }
    place.forget();
    hook.bell.notify_one();
    say(StatusCode::ACCEPTED, "taken")
}

/// A page on the host's health, for whoever knows the token if it takes one.
async fn show(pages: &dyn Pages, token: Option<&Secret>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return say(StatusCode::METHOD_NOT_ALLOWED, "this page is only read");
    }
    if token.is_some_and(|token| !knows(request.headers(), token)) {
        return say(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
    }
    let Page { status, kind, body } = pages.page(request.uri().path()).await;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What no page of another site can have a browser send without being asked: JSON, without an origin, to a host by its own name.
fn is_no_browser(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_json =
        text(CONTENT_TYPE).is_some_and(|kind| kind.split(';').next().unwrap_or("").trim() == "application/json");
    let host = text(HOST).unwrap_or("");
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    // A name that leads here could be anybody's; an address, or the machine itself, is none.
    let is_here = name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    is_json && is_here && !headers.contains_key(ORIGIN)
}

/// The signature of a request: `sha256=` and the HMAC of its body in hexadecimal, as code forges send it.
fn signature(headers: &HeaderMap) -> Option<[u8; 32]> {
    let hex = headers.get(SIGNATURE)?.to_str().ok()?.strip_prefix("sha256=")?;
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Compares without telling by its time how much of it was right.
fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let given = bearer.or_else(|| headers.get(HEADER).map(|value| value.as_bytes()));
    given.is_some_and(|given| bool::from(given.ct_eq(secret.reveal().as_bytes())))
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // RFC 4231, test cases 2 and 6.
        let short = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(short), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        let headers =
            |value: &str| HeaderMap::from_iter([(SIGNATURE.parse().unwrap(), HeaderValue::from_str(value).unwrap())]);
        assert_eq!(signature(&headers(&format!("sha256={}", hex(short)))), Some(short));
        for bad in ["", "sha256=", "sha1=00", "sha256=zz", &format!("sha256={}", "é".repeat(32))] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            assert_eq!(signature(&HeaderMap::from_iter([(SIGNATURE.parse().unwrap(), value)])), None, "{bad}");
        }
    }

    #[test]
    fn no_page_that_a_browser_shows_starts_anything() {
        let ask = |lines: &[(&str, &str)]| {
            let line = |(name, value): &(&str, &str)| {
                (name.parse::<hyper::header::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            };
            is_no_browser(&lines.iter().map(line).collect())
        };
        let (json, here) = (("content-type", "application/json; charset=utf-8"), ("host", "127.0.0.1:8787"));
        assert!(ask(&[json, here]) && ask(&[json, ("host", "localhost")]) && ask(&[json, ("host", "[::1]:80")]));
        assert!(!ask(&[here]) && !ask(&[json]) && !ask(&[json, here, ("origin", "null")]));
        assert!(!ask(&[("content-type", "text/plain"), here]) && !ask(&[json, ("host", "evil.example:8787")]));
    }
}
