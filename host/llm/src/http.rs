//! The way to a provider over HTTP: one kept client each, bounded in time and size. It shows nobody the key, and no guest the address.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, Url, redirect};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Finished;
use super::draft::{Draft, unavailable};
use super::frames::{Frames, unpacked};
use super::retry::retry_after_ms;
use super::sse::Event;
use super::trouble::{Complaint, Trouble, TroubleKind};
use super::wire::shorten;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::IDEMPOTENCY_KEY;
use agentry_config::scrub::{SECRET_MIN_BYTES, Scrub};
use agentry_config::secret::{LiveKey, Secret};

/// How much of a stream is looked at at once.
const PIECE_BYTES: usize = 16 * 1024;

/// How much of a provider's complaint is read.
const COMPLAINT_MAX_BYTES: usize = 16 * 1024;

/// How much of a provider's complaint is passed on.
const COMPLAINT_SHOWN_CHARS: usize = 300;

/// How long the end of a finished stream may take, so that its connection can be used again.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Where a provider says what it calls a request; its support asks for that.
const REQUEST_IDS: [&str; 6] =
    ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-goog-request-id", "x-generation-id"];

/// Where providers that serve everybody are asked.
const PUBLIC_HOSTS: [&str; 13] = [
    "api.anthropic.com",
    "api.cerebras.ai",
    "api.cohere.com",
    "api.deepseek.com",
    "api.fireworks.ai",
    "api.groq.com",
    "api.mistral.ai",
    "api.moonshot.ai",
    "api.openai.com",
    "api.together.xyz",
    "api.x.ai",
    "generativelanguage.googleapis.com",
    "openrouter.ai",
];

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the next byte, the first included.
    pub(crate) idle: Duration,
}

/// One address that questions are posted to.
pub(super) struct Endpoint {
    client: OnceLock<Result<Client, String>>,
    url: Url,
    headers: HeaderMap,
    patience: Patience,
    key: Option<Shown>,
    veils: Mutex<Arc<Veils>>,
}

/// How a key is shown.
struct Shown {
    live: Arc<LiveKey>,
    /// None if it is not shown, but signs.
    header: Option<HeaderName>,
    before: &'static str,
}

/// What is kept out of what, as long as the key is this one.
#[derive(Clone, Default)]
struct Veils {
    key: Option<Secret>,
    /// What no guest may see of what is told about a call: key, address, name of the model.
    told: Scrub,
    /// What no guest may see of an answer: the key and where it came from. Models may speak of models.
    said: Arc<Scrub>,
    /// For the admin, who knows the address: the key.
    noted: Scrub,
}

/// The events of an answer, as they come.
pub(super) struct Incoming {
    body: Body,
    chunk: Bytes,
    frames: Frames,
    headers: HeaderMap,
    idle: Duration,
    /// What comes after the events that are there.
    end: Option<Result<(), Trouble>>,
}

type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// Changes a question just before it leaves, for example to sign it.
pub(super) type Sign<'a> = &'a (dyn Fn(&mut Request) -> Result<(), String> + Send + Sync);

impl Endpoint {
    /// The address `base` and `path` together, for questions to a provider's `model`.
    pub(super) fn new(base: &str, path: &str, patience: Patience, model: &str) -> Self {
        let url = Url::parse(&format!("{base}{path}")).expect("the configuration's reader has parsed the base");
        let host = url.host_str().unwrap_or_default().to_owned();
        let place = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        // Where everybody can ask is no secret, and models write programs that ask there.
        let ours = Some(place.as_str()).filter(|_| !PUBLIC_HOSTS.contains(&host.as_str()));
        let clean = || Scrub::default().marking("…");
        let veils = Veils {
            key: None,
            told: clean().hiding_words([url.as_str(), base, model, &place, &host]),
            said: Arc::new(clean().hiding_words(ours)),
            noted: clean(),
        };
        let (client, headers) = (OnceLock::new(), HeaderMap::new());
        Self { client, url, headers, patience, key: None, veils: Mutex::new(Arc::new(veils)) }
    }

    /// Shows this key in a header of this name, after the word `before`; under no name it is only kept out of all that comes back.
    /// Without a key that was to be there nothing is asked.
    pub(super) fn with_key(mut self, header: &'static str, before: &'static str, key: Option<Arc<LiveKey>>) -> Self {
        let header = (!header.is_empty()).then(|| HeaderName::from_static(header));
        self.key = key.map(|live| Shown { live, header, before });
        self
    }

    /// Keeps a secret out of all that comes back.
    pub(super) fn hiding(self, secret: &str) -> Self {
        let veils = Veils::clone(&self.veils.lock()).hiding(secret);
        *self.veils.lock() = Arc::new(veils);
        self
    }

    /// The veils for the key as it is now. A key that has gone stays hidden: answers to it may still be on their way.
    fn veils(&self) -> Result<Arc<Veils>, String> {
        let Some(shown) = &self.key else { return Ok(Arc::clone(&self.veils.lock())) };
        let key = shown.live.now()?;
        let mut veils = self.veils.lock();
        if veils.key.as_ref().is_none_or(|known| known.reveal() != key.reveal()) {
            *veils = Arc::new(Veils { key: Some(key.clone()), ..Veils::clone(&veils).hiding(key.reveal()) });
        }
        Ok(Arc::clone(&veils))
    }

    /// What takes the key out of answers.
    pub(super) fn scrub(&self) -> Arc<Scrub> {
        let veils = self.veils().unwrap_or_else(|_| Arc::clone(&self.veils.lock()));
        Arc::clone(&veils.said)
    }

    /// Sends this along with each question, instead of what was sent under that name.
    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        let header = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(name), Ok(value)) = header else { unreachable!("the configuration's reader has looked at it") };
        self.headers.insert(name, value);
        self
    }

    fn client(&self) -> Result<&Client, Trouble> {
        let build = || {
            let builder = Client::builder()
                .connect_timeout(self.patience.connect)
                .tcp_nodelay(true)
                .redirect(redirect::Policy::none())
                .referer(false);
            // What runs on this machine is not asked through a proxy.
            let builder = if is_loopback(&self.url) { builder.no_proxy() } else { builder };
            builder.build().map_err(|why| why.to_string())
        };
        self.client.get_or_init(build).as_ref().map_err(|why| Trouble::Unreached(why.clone()))
    }

    /// Posts a question and gives the events of its answer. Under the same key it is the same question.
    pub(super) async fn post(
        &self,
        key: &str,
        body: Bytes,
        sign: Sign<'_>,
        cut: &CancellationToken,
    ) -> Result<Incoming, Trouble> {
        let response = self.send(key, body, sign, "text/event-stream", cut).await?;
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let frames = Frames::new(header("content-type"), header("content-encoding"));
        let headers = response.headers().clone();
        let body = Box::pin(response.bytes_stream());
        Ok(Incoming { body, chunk: Bytes::new(), frames, headers, idle: self.patience.idle, end: None })
    }

    /// Posts a question; what comes back begins to answer it.
    async fn send(
        &self,
        key: &str,
        body: Bytes,
        sign: Sign<'_>,
        accept: &'static str,
        cut: &CancellationToken,
    ) -> Result<Response, Trouble> {
        let veils = self.veils().map_err(Trouble::Unset)?;
        let client = self.client()?;
        let request = client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header("content-type", "application/json").header("accept", accept);
        let request = request.header(IDEMPOTENCY_KEY, key).body(body).build();
        let mut request = request.map_err(|why| Trouble::Unset(causes(&why.without_url())))?;
        if let (Some(Shown { header: Some(header), before, .. }), Some(key)) = (&self.key, &veils.key) {
            let value = HeaderValue::from_str(&format!("{before}{}", key.reveal()));
            let mut value = value.expect("a secret is visible ASCII, as its reader saw to");
            value.set_sensitive(true);
            request.headers_mut().insert(header, value);
        }
        sign(&mut request).map_err(Trouble::Unset)?;
        let sent = tokio::time::timeout(self.patience.idle, client.execute(request));
        let response = tokio::select! {
            biased;
            () = cut.cancelled() => return Err(Trouble::Cancelled),
            sent = sent => sent.map_err(|_| Trouble::Silent(self.patience.idle))?,
        };
        let response = response.map_err(|why| {
            let connect = why.is_connect();
            let why = causes(&why.without_url());
            if connect { Trouble::Unreached(why) } else { Trouble::Broken(why) }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(tokio::select! {
            biased;
            () = cut.cancelled() => Trouble::Cancelled,
            refused = self.refused(response) => refused,
        })
    }

    async fn refused(&self, response: Response) -> Trouble {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        let read = async {
            while let Some(Ok(chunk)) = chunks.next().await {
                body.extend_from_slice(&chunk[..chunk.len().min(COMPLAINT_MAX_BYTES - body.len())]);
                if body.len() == COMPLAINT_MAX_BYTES {
                    break;
                }
            }
        };
        // A complaint that does not come is none; the status says enough.
        let _ = tokio::time::timeout(self.patience.idle.min(Duration::from_secs(10)), read).await;
        let encoding = headers.get("content-encoding").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let complaint = Complaint::read(&unpacked(encoding, &body));
        let unknown = matches!(status.as_u16(), 404 | 405 | 301..=308);
        Trouble::Refused {
            retry_after_ms: retry_after_ms(&headers, &complaint, SystemTime::now()),
            request: request_id(&headers),
            path: unknown.then(|| self.url.path().to_owned()),
            status,
            complaint: Box::new(complaint),
        }
    }

    /// What came of a call that got into trouble before its answer began.
    pub(super) fn unanswered(&self, trouble: Trouble, draft: Draft) -> Finished {
        match trouble {
            Trouble::Unset(_) | Trouble::Unreached(_) | Trouble::Refused { .. } => {
                let note = self.note(&trouble);
                Finished::unasked(self.error(trouble)).noting(note)
            }
            trouble => {
                let note = self.note(&trouble);
                draft.fail(self.error(trouble)).noting(note)
            }
        }
    }

    /// For the admin, who knows the address but need not see the key.
    pub(super) fn note(&self, trouble: &Trouble) -> String {
        let told = trouble.to_string();
        // What to do about it is told where models are looked at.
        let what = told.split("\nhint: ").next().unwrap_or_default();
        shorten(&self.veils.lock().noted.text(what), COMPLAINT_SHOWN_CHARS)
    }

    /// For the guest.
    pub(super) fn error(&self, trouble: Trouble) -> Error {
        let (kind, retry_after_ms, complaint) = match trouble {
            Trouble::Cancelled => return Error::Cancelled,
            Trouble::Unset(_) => return unavailable("the model is not set up on this host", None),
            Trouble::Unreached(_) => return unavailable("the model's provider cannot be reached", None),
            Trouble::Silent(_) => return unavailable("the model's provider does not answer", None),
            Trouble::Broken(_) => return unavailable("the model's answer was cut off", None),
            Trouble::Garbage(_) => return unavailable(NO_ANSWER, None),
            Trouble::Failed(complaint) => match complaint.kind(None) {
                TroubleKind::Busy | TroubleKind::Down | TroubleKind::Unclear => {
                    return unavailable("the model's provider broke off its answer", None);
                }
                kind @ (TroubleKind::Invalid | TroubleKind::Setup | TroubleKind::Quota) => (kind, None, complaint),
            },
            Trouble::Refused { status, retry_after_ms, complaint, .. } => {
                (complaint.kind(Some(status)), retry_after_ms, complaint)
            }
        };
        match kind {
            TroubleKind::Invalid => Error::Invalid(self.complaint(&complaint)),
            TroubleKind::Setup => unavailable("the model is not set up rightly on this host", None),
            TroubleKind::Quota => unavailable("what this host may use of the model's provider is used up", None),
            TroubleKind::Busy => unavailable("the model's provider takes no more calls now", retry_after_ms),
            TroubleKind::Down => unavailable("the model's provider has a problem", retry_after_ms),
            TroubleKind::Unclear => unavailable(NO_ANSWER, None),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> String {
        if complaint.has_sizes() {
            return complaint.sentence();
        }
        let message = shorten(&self.veils.lock().told.text(&complaint.sentence()), COMPLAINT_SHOWN_CHARS);
        format!("the model's provider refuses the request: {message}")
    }
}

impl Veils {
    /// The same, and this secret with its parts: some keys are several words.
    fn hiding(mut self, secret: &str) -> Self {
        for word in [secret].into_iter().chain(secret.split(':').filter(|part| part.len() < secret.len())) {
            if word.len() >= SECRET_MIN_BYTES {
                self.said = Arc::new(Scrub::clone(&self.said).hiding(word));
                self.told = self.told.hiding(word);
                self.noted = self.noted.hiding(word);
            } else if word == secret {
                // So short a word stands in many an answer; of what is told about a call it is kept out all the same.
                self.told = self.told.hiding_words([word]);
                self.noted = self.noted.hiding_words([word]);
            }
        }
        self
    }
}

const NO_ANSWER: &str = "the model's provider sent something that is no answer";

impl Incoming {
    /// The next event, waited for no longer than until `latest`; none at the end, and then as well.
    pub(super) async fn next(
        &mut self,
        cut: &CancellationToken,
        latest: Option<Instant>,
    ) -> Result<Option<Event>, Trouble> {
        tokio::select! {
            biased;
            () = cut.cancelled() => Err(Trouble::Cancelled),
            event = self.read() => event,
            () = passed(latest) => Ok(None),
        }
    }

    async fn read(&mut self) -> Result<Option<Event>, Trouble> {
        loop {
            if let Some(event) = self.frames.pop() {
                return Ok(Some(event));
            }
            if let Some(end) = self.end.take() {
                return end.map(|()| None);
            }
            if self.chunk.is_empty() {
                let next = match tokio::time::timeout(self.idle, self.body.next()).await {
                    Ok(next) => Some(next),
                    Err(_) => {
                        // It may be this host that was late.
                        tokio::task::yield_now().await;
                        self.body.next().now_or_never()
                    }
                };
                match next {
                    Some(Some(Ok(chunk))) => self.chunk = chunk,
                    Some(None) => self.end = Some(self.frames.end()),
                    // What is whole of what came counts before it counts that no more came.
                    None => self.cut_off(Trouble::Silent(self.idle)),
                    Some(Some(Err(why))) => self.cut_off(Trouble::Broken(causes(&why.without_url()))),
                }
            } else {
                let piece = self.chunk.split_to(self.chunk.len().min(PIECE_BYTES));
                if let Err(why) = self.frames.feed(&piece) {
                    self.end = Some(Err(why));
                }
            }
        }
    }

    /// What a provider refuses in the form of an answer is refused: it said nothing, and is paid nothing.
    pub(super) fn refused(&self, complaint: Complaint) -> Trouble {
        let retry_after_ms = retry_after_ms(&self.headers, &complaint, SystemTime::now());
        Trouble::Refused {
            status: complaint.status(),
            retry_after_ms,
            request: request_id(&self.headers),
            path: None,
            complaint: Box::new(complaint),
        }
    }

    fn cut_off(&mut self, why: Trouble) {
        let _ = self.frames.end();
        self.end = Some(Err(why));
    }

    /// The answer is whole: reads to the end of the stream, so that the connection can be used again.
    pub(super) async fn done(mut self) {
        // The connection's own task mostly has the end at hand.
        tokio::task::yield_now().await;
        if self.body.next().now_or_never().is_none() {
            tokio::spawn(tokio::time::timeout(DRAIN_MAX, async move { while self.body.next().await.is_some() {} }));
        }
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    REQUEST_IDS.into_iter().find_map(text).map(|id| shorten(id, 100))
}

async fn passed(latest: Option<Instant>) {
    match latest {
        Some(latest) => tokio::time::sleep_until(latest).await,
        None => std::future::pending().await,
    }
}

/// An error and all that caused it, in one line.
fn causes(why: &dyn std::error::Error) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Whether an address is on this machine, whatever its names say.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
